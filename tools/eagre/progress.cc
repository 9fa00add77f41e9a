#include "tools/eagre/progress.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tools/eagre/text.h"

namespace eagre::cli {
namespace {
constexpr uint64_t kRedrawNs = 100'000'000;
constexpr uint64_t kPlainLineNs = 3'000'000'000;
constexpr size_t kBarWidth = 24;

size_t terminal_width() {
    winsize size{};
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
    return size.ws_col;
}

}  // namespace

uint64_t monotonic_ns() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000ULL +
           static_cast<uint64_t>(now.tv_nsec);
}

Progress::Progress(bool quiet) : quiet_(quiet), terminal_(isatty(STDERR_FILENO) == 1) {}

void Progress::show(const std::string& what, double share, const std::string& figures) {
    if (quiet_) return;
    const uint64_t now_ns = monotonic_ns();
    const bool fresh = what != last_what_;
    if (!fresh && now_ns - last_ns_ < (terminal_ ? kRedrawNs : kPlainLineNs)) return;
    last_ns_ = now_ns;
    last_what_ = what;
    std::string line = what;
    if (share >= 0) {
        share = std::min(share, 1.0);
        if (terminal_) {
            const auto full =
                static_cast<size_t>(std::lround(share * static_cast<double>(kBarWidth)));
            std::string bar;
            for (size_t i = 0; i < kBarWidth; ++i) {
                bar += terminal_is_utf8() ? (i < full ? "█" : "░") : (i < full ? "#" : ".");
            }
            line += "  " + bar;
        }
        line += fmt::format(" {:3.0f} %", share * 100);
    }
    if (!figures.empty()) line += "  " + figures;
    if (!terminal_) {
        fmt::print(stderr, "{}\n", line);
        return;
    }
    // Cut to the width, or the line would wrap and the next redraw leave rubbish above it.
    const size_t width = terminal_width() - 1;
    while (text_width(line) > width) line.pop_back();
    fmt::print(stderr, "\r{}\x1b[K", line);
    std::fflush(stderr);
    drawn_ = true;
}

void Progress::clear() {
    if (!drawn_) return;
    fmt::print(stderr, "\r\x1b[K");
    std::fflush(stderr);
    drawn_ = false;
}

}  // namespace eagre::cli
