#include "control/gateway/model/page_token.h"

#include <charconv>

#include <fmt/format.h>

#include "control/gateway/document/base64.h"

namespace eagre::gateway {

std::string PageToken::text() const {
    std::string text;
    append_base64(text, fmt::format("{}/{}/{}", made_ms, stream, after));
    return text;
}

std::optional<PageToken> open_page_token(std::string_view text) {
    const auto bytes = decode_base64(text);
    if (!bytes) return std::nullopt;
    const size_t first = bytes->find('/');
    const size_t second = first == bytes->npos ? first : bytes->find('/', first + 1);
    if (second == bytes->npos) return std::nullopt;
    PageToken page;
    const auto made = std::from_chars(bytes->data(), bytes->data() + first, page.made_ms);
    if (made.ec != std::errc{} || made.ptr != bytes->data() + first) return std::nullopt;
    page.stream = bytes->substr(first + 1, second - first - 1);
    page.after = bytes->substr(second + 1);
    return page;
}

}  // namespace eagre::gateway
