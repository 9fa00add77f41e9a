#pragma once
// Where a listing goes on: when it was made, the last thing on its page, and whose it is. Not signed: it opens no door.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace eagre::gateway {

struct PageToken {
    uint64_t made_ms = 0;  // Since 1970. Good for kIteratorMs.
    std::string stream;
    std::string after;

    std::string text() const;
};
/// Nothing: it is none of ours.
std::optional<PageToken> open_page_token(std::string_view text);

}  // namespace eagre::gateway
