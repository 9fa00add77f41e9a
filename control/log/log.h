#pragma once
// Log lines of the control processes: one line per event on stderr, `time level area: text
// key=value`. Any thread; one write(2) per line, so lines of several processes on one terminal
// don't mix. This is an edge: the only place in control/ but main.cc and sockets/ that reads a
// clock by itself.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/core.h>

namespace eagre::log {

enum class Level : uint8_t { kDebug = 0, kInfo = 1, kWarning = 2, kError = 3, kOff = 4 };

/// Lines below `level` are not written. kInfo to begin with.
void set_level(Level level);
/// "debug", "info", "warning", "error" or "off". False, and nothing is changed, for any other name.
bool set_level(std::string_view name);
bool enabled(Level level);

/// Writes one line. Line breaks and control characters in `text` become '?', so that no name can
/// forge a line.
void write(Level level, std::string_view area, std::string_view text);

template <class... Args>
void info(std::string_view area, fmt::format_string<Args...> text, Args&&... args) {
    if (enabled(Level::kInfo))
        write(Level::kInfo, area, fmt::format(text, std::forward<Args>(args)...));
}
template <class... Args>
void debug(std::string_view area, fmt::format_string<Args...> text, Args&&... args) {
    if (enabled(Level::kDebug))
        write(Level::kDebug, area, fmt::format(text, std::forward<Args>(args)...));
}
template <class... Args>
void warning(std::string_view area, fmt::format_string<Args...> text, Args&&... args) {
    if (enabled(Level::kWarning))
        write(Level::kWarning, area, fmt::format(text, std::forward<Args>(args)...));
}
template <class... Args>
void error(std::string_view area, fmt::format_string<Args...> text, Args&&... args) {
    if (enabled(Level::kError))
        write(Level::kError, area, fmt::format(text, std::forward<Args>(args)...));
}

}  // namespace eagre::log
