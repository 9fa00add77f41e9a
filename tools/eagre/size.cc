#include "tools/eagre/size.h"

#include <array>
#include <charconv>
#include <stdexcept>

#include <fmt/format.h>

#include "tools/eagre/text.h"

namespace eagre::cli {
namespace {

struct Unit {
    std::string_view letter;
    std::string_view name;
    uint64_t bytes;
};
constexpr std::array<Unit, 4> kUnits = {
    Unit{"T", "TiB", 1ULL << 40U}, Unit{"G", "GiB", 1ULL << 30U}, Unit{"M", "MiB", 1ULL << 20U},
    Unit{"K", "KiB", 1ULL << 10U}};

bool means_none(std::string_view text) {
    return text == "none" || text == "off";
}

uint64_t not_zero(uint64_t value, std::string_view what) {
    if (value == 0)
        throw std::runtime_error(fmt::format("{} can't be 0: give 'off' to take it away", what));
    return value;
}

}  // namespace

uint64_t parse_size(std::string_view text, std::string_view what) {
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
    if (error == std::errc{}) {
        if (unit.empty()) return value;
        for (const Unit& known : kUnits) {
            if ((unit == known.letter || unit == known.name) && value <= UINT64_MAX / known.bytes)
                return value * known.bytes;
        }
    }
    throw std::runtime_error(
        fmt::format("{} can't be '{}': give a number, or one with K, M, G or T (powers of 1024), like 10M",
                    what, text));
}

uint64_t parse_limit(std::string_view text, std::string_view what) {
    return means_none(text) ? 0 : not_zero(parse_size(text, what), what);
}

uint64_t parse_count_limit(std::string_view text, std::string_view what) {
    if (means_none(text)) return 0;
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size())
        throw std::runtime_error(
            fmt::format("{} can't be '{}': give a whole number, or 'off'", what, text));
    return not_zero(value, what);
}

std::string size_text(uint64_t bytes) {
    for (const Unit& unit : kUnits) {
        if (bytes >= unit.bytes && bytes % unit.bytes == 0)
            return fmt::format("{} {}", bytes / unit.bytes, unit.name);
    }
    return fmt::format("{} bytes", grouped(bytes));
}

}  // namespace eagre::cli
