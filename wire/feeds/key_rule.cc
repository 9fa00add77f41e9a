#include "wire/feeds/key_rule.h"

#include <algorithm>
#include <charconv>

#include <re2/re2.h>

#include "wire/base/limits.h"

namespace eagre::feeds {
namespace {

constexpr uint32_t kOffsetMax = 65'535;
constexpr size_t kKeyBytesMax = 256;
static_assert(kKeyBytesMax <= kPartitionKeyCharactersMax);
constexpr size_t kTextBytesMax = 240;
// Of a pattern, compiled and at work: datagrams of strangers decide how much of it is used.
constexpr int64_t kPatternMemoryBytes = 1 << 20;

bool take_number(std::string_view text, uint32_t max, uint32_t& value) {
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
    return code == std::errc() && end == text.data() + text.size() && value <= max;
}

bool unescape(std::string_view text, std::string& into) {
    for (size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '\\') {
            into += text[i];
            continue;
        }
        if (++i == text.size()) return false;
        if (text[i] == 't') into += '\t';
        else if (text[i] == 'n') into += '\n';
        else if (text[i] == '\\') into += '\\';
        else return false;
    }
    return !into.empty();
}

// RFC 3629: no overlong forms, no surrogates, nothing beyond U+10FFFF.
bool is_utf8(std::string_view text) {
    for (size_t i = 0; i < text.size();) {
        const auto lead = static_cast<unsigned char>(text[i]);
        if (lead < 0x80) {
            ++i;
            continue;
        }
        const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
        if (lead < 0xc2 || lead > 0xf4 || text.size() - i < length) return false;
        uint32_t code = lead & (0xffU >> (length + 1));
        for (size_t k = 1; k < length; ++k) {
            const auto next = static_cast<unsigned char>(text[i + k]);
            if ((next & 0xc0U) != 0x80U) return false;
            code = code << 6U | (next & 0x3fU);
        }
        static constexpr uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
        if (code < kLeast[length] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return false;
        i += length;
    }
    return true;
}

bool is_printable(char c) { return c >= ' ' && c <= '~'; }

}  // namespace

std::string key_rule_help(std::string_view text) {
    return "'" + std::string(text) + "' is no key rule: constant:NAME, source, bytes:AT:COUNT, until:TEXT, regex:PATTERN or round-robin";
}

KeyRule::KeyRule() = default;
KeyRule::~KeyRule() = default;
KeyRule::KeyRule(KeyRule&& other) noexcept = default;
KeyRule& KeyRule::operator=(KeyRule&& other) noexcept = default;

Result<KeyRule> KeyRule::parse(std::string_view text) {
    KeyRule rule;
    const size_t colon = text.find(':');
    const std::string_view word = text.substr(0, colon);
    const bool has_value = colon != std::string_view::npos;
    const std::string_view value = has_value ? text.substr(colon + 1) : std::string_view{};
    if (value.size() > kTextBytesMax) return Errc::kBadArgument;
    if (text == "source") {
        rule.kind_ = Kind::kSource;
        return rule;
    }
    if (text == "round-robin") {
        rule.kind_ = Kind::kRoundRobin;
        return rule;
    }
    if (value.empty()) return Errc::kBadArgument;
    if (word == "constant") {
        rule.kind_ = Kind::kConstant;
        rule.text_ = std::string(value);
        return rule;
    }
    if (word == "bytes") {
        const size_t second = value.find(':');
        rule.kind_ = Kind::kBytes;
        if (second == std::string_view::npos || !take_number(value.substr(0, second), kOffsetMax, rule.offset_) ||
            !take_number(value.substr(second + 1), kKeyBytesMax / 2, rule.count_) || rule.count_ == 0)
            return Errc::kBadArgument;
        return rule;
    }
    if (word == "until") {
        rule.kind_ = Kind::kUntil;
        if (!unescape(value, rule.text_)) return Errc::kBadArgument;
        return rule;
    }
    if (word == "regex") {
        rule.kind_ = Kind::kRegex;
        RE2::Options options(RE2::Latin1);  // Bytes, whatever they are.
        options.set_max_mem(kPatternMemoryBytes);
        options.set_log_errors(false);
        rule.pattern_ = std::make_unique<RE2>(re2::StringPiece(value.data(), value.size()), options);
        if (!rule.pattern_->ok()) return Errc::kBadArgument;
        return rule;
    }
    return Errc::kBadArgument;
}

std::string_view KeyRule::bytes_key(std::string_view record) {
    if (record.size() < size_t{offset_} + count_) return {};
    std::string_view part = record.substr(offset_, count_);
    if (std::all_of(part.begin(), part.end(), is_printable)) {
        const size_t first = part.find_first_not_of(' ');
        if (first == std::string_view::npos) return {};
        return part.substr(first, part.find_last_not_of(' ') - first + 1);
    }
    return hex_of(part);
}

std::string_view KeyRule::hex_of(std::string_view bytes) {
    static constexpr char kDigits[] = "0123456789abcdef";
    bytes = bytes.substr(0, hex_.size() / 2);
    for (size_t i = 0; i < bytes.size(); ++i) {
        const auto byte = static_cast<unsigned char>(bytes[i]);
        hex_[2 * i] = kDigits[byte >> 4U];
        hex_[2 * i + 1] = kDigits[byte & 0xfU];
    }
    return {hex_.data(), 2 * bytes.size()};
}

std::string_view KeyRule::as_key(std::string_view bytes) {
    size_t length = std::min(bytes.size(), kKeyBytesMax);
    // Not in the middle of a character.
    while (length < bytes.size() && length > 0 && (static_cast<unsigned char>(bytes[length]) & 0xc0U) == 0x80U) --length;
    bytes = bytes.substr(0, length);
    return is_utf8(bytes) ? bytes : hex_of(bytes);
}

std::string_view KeyRule::key_of(std::span<const std::byte> record) {
    const std::string_view text(reinterpret_cast<const char*>(record.data()), record.size());
    switch (kind_) {
        case Kind::kBytes:
            return bytes_key(text);
        case Kind::kUntil: {
            const size_t at = text.find(text_);
            return at == std::string_view::npos ? std::string_view{} : as_key(text.substr(0, at));
        }
        case Kind::kRegex: {
            re2::StringPiece groups[2];
            const int count = std::min(pattern_->NumberOfCapturingGroups(), 1) + 1;
            if (!pattern_->Match({text.data(), text.size()}, 0, text.size(), RE2::UNANCHORED, groups, count)) return {};
            const re2::StringPiece& found = groups[count - 1];
            return as_key({found.data(), found.size()});
        }
        case Kind::kConstant:
        case Kind::kSource:
        case Kind::kRoundRobin:
            break;
    }
    return {};
}

}  // namespace eagre::feeds
