#include "control/gateway/model/signature.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>

#include <fmt/format.h>
#include <openssl/evp.h>

#include "wire/identity/crypto.h"

namespace eagre::gateway {
namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";
constexpr std::string_view kService = "kinesis";
constexpr std::string_view kScopeEnd = "aws4_request";
constexpr std::string_view kAuthority = ":authority";
constexpr uint64_t kExpiresMaxS = 604'800;

using Pairs = std::vector<std::pair<std::string, std::string>>;

int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

std::string decoded(std::string_view text) {
    std::string out;
    for (size_t i = 0; i < text.size(); ++i) {
        const int high = text[i] == '%' && i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
        const int low = high >= 0 ? hex_value(text[i + 2]) : -1;
        if (low >= 0) {
            out.push_back(static_cast<char>(high * 16 + low));
            i += 2;
        } else {
            out.push_back(text[i]);
        }
    }
    return out;
}

bool is_unreserved(char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' || c == '~';
}

std::string encoded(std::string_view text, bool keep_slash) {
    std::string out;
    for (const char c : text) {
        if (is_unreserved(c) || (keep_slash && c == '/')) out.push_back(c);
        else fmt::format_to(std::back_inserter(out), "%{:02X}", static_cast<unsigned char>(c));
    }
    return out;
}

std::string_view path_of(const Request& request) { return std::string_view(request.target).substr(0, request.target.find('?')); }

Pairs query_of(const Request& request) {
    Pairs pairs;
    const size_t mark = request.target.find('?');
    if (mark == request.target.npos) return pairs;
    for (std::string_view left = std::string_view(request.target).substr(mark + 1); !left.empty();) {
        const std::string_view each = left.substr(0, left.find('&'));
        left.remove_prefix(std::min(left.size(), each.size() + 1));
        if (each.empty()) continue;
        const size_t equals = each.find('=');
        pairs.emplace_back(decoded(each.substr(0, equals)), equals == each.npos ? std::string() : decoded(each.substr(equals + 1)));
    }
    return pairs;
}

const std::string* find(const Pairs& pairs, std::string_view name) {
    const auto found = std::find_if(pairs.begin(), pairs.end(), [name](const auto& pair) { return pair.first == name; });
    return found == pairs.end() || found->second.empty() ? nullptr : &found->second;
}

std::string hex(std::span<const std::byte> bytes) {
    std::string text;
    for (const std::byte byte : bytes) fmt::format_to(std::back_inserter(text), "{:02x}", std::to_integer<unsigned>(byte));
    return text;
}

std::string sha256_hex(std::string_view bytes) {
    identity::Bytes32 digest{};
    unsigned size = 0;
    EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(digest.data()), &size, EVP_sha256(), nullptr);
    return hex(digest);
}

/// 20130102T030405Z. Nothing: it is not.
std::optional<uint64_t> parse_basic_time(std::string_view text) {
    if (text.size() != 16 || text[8] != 'T' || text[15] != 'Z') return std::nullopt;
    const auto number = [text](size_t at, size_t count) {
        int value = 0;
        for (size_t i = at; i < at + count; ++i) value = text[i] >= '0' && text[i] <= '9' && value >= 0 ? value * 10 + (text[i] - '0') : -1;
        return value;
    };
    const std::array<int, 6> parts = {number(0, 4), number(4, 2), number(6, 2), number(9, 2), number(11, 2), number(13, 2)};
    if (std::any_of(parts.begin(), parts.end(), [](int part) { return part < 0; })) return std::nullopt;
    const std::chrono::year_month_day day{std::chrono::year(parts[0]), std::chrono::month(static_cast<unsigned>(parts[1])),
                                          std::chrono::day(static_cast<unsigned>(parts[2]))};
    if (!day.ok() || parts[0] < 1970 || parts[3] > 23 || parts[4] > 59 || parts[5] > 60) return std::nullopt;
    const auto days = std::chrono::sys_days(day).time_since_epoch().count();
    return (static_cast<uint64_t>(days) * 86400 + static_cast<uint64_t>(parts[3] * 3600 + parts[4] * 60 + parts[5])) * 1000;
}

