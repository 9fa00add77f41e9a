#include "control/gateway/http/http1_parser.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace eagre::gateway {
namespace {

constexpr std::string_view kLineEnd = "\r\n";
constexpr std::string_view kHeadEnd = "\r\n\r\n";
constexpr size_t kChunkLineBytesMax = 1024;

bool is_token(std::string_view text) {
    constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
    return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || kMarks.find(c) != kMarks.npos;
    });
}

std::string lower(std::string_view text) {
    std::string result(text);
    for (char& c : result) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    return result;
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

std::optional<uint64_t> number(std::string_view text, int base) {
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

}  // namespace

Http1Parser::Step Http1Parser::advance(std::string& input) {
    for (;;) {
        switch (state_) {
            case State::kHead: {
                // Empty lines before a request are passed over (RFC 9112, 2.2).
                while (input.starts_with(kLineEnd)) input.erase(0, 2), scanned_ = 0;
                const size_t end = input.find(kHeadEnd, scanned_ < 3 ? 0 : scanned_ - 3);
                if (end == input.npos) {
                    scanned_ = input.size();
                    return input.size() > kHeadBytesMax ? bad(431) : Step::kMore;
                }
                if (end > kHeadBytesMax) return bad(431);
                request_ = Request{};
                status_ = 400;
                if (!parse_head(std::string_view(input).substr(0, end + 2)) || !frame_body()) return Step::kBad;
                input.erase(0, end + kHeadEnd.size());
                scanned_ = 0;
                if (continues_ && state_ != State::kReady) return Step::kContinue;
                break;
            }
            case State::kBody:
            case State::kChunkData: {
                const size_t bytes = std::min<uint64_t>(left_, input.size());
                if (request_.body.empty() && bytes == input.size() && bytes == left_) {
                    request_.body.swap(input);  // All that came is the body, as a rule.
                    input.clear();
                } else {
                    request_.body.append(input, 0, bytes);
                    input.erase(0, bytes);
                }
                left_ -= bytes;
                if (left_ != 0) return Step::kMore;
                state_ = state_ == State::kBody ? State::kReady : State::kChunkEnd;
                break;
            }
            case State::kChunkEnd:
                if (input.size() < 2) return Step::kMore;
                if (!input.starts_with(kLineEnd)) return bad(400);
                input.erase(0, 2);
                state_ = State::kChunkSize;
                break;
            case State::kChunkSize:
                if (const Step step = chunk_size(input); step != Step::kContinue) return step;
                break;
            case State::kTrailer: {  // Passed over.
                const size_t end = input.find(kLineEnd);
                trailer_bytes_ += end == input.npos ? 0 : end + 2;
                if (trailer_bytes_ > kHeadBytesMax || (end == input.npos && input.size() > kHeadBytesMax)) return bad(431);
                if (end == input.npos) return Step::kMore;
                if (end == 0) state_ = State::kReady;
                input.erase(0, end + 2);
                break;
            }
            case State::kReady:
                return Step::kRequest;
        }
    }
}

Request Http1Parser::take() {
    state_ = State::kHead;
    return std::move(request_);
}

// kContinue: a size has been read.
Http1Parser::Step Http1Parser::chunk_size(std::string& input) {
    const size_t end = input.find(kLineEnd);
    if (end == input.npos) return input.size() > kChunkLineBytesMax ? bad(400) : Step::kMore;
    const std::string_view line = std::string_view(input).substr(0, end);
    const auto size = number(trimmed(line.substr(0, line.find(';'))), 16);
    if (!size) return bad(400);
    if (*size > kBodyBytesMax - request_.body.size()) return bad(413);
    input.erase(0, end + 2);
    left_ = *size;
    trailer_bytes_ = 0;
    state_ = left_ == 0 ? State::kTrailer : State::kChunkData;
    return Step::kContinue;
}

bool Http1Parser::parse_head(std::string_view head) {
    size_t end = head.find(kLineEnd);
    const std::string_view line = head.substr(0, end);
    const size_t first = line.find(' ');
    const size_t last = line.rfind(' ');
    if (first == line.npos || last <= first + 1) return false;
    request_.method = line.substr(0, first);
    request_.target = line.substr(first + 1, last - first - 1);
    const std::string_view version = line.substr(last + 1);
    if (!is_token(request_.method)) return false;
    for (const char c : request_.target) {
        if (static_cast<unsigned char>(c) <= ' ' || c == '\x7f') return false;
    }
    if (version != "HTTP/1.1" && version != "HTTP/1.0") {
        if (version.starts_with("HTTP/")) status_ = 505;
        return false;
    }
    request_.keep_alive = version == "HTTP/1.1";
    for (head.remove_prefix(end + 2); !head.empty(); head.remove_prefix(end + 2)) {
        end = head.find(kLineEnd);
        if (!parse_header(head.substr(0, end))) return false;
    }
    // One host, so that whoever stands before us and we mean the same.
    const auto hosts = std::count_if(request_.headers.begin(), request_.headers.end(), [](const auto& header) { return header.first == "host"; });
    return hosts == 1 || (version == "HTTP/1.0" && hosts == 0);
}

bool Http1Parser::parse_header(std::string_view line) {
    if (request_.headers.size() >= kHeaderCountMax) {
        status_ = 431;
        return false;
    }
    const size_t colon = line.find(':');
    if (colon == line.npos || !is_token(line.substr(0, colon))) return false;
    const std::string_view value = trimmed(line.substr(colon + 1));
    for (const char c : value) {
        if ((static_cast<unsigned char>(c) < ' ' && c != '\t') || c == '\x7f') return false;
    }
    request_.headers.emplace_back(lower(line.substr(0, colon)), value);
    return true;
}

bool Http1Parser::frame_body() {
    chunked_ = false;
    continues_ = false;
    std::optional<uint64_t> length;
    for (const auto& [name, value] : request_.headers) {
        if (name == "content-length") {
            const auto said = number(value, 10);
            if (!said || (length && *length != *said)) return false;
            length = said;
        } else if (name == "transfer-encoding") {
            if (lower(value) != "chunked" || chunked_) {
                status_ = 501;
                return false;
            }
            chunked_ = true;
        } else if (name == "expect" && lower(value) == "100-continue") {
            continues_ = true;
        } else if (name == "connection") {
            const std::string said = lower(value);
            if (said.find("close") != said.npos) request_.keep_alive = false;
            if (said.find("keep-alive") != said.npos) request_.keep_alive = true;
        }
    }
    if (chunked_ && length) return false;
    if (length.value_or(0) > kBodyBytesMax) {
        status_ = 413;
        return false;
    }
    left_ = length.value_or(0);
    state_ = chunked_ ? State::kChunkSize : left_ != 0 ? State::kBody : State::kReady;
    // Room for what reads in large steps behind the end (document.h).
    if (left_ != 0) request_.body.reserve(left_ + 64);
    return true;
}

}  // namespace eagre::gateway
