#include "control/metrics/exposition.h"

#include <array>
#include <iterator>

#include <fmt/format.h>

#include "wire/base/assert.h"

namespace eagre::metrics {
namespace {

struct Bound {
    uint64_t ns;
    std::string_view seconds;
};
// Fine enough to see 100 us from 200 us, few enough that 64 cores stay below 10,000 series.
constexpr std::array<Bound, 22> kBounds = {
    {{1'000, "1e-06"},     {2'000, "2e-06"},      {5'000, "5e-06"},     {10'000, "1e-05"},
     {20'000, "2e-05"},    {50'000, "5e-05"},     {100'000, "0.0001"},  {200'000, "0.0002"},
     {500'000, "0.0005"},  {1'000'000, "0.001"},  {2'000'000, "0.002"}, {5'000'000, "0.005"},
     {10'000'000, "0.01"}, {20'000'000, "0.02"},  {50'000'000, "0.05"}, {100'000'000, "0.1"},
     {200'000'000, "0.2"}, {500'000'000, "0.5"},  {1'000'000'000, "1"}, {2'000'000'000, "2"},
     {5'000'000'000, "5"}, {10'000'000'000, "10"}}};

std::string_view kind_name(Kind kind) {
    switch (kind) {
        case Kind::kCounter:
            return "counter";
        case Kind::kGauge:
            return "gauge";
        case Kind::kHistogram:
            return "histogram";
    }
    return "untyped";
}

/// Backslash, quote and line feed as the format wants them. Bytes that are no UTF-8 would make the
/// whole page unreadable for a scraper: whatever is not printable ASCII becomes '?'.
void append_escaped(std::string& text, std::string_view value) {
    for (const char c : value) {
        if (c == '\\' || c == '"') {
            text += '\\';
            text += c;
        } else if (c == '\n') {
            text += "\\n";
        } else {
            text += c >= ' ' && c <= '~' ? c : '?';
        }
    }
}

}  // namespace

void Exposition::family(std::string_view name, Kind kind, std::string_view help) {
    EAGRE_ASSERT(kind != Kind::kCounter || name.ends_with("_total"));
    family_ = name;
    fmt::format_to(std::back_inserter(text_), "# HELP {} {}\n# TYPE {} {}\n", name, help, name,
                   kind_name(kind));
}

void Exposition::begin(std::string_view suffix, Labels labels, std::string_view bound) {
    text_ += family_;
    text_ += suffix;
    char separator = '{';
    const auto add = [&](std::string_view name, std::string_view value) {
        text_ += separator;
        separator = ',';
        text_ += name;
        text_ += "=\"";
        append_escaped(text_, value);
        text_ += '"';
    };
    for (const Label& label : labels) add(label.name, label.value);
    if (!bound.empty()) add("le", bound);
    text_ += separator == ',' ? "} " : " ";
}

void Exposition::sample(Labels labels, uint64_t value) {
    begin({}, labels);
    fmt::format_to(std::back_inserter(text_), "{}\n", value);
}

void Exposition::sample(Labels labels, double value) {
    begin({}, labels);
    fmt::format_to(std::back_inserter(text_), "{}\n", value);
}

void Exposition::histogram(Labels labels, const Histogram& values) {
    std::array<uint64_t, kBounds.size() + 1> counts{};
    size_t bound = 0;
    values.for_each([&](uint64_t upper, uint64_t count) {
        while (bound < kBounds.size() && upper > kBounds[bound].ns) ++bound;
        counts[bound] += count;
    });
    uint64_t total = 0;
    for (size_t i = 0; i < counts.size(); ++i) {
        total += counts[i];
        begin("_bucket", labels, i < kBounds.size() ? kBounds[i].seconds : "+Inf");
        fmt::format_to(std::back_inserter(text_), "{}\n", total);
    }
    begin("_sum", labels);
    fmt::format_to(std::back_inserter(text_), "{}\n", static_cast<double>(values.sum()) / 1e9);
    begin("_count", labels);
    fmt::format_to(std::back_inserter(text_), "{}\n", total);
}

}  // namespace eagre::metrics