std::string basic_time(uint64_t ms) {
    const auto seconds = static_cast<int64_t>(ms / 1000);
    const std::chrono::year_month_day day(std::chrono::sys_days(std::chrono::days(seconds / 86400)));
    const int64_t of_day = seconds % 86400;
    return fmt::format("{:04}{:02}{:02}T{:02}{:02}{:02}Z", static_cast<int>(day.year()), static_cast<unsigned>(day.month()),
                       static_cast<unsigned>(day.day()), of_day / 3600, of_day / 60 % 60, of_day % 60);
}

constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

/// "Wed, 02 Jan 2013 03:04:05 GMT" as basic time. Empty: it is not.
std::string basic_of_http_date(std::string_view text) {
    if (text.size() != 29) return {};
    const auto month = std::find(kMonths.begin(), kMonths.end(), text.substr(8, 3));
    if (month == kMonths.end()) return {};
    return fmt::format("{}{:02}{}T{}{}{}Z", text.substr(12, 4), month - kMonths.begin() + 1, text.substr(5, 2), text.substr(17, 2), text.substr(20, 2),
                       text.substr(23, 2));
}

ApiError invalid(std::string message) { return {"InvalidSignatureException", std::move(message)}; }
ApiError incomplete(std::string message) { return {"IncompleteSignatureException", std::move(message)}; }

/// KEY/DAY/REGION/kinesis/aws4_request; keys have no slashes.
std::optional<ApiError> take_credential(std::string_view text, Signature& signature) {
    std::array<std::string_view, 5> parts;
    for (size_t i = 0; i < parts.size(); ++i) {
        const size_t slash = text.find('/');
        if ((slash == text.npos) != (i + 1 == parts.size()))
            return incomplete(fmt::format("Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '{}'", text));
        parts[i] = text.substr(0, slash);
        text.remove_prefix(slash == text.npos ? text.size() : slash + 1);
    }
    if (parts[3] != kService) return invalid(fmt::format("Credential should be scoped to correct service: '{}'. ", kService));
    if (parts[4] != kScopeEnd) return invalid(fmt::format("Credential should be scoped with a valid terminator: '{}', not '{}'. ", kScopeEnd, parts[4]));
    signature.key_id = parts[0];
    signature.day = parts[1];
    signature.region = parts[2];
    return std::nullopt;
}

/// "AWS4-HMAC-SHA256 Credential=..., SignedHeaders=..., Signature=...": blanks and commas between them.
Pairs authorization_parts(std::string_view text) {
    Pairs parts;
    while (!text.empty()) {
        const size_t end = text.find_first_of(", ");
        const std::string_view each = text.substr(0, end);
        text.remove_prefix(end == text.npos ? text.size() : end + 1);
        const size_t equals = each.find('=');
        if (equals != each.npos) parts.emplace_back(std::string(each.substr(0, equals)), std::string(each.substr(equals + 1)));
    }
    return parts;
}

bool names_header(std::string_view list, std::string_view name) {
    while (!list.empty()) {
        const std::string_view each = list.substr(0, list.find(';'));
        if (each == name) return true;
        list.remove_prefix(std::min(list.size(), each.size() + 1));
    }
    return false;
}

/// Nobody on the way may change what must be signed, or add to it.
std::optional<ApiError> check_headers(const Request& request, const Signature& signature) {
    if (!names_header(signature.signed_headers, "host") && !names_header(signature.signed_headers, kAuthority)) return invalid("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.");
    for (const auto& [name, value] : request.headers) {
        if (name.starts_with("x-amz-") && !names_header(signature.signed_headers, name))
            return invalid(fmt::format("'{}' must be a 'SignedHeader' in the AWS Authorization.", name));
    }
    return std::nullopt;
}

