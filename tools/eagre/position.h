#pragma once
// Positions and times as a command line gives them.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "wire/client/client.h"

namespace eagre::cli {

/// "trim_horizon", "latest", a sequence number, or a time as in RFC 3339 ("2026-11-23T09:30:00Z",
/// "2026-11-23T10:30:00.25+01:00"; a blank for the T is fine). Throws std::runtime_error for
/// anything else.
client::StartAt parse_start(std::string_view text);

/// ns since 1970, or nothing when `text` is no RFC 3339 time from 1970 on.
std::optional<uint64_t> parse_rfc3339(std::string_view text);
/// "2026-11-23T09:30:00.000000000Z".
std::string rfc3339(uint64_t ns);

/// Wall clock, ns since 1970.
uint64_t wall_now_ns();

/// "90s", "15m", "24h", "7d", "500ms" to ms. Throws std::runtime_error.
uint64_t parse_duration_ms(std::string_view text);
/// 86400000 -> "24 h"; what is not whole in a larger unit stays in the smaller.
std::string duration_ms_text(uint64_t ms);

}  // namespace eagre::cli
