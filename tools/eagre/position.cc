#include "tools/eagre/position.h"

#include <array>
#include <charconv>
#include <chrono>
#include <stdexcept>

#include <fmt/format.h>

namespace eagre::cli {
namespace {

struct Unit {
    std::string_view name;
    uint64_t ms;
};
constexpr std::array<Unit, 5> kUnits = {Unit{"d", 86'400'000}, Unit{"h", 3'600'000},
                                        Unit{"m", 60'000}, Unit{"s", 1'000}, Unit{"ms", 1}};

/// Reads exactly `digits` digits at `at` and steps over them.
std::optional<unsigned> take_digits(std::string_view text, size_t& at, size_t digits) {
    if (at + digits > text.size()) return std::nullopt;
    unsigned value = 0;
    for (size_t i = 0; i < digits; ++i) {
        const char c = text[at + i];
        if (c < '0' || c > '9') return std::nullopt;
        value = value * 10 + static_cast<unsigned>(c - '0');
    }
    at += digits;
    return value;
}

bool take_letter(std::string_view text, size_t& at, std::string_view any_of) {
    if (at >= text.size() || any_of.find(text[at]) == std::string_view::npos) return false;
    ++at;
    return true;
}

}  // namespace

std::optional<uint64_t> parse_rfc3339(std::string_view text) {
    using namespace std::chrono;
    size_t at = 0;
    const auto year_in = take_digits(text, at, 4);
    if (!year_in || !take_letter(text, at, "-")) return std::nullopt;
    const auto month_in = take_digits(text, at, 2);
    if (!month_in || !take_letter(text, at, "-")) return std::nullopt;
    const auto day_in = take_digits(text, at, 2);
    if (!day_in || !take_letter(text, at, "Tt ")) return std::nullopt;
    const auto hour = take_digits(text, at, 2);
    if (!hour || *hour > 23 || !take_letter(text, at, ":")) return std::nullopt;
    const auto minute = take_digits(text, at, 2);
    if (!minute || *minute > 59 || !take_letter(text, at, ":")) return std::nullopt;
    const auto second = take_digits(text, at, 2);
    if (!second || *second > 60) return std::nullopt;
    uint64_t fraction_ns = 0;
    if (take_letter(text, at, ".")) {
        uint64_t weight = 100'000'000;
        const size_t from = at;
        for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, weight /= 10) {
            fraction_ns += static_cast<uint64_t>(text[at] - '0') * weight;
        }
        if (at == from) return std::nullopt;
    }
    int64_t offset_minutes = 0;
    if (!take_letter(text, at, "Zz")) {
        if (at >= text.size()) return std::nullopt;
        const char sign = text[at];
        if (!take_letter(text, at, "+-")) return std::nullopt;
        const auto hours = take_digits(text, at, 2);
        if (!hours || *hours > 23 || !take_letter(text, at, ":")) return std::nullopt;
        const auto minutes = take_digits(text, at, 2);
        if (!minutes || *minutes > 59) return std::nullopt;
        offset_minutes = (sign == '-' ? -1 : 1) * static_cast<int64_t>(*hours * 60 + *minutes);
    }
    const year_month_day date{year{static_cast<int>(*year_in)}, month{*month_in}, day{*day_in}};
    if (at != text.size() || !date.ok()) return std::nullopt;
    const int64_t days = sys_days{date}.time_since_epoch().count();
    const int64_t seconds = days * 86'400 +
                            static_cast<int64_t>(*hour * 3600 + *minute * 60 + *second) -
                            offset_minutes * 60;
    // Past 2554 ns since 1970 no longer fit in 64 bits.
    if (seconds < 0 || static_cast<uint64_t>(seconds) > UINT64_MAX / 1'000'000'000ULL - 1)
        return std::nullopt;
    return static_cast<uint64_t>(seconds) * 1'000'000'000ULL + fraction_ns;
}

std::string rfc3339(uint64_t ns) {
    using namespace std::chrono;
    const auto whole_days = static_cast<int>(ns / 86'400'000'000'000ULL);
    const uint64_t in_day_ns = ns % 86'400'000'000'000ULL;
    const year_month_day date{sys_days{days{whole_days}}};
    const uint64_t seconds = in_day_ns / 1'000'000'000ULL;
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}Z", static_cast<int>(date.year()),
                       static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                       seconds / 3600, seconds / 60 % 60, seconds % 60,
                       in_day_ns % 1'000'000'000ULL);
}

uint64_t wall_now_ns() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
}

client::StartAt parse_start(std::string_view text) {
    if (text == "trim_horizon") return {frame::Position::kTrimHorizon, 0};
    if (text == "latest") return {frame::Position::kLatest, 0};
    uint64_t sequence = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), sequence);
    if (error == std::errc{} && end == text.data() + text.size())
        return {frame::Position::kAtSequenceNumber, sequence};
    if (const auto time_ns = parse_rfc3339(text)) return {frame::Position::kAtTimestamp, *time_ns};
    throw std::runtime_error(
        fmt::format("'{}' is no position: give trim_horizon, latest, a sequence number or a time "
                    "like 2026-11-23T09:30:00Z",
                    text));
}

uint64_t parse_duration_ms(std::string_view text) {
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
    if (error == std::errc{}) {
        for (const Unit& known : kUnits) {
            if (unit == known.name && value <= UINT64_MAX / known.ms) return value * known.ms;
        }
    }
    throw std::runtime_error(
        fmt::format("'{}' is no duration: give a number with d, h, m, s or ms, like 24h", text));
}

std::string duration_ms_text(uint64_t ms) {
    // Days only from a week on: "24 h" is how retention is spoken of.
    for (const Unit& unit : kUnits) {
        if (ms >= unit.ms && ms % unit.ms == 0 && (unit.name != "d" || ms >= 7 * unit.ms)) {
            return fmt::format("{} {}", ms / unit.ms, unit.name);
        }
    }
    return fmt::format("{} ms", ms);
}

}  // namespace eagre::cli