/// Of one signed header: values of all of that name, blanks at the ends gone and those inside made one.
std::string canonical_value(const Request& request, std::string_view name) {
    if (name == kAuthority) name = "host";  // What HTTP/2 calls it, and clients that speak it sign.
    std::string out;
    bool first = true;
    for (const auto& [each, value] : request.headers) {
        if (each != name) continue;
        if (!std::exchange(first, false)) out.push_back(',');
        const size_t begin = out.size();
        for (const char c : value) {
            if (c == ' ' && (out.size() == begin || out.back() == ' ')) continue;
            out.push_back(c);
        }
        if (out.size() > begin && out.back() == ' ') out.pop_back();
    }
    return out;
}

std::string canonical_query(const Request& request) {
    Pairs pairs = query_of(request);
    std::erase_if(pairs, [](const auto& pair) { return pair.first == "X-Amz-Signature"; });
    for (auto& [name, value] : pairs) {
        name = encoded(name, false);
        value = encoded(value, false);
    }
    std::sort(pairs.begin(), pairs.end());
    std::string out;
    for (const auto& [name, value] : pairs) fmt::format_to(std::back_inserter(out), "{}{}={}", out.empty() ? "" : "&", name, value);
    return out;
}

std::string canonical_request(const Signature& signature, const Request& request, const std::string& body_hash) {
    const std::string_view path = path_of(request);
    std::string out = fmt::format("{}\n{}\n{}\n", request.method, path.empty() ? "/" : encoded(path, true), canonical_query(request));
    for (std::string_view left = signature.signed_headers; !left.empty();) {
        const std::string_view name = left.substr(0, left.find(';'));
        fmt::format_to(std::back_inserter(out), "{}:{}\n", name, canonical_value(request, name));
        left.remove_prefix(std::min(left.size(), name.size() + 1));
    }
    fmt::format_to(std::back_inserter(out), "\n{}\n{}", signature.signed_headers, body_hash);
    return out;
}

}  // namespace

bool is_signed(const Request& request) {
    return !request.header("authorization").empty() || request.target.find("X-Amz-Algorithm") != request.target.npos;
}

std::variant<Signature, ApiError> read_signature(const Request& request) {
    const std::string_view header = request.header("authorization");
    const Pairs query = query_of(request);
    const bool in_query = std::any_of(query.begin(), query.end(), [](const auto& pair) { return pair.first == "X-Amz-Algorithm"; });
    if (!header.empty() && in_query) return invalid("Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.");
    if (header.empty() && !in_query) return ApiError{"MissingAuthenticationTokenException", "Missing Authentication Token"};
    Signature signature;
    signature.in_query = in_query;
    std::string missing;
    std::string credential;
    if (in_query) {
        for (const char* name : {"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date"}) {
            if (find(query, name) == nullptr) missing += fmt::format("AWS query-string parameters must include '{}'. ", name);
        }
        if (!missing.empty()) return incomplete(missing + "Re-examine the query-string parameters.");
        if (*find(query, "X-Amz-Algorithm") != kAlgorithm) return incomplete("X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\".");
        credential = *find(query, "X-Amz-Credential");
        signature.signature = *find(query, "X-Amz-Signature");
        signature.signed_headers = *find(query, "X-Amz-SignedHeaders");
        signature.time = *find(query, "X-Amz-Date");
        signature.token = find(query, "X-Amz-Security-Token") != nullptr;
        uint64_t seconds = kSkewMs / 1000;
        if (const std::string* said = find(query, "X-Amz-Expires"); said != nullptr) {
            seconds = 0;
            for (const char c : *said) seconds = c >= '0' && c <= '9' && seconds <= kExpiresMaxS ? seconds * 10 + static_cast<uint64_t>(c - '0') : kExpiresMaxS + 1;
            if (seconds == 0 || seconds > kExpiresMaxS) return incomplete(fmt::format("X-Amz-Expires must be a number between 1 and {} seconds.", kExpiresMaxS));
        }
        signature.expires_ms = seconds * 1000;
    } else {
        const Pairs parts = authorization_parts(header);
        for (const char* name : {"Credential", "Signature", "SignedHeaders"}) {
            if (find(parts, name) == nullptr) missing += fmt::format("Authorization header requires '{}' parameter. ", name);
        }
        const std::string_view date = request.header("x-amz-date");
        if (date.empty() && request.header("date").empty())
            missing += "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ";
        if (!missing.empty()) return incomplete(missing + "Authorization=" + std::string(header.substr(0, 512)));
        if (!header.starts_with(kAlgorithm)) return incomplete(fmt::format("Unsupported AWS 'algorithm': '{}'.", header.substr(0, header.find(' '))));
        credential = *find(parts, "Credential");
        signature.signature = *find(parts, "Signature");
        signature.signed_headers = *find(parts, "SignedHeaders");
        signature.time = date.empty() ? basic_of_http_date(request.header("date")) : std::string(date);
        signature.token = !request.header("x-amz-security-token").empty();
    }
    if (auto fault = take_credential(credential, signature)) return *fault;
    const auto time_ms = parse_basic_time(signature.time);
    if (!time_ms) return incomplete(fmt::format("Date must be in ISO-8601 'basic format'. Got '{}'. See http://en.wikipedia.org/wiki/ISO_8601", signature.time.substr(0, 64)));
    signature.time_ms = *time_ms;
    if (signature.day != signature.time.substr(0, 8))
        return invalid(fmt::format("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{}' != '{}', from '{}'.", signature.day,
                                   signature.time.substr(0, 8), signature.time));
    if (auto fault = check_headers(request, signature)) return *fault;
    return signature;
}

