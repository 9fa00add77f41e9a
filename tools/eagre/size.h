#pragma once
// Sizes and rates as a command line gives them and people read them.

#include <cstdint>
#include <string>
#include <string_view>

namespace eagre::cli {

/// "10485760", "10M", "1G": a number with K, M, G or T (powers of 1024; "10MiB" is fine too). Throws std::runtime_error
/// that names `what`.
uint64_t parse_size(std::string_view text, std::string_view what);
/// As parse_size for a limit that may be taken away: "none" and "off" are 0; 0 itself is refused, for nobody can say what
/// it would mean.
uint64_t parse_limit(std::string_view text, std::string_view what);
/// "1000" a second, "none" or "off" (0). No units: a thousand records are 1000.
uint64_t parse_count_limit(std::string_view text, std::string_view what);
/// 10485760 -> "10 MiB"; what is not whole in a larger unit stays in the smaller.
std::string size_text(uint64_t bytes);

}  // namespace eagre::cli
