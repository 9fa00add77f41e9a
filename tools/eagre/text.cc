#include "tools/eagre/text.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <clocale>
#include <cmath>
#include <map>

#include <fmt/format.h>
#include <langinfo.h>

namespace eagre::cli {
namespace {

constexpr size_t kBarWidth = 40;
// Upper limits of the ranges of a plot within one decade; the step between neighbours is 1.4
// to 1.7.
constexpr std::array<uint64_t, 6> kRangeTenths = {10, 15, 20, 30, 50, 70};

std::string three_digits(double value, std::string_view unit) {
    const int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
    return fmt::format("{:.{}f} {}", value, decimals, unit);
}

bool looks_like_figure(std::string_view cell) {
    return !cell.empty() &&
           (std::isdigit(static_cast<unsigned char>(cell.front())) != 0 || cell == "-");
}

/// Whole eighths of a cell at the end, so that small shares are still seen.
std::string bar_of(double share, bool utf8) {
    static constexpr std::array<std::string_view, 8> kEighths = {"",  "▏", "▎", "▍",
                                                                 "▌", "▋", "▊", "▉"};
    const double cells = share * static_cast<double>(kBarWidth);
    if (!utf8) return std::string(static_cast<size_t>(std::lround(cells)), '#');
    auto eighths = static_cast<size_t>(std::lround(cells * 8));
    if (share > 0 && eighths == 0) eighths = 1;
    std::string bar;
    for (; eighths >= 8; eighths -= 8) bar += "█";
    bar += kEighths[eighths];
    return bar;
}

uint64_t range_limit_above(uint64_t value) {
    for (uint64_t decade = 1;; decade *= 10) {
        for (const uint64_t tenths : kRangeTenths) {
            const uint64_t limit = decade * tenths / 10;
            if (limit > value || decade >= 1'000'000'000'000'000ULL) return limit;
        }
    }
}

}  // namespace

std::string grouped(uint64_t value) {
    std::string digits = fmt::format("{}", value);
    for (size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, ",");
    return digits;
}

std::string grouped(double value) {
    return grouped(static_cast<uint64_t>(std::llround(std::max(value, 0.0))));
}

std::string bytes_text(double bytes) {
    static constexpr std::array<std::string_view, 6> kUnits = {"B", "kB", "MB", "GB", "TB", "PB"};
    if (bytes < 999.5) return fmt::format("{:.0f} B", bytes);
    size_t unit = 0;
    while (bytes >= 999.5 && unit + 1 < kUnits.size()) {
        bytes /= 1000;
        ++unit;
    }
    return three_digits(bytes, kUnits[unit]);
}

std::string duration_text(uint64_t ns) {
    const auto value = static_cast<double>(ns);
    if (value < 1e3) return fmt::format("{} ns", ns);
    if (value < 999.5e3) return three_digits(value / 1e3, "us");
    if (value < 999.5e6) return three_digits(value / 1e6, "ms");
    return three_digits(value / 1e9, "s");
}

std::string clock_text(double seconds) {
    if (seconds < 60) return fmt::format("{:.1f} s", seconds);
    const auto whole = static_cast<uint64_t>(seconds);
    if (whole < 3600) return fmt::format("{}:{:02}", whole / 60, whole % 60);
    return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

size_t text_width(std::string_view text) {
    return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
        return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
    }));
}

bool terminal_is_utf8() {
    static const bool utf8 = [] {
        std::setlocale(LC_CTYPE, "");
        return std::string_view(nl_langinfo(CODESET)) == "UTF-8";
    }();
    return utf8;
}

std::string Table::text(size_t indent) const {
    std::vector<size_t> widths;
    std::vector<bool> figures(heading_.size(), !rows_.empty());
    for (const auto& cell : heading_) widths.push_back(text_width(cell));
    for (const auto& row : rows_) {
        for (size_t i = 0; i < row.size() && i < widths.size(); ++i) {
            widths[i] = std::max(widths[i], text_width(row[i]));
            if (!looks_like_figure(row[i])) figures[i] = false;
        }
    }
    std::string text;
    const auto add_line = [&](const std::vector<std::string>& row) {
        std::string line(indent, ' ');
        for (size_t i = 0; i < row.size() && i < widths.size(); ++i) {
            const std::string padding(widths[i] - text_width(row[i]), ' ');
            line += i == 0 ? "" : "  ";
            line += figures[i] ? padding + row[i] : row[i] + padding;
        }
        line.erase(line.find_last_not_of(' ') + 1);
        text += line + "\n";
    };
    add_line(heading_);
    for (const auto& row : rows_) add_line(row);
    return text;
}

std::string latency_plot(const Histogram& histogram, size_t indent, bool utf8) {
    std::map<uint64_t, uint64_t> ranges;  // Upper limit -> count.
    histogram.for_each(
        [&](uint64_t upper, uint64_t count) { ranges[range_limit_above(upper)] += count; });
    if (ranges.empty()) return "";
    uint64_t most = 0;
    for (const auto& [limit, count] : ranges) most = std::max(most, count);
    std::string text;
    const auto total = static_cast<double>(histogram.count());
    uint64_t passed = 0;
    // Ranges without a value in between keep their row: a gap is something to see.
    for (uint64_t limit = ranges.begin()->first;; limit = range_limit_above(limit)) {
        const auto found = ranges.find(limit);
        const uint64_t count = found == ranges.end() ? 0 : found->second;
        passed += count;
        const std::string bar =
            bar_of(static_cast<double>(count) / static_cast<double>(most), utf8);
        text +=
            fmt::format("{}< {:>8}  {}{}  {:>6.2f} %  {:>13}\n", std::string(indent, ' '),
                        duration_text(limit), bar, std::string(kBarWidth - text_width(bar), ' '),
                        100.0 * static_cast<double>(count) / total, grouped(count));
        if (passed == histogram.count()) return text;
    }
}

std::string percentile_line(const Histogram& histogram) {
    if (histogram.count() == 0) return "nothing measured";
    const auto at = [&](double percent) { return duration_text(histogram.percentile(percent)); };
    return fmt::format("p50 {}  p99 {}  p99.9 {}  p99.99 {}  max {}  ({})", at(50), at(99),
                       at(99.9), at(99.99), duration_text(histogram.max()),
                       grouped(histogram.count()));
}

}  // namespace eagre::cli