std::variant<std::monostate, ApiError> check_time(const Signature& signature, uint64_t now_ms) {
    const uint64_t good_ms = std::max(kSkewMs, signature.expires_ms);
    if (now_ms > signature.time_ms + good_ms)
        return invalid(fmt::format("Signature expired: {} is now earlier than {} ({} - {} min.)", signature.time, basic_time(now_ms - good_ms), basic_time(now_ms),
                                   good_ms / 60'000));
    if (signature.time_ms > now_ms + kSkewMs)
        return invalid(fmt::format("Signature not yet current: {} is still later than {} ({} + {} min.)", signature.time, basic_time(now_ms + kSkewMs),
                                   basic_time(now_ms), kSkewMs / 60'000));
    return std::monostate{};
}

bool is_made_with(const Signature& signature, const Request& request, std::string_view secret) {
    const std::string body_hash = sha256_hex(request.body);
    // Said by the client as well: then of these very bytes.
    if (const std::string_view said = request.header("x-amz-content-sha256"); !said.empty() && said != body_hash) return false;
    const std::string scope = fmt::format("{}/{}/{}/{}", signature.day, signature.region, kService, kScopeEnd);
    const std::string text = fmt::format("{}\n{}\n{}\n{}", kAlgorithm, signature.time, scope, sha256_hex(canonical_request(signature, request, body_hash)));
    std::string first = "AWS4";
    first += secret;
    identity::Bytes32 key = identity::hmac_sha256(identity::bytes_of(first), identity::bytes_of(signature.day));
    for (const std::string_view step : {std::string_view(signature.region), kService, kScopeEnd}) key = identity::hmac_sha256(key, identity::bytes_of(step));
    const std::string made = hex(identity::hmac_sha256(key, identity::bytes_of(text)));
    identity::wipe(std::as_writable_bytes(std::span(first)));
    identity::wipe(key);
    return identity::equal_constant_time(identity::bytes_of(made), identity::bytes_of(signature.signature));
}

std::string_view region_of(const Request& request) {
    const std::string_view header = request.header("authorization");
    const size_t at = header.find("Credential=");
    if (at == header.npos) return {};
    std::string_view rest = header.substr(at);
    for (int i = 0; i < 2; ++i) {
        const size_t slash = rest.find('/');
        if (slash == rest.npos) return {};
        rest.remove_prefix(slash + 1);
    }
    const std::string_view region = rest.substr(0, rest.find('/'));
    const bool sound = !region.empty() && region.size() <= 32 && std::all_of(region.begin(), region.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
    });
    return sound ? region : std::string_view{};
}

ApiError wrong_signature() {
    return invalid("The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing "
                   "method. Consult the service documentation for details.");
}

ApiError unknown_key() { return {"UnrecognizedClientException", "The security token included in the request is invalid."}; }

}  // namespace eagre::gateway
