#include "control/log/log.h"

#include <array>
#include <atomic>

#include <time.h>
#include <unistd.h>

namespace eagre::log {
namespace {

std::atomic<Level> level_min{Level::kInfo};

constexpr std::array<std::string_view, 5> kNames = {"debug", "info", "warning", "error", "off"};

std::string now_text() {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    tm parts{};
    gmtime_r(&now.tv_sec, &parts);
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", parts.tm_year + 1900,
                       parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                       now.tv_nsec / 1000);
}

}  // namespace

void set_level(Level level) {
    level_min.store(level, std::memory_order_relaxed);
}

bool set_level(std::string_view name) {
    for (size_t i = 0; i < kNames.size(); ++i) {
        if (kNames[i] != name) continue;
        set_level(static_cast<Level>(i));
        return true;
    }
    return false;
}

bool enabled(Level level) {
    return level >= level_min.load(std::memory_order_relaxed);
}

void write(Level level, std::string_view area, std::string_view text) {
    std::string line =
        fmt::format("{} {} {}: {}", now_text(), kNames[static_cast<size_t>(level)], area, text);
    for (char& c : line) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
    }
    line += '\n';
    // A log that cannot be written must not stop the process: there is nobody left to tell.
    [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace eagre::log
