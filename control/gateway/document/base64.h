#pragma once
// Base64 with the standard alphabet, padded (RFC 4648, section 4): how JSON carries blobs.

#include <optional>
#include <string>
#include <string_view>

namespace eagre::gateway {

void append_base64(std::string& out, std::string_view bytes);
/// Nothing: a character is not of the alphabet, or length and padding don't fit.
std::optional<std::string> decode_base64(std::string_view text);
/// Behind what `out` holds. False: as above, and `out` is as it was.
bool append_decoded(std::string& out, std::string_view text);

}  // namespace eagre::gateway
