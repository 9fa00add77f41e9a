#include "tools/eagre/latency_svg.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <fmt/format.h>

#include "tools/eagre/text.h"

namespace eagre::cli {
namespace {

/// A drawing's place for data, in its own units; CSS scales the whole.
struct Frame {
    double width, height;
    double left, right, top, bottom;  // Margins.
    double inner_width() const { return width - left - right; }
    double inner_height() const { return height - top - bottom; }
};
constexpr Frame kPercentileFrame{960, 420, 74, 24, 14, 48};
constexpr Frame kBarsFrame{470, 230, 46, 16, 30, 40};
constexpr size_t kBarCount = 60;
/// Histogram buckets are 1.6 % wide: a bar that is narrower would stand beside empty ones.
constexpr double kBarRatioMin = 1.035;
/// Of the labels' font, on the wide side: they must not touch.
constexpr double kCharacterWidth = 7;
/// A point nearer than this to the last one drawn is not seen.
constexpr double kPointStep = 0.4;

std::string open_svg(const Frame& frame, std::string_view label) {
    return fmt::format(
        "<svg viewBox=\"0 0 {:.0f} {:.0f}\" role=\"img\" aria-label=\"{}\">\n<title>{}</title>\n",
        frame.width, frame.height, html_escaped(label), html_escaped(label));
}

std::string line_of(double x1, double y1, double x2, double y2, std::string_view css) {
    return fmt::format(
        "<line class=\"{}\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>\n", css, x1,
        y1, x2, y2);
}

std::string text_at(double x, double y, std::string_view anchor, std::string_view css,
                    std::string_view text) {
    return fmt::format(
        "<text class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", css, x, y,
        anchor, html_escaped(text));
}

/// 1, 2 or 5 times a power of ten: the greatest at or below, or the least at or above.
double step_below(double value) {
    const double power = std::pow(10, std::floor(std::log10(value)));
    const double lead = value / power;
    return (lead >= 5 ? 5 : lead >= 2 ? 2 : 1) * power;
}
double step_above(double value) {
    const double below = step_below(value);
    if (below >= value) return below;
    const double lead = below / std::pow(10, std::floor(std::log10(below) + 1e-9));
    return below * (lead > 1.5 && lead < 3 ? 2.5 : 2);
}

/// 1, 2, 5, 10, ... of the range; only powers of ten when there would be too many.
std::vector<double> ticks_of(const LatencyRange& range, size_t count_max) {
    for (const bool all : {true, false}) {
        std::vector<double> ticks;
        for (double power = std::pow(10, std::floor(std::log10(range.low) + 1e-9));
             power <= range.high * 1.001; power *= 10) {
            for (const double lead : {1.0, 2.0, 5.0}) {
                if (!all && lead != 1.0) continue;
                const double tick = lead * power;
                if (tick >= range.low * 0.999 && tick <= range.high * 1.001) ticks.push_back(tick);
            }
        }
        if (ticks.size() <= count_max || !all) return ticks;
    }
    return {};
}

std::string tick_text(double ns) {
    const auto whole = [](double value, const char* unit) {
        return fmt::format("{:.0f} {}", value, unit);
    };
    if (ns < 999) return whole(ns, "ns");
    if (ns < 999e3) return whole(ns / 1e3, "us");
    if (ns < 999e6) return whole(ns / 1e6, "ms");
    return whole(ns / 1e9, "s");
}

double share_along(double ns, const LatencyRange& range) {
    const double at = std::clamp(ns, range.low, range.high);
    return std::log(at / range.low) / std::log(range.high / range.low);
}

/// "90 %", "99 %", "99.9 %", ... : `nines` nines.
std::string nines_text(int nines) {
    if (nines == 0) return "0 %";
    if (nines == 1) return "90 %";
    return nines == 2 ? "99 %" : "99." + std::string(static_cast<size_t>(nines - 2), '9') + " %";
}

}  // namespace

std::string html_escaped(std::string_view text) {
    std::string escaped;
    for (const char c : text) {
        switch (c) {
            case '&':
                escaped += "&amp;";
                break;
            case '<':
                escaped += "&lt;";
                break;
            case '>':
                escaped += "&gt;";
                break;
            case '"':
                escaped += "&quot;";
                break;
            case '\'':
                escaped += "&#39;";
                break;
            default:
                escaped += c;
        }
    }
    return escaped;
}

LatencyRange range_of(std::span<const LatencySeries> series) {
    double low = 1e18;
    double high = 1;
    for (const auto& [name, histogram] : series) {
        if (histogram->count() == 0) continue;
        low = std::min(low, std::max(1.0, static_cast<double>(histogram->min())));
        high = std::max(high, static_cast<double>(histogram->max()));
    }
    if (low > high) return {};
    LatencyRange range{step_below(low), step_above(high)};
    if (range.high < range.low * 10) range.high = range.low * 10;
    return range;
}

std::string percentile_svg(std::span<const LatencySeries> series) {
    const Frame& frame = kPercentileFrame;
    const LatencyRange range = range_of(series);
    uint64_t count_max = 10;
    for (const auto& each : series) count_max = std::max(count_max, each.histogram->count());
    // The share above a percentile is 10^-nines; one record in count_max is the least that is seen.
    const double nines_max = std::log10(static_cast<double>(count_max));
    const auto x_of = [&](double nines) {
        return frame.left + frame.inner_width() * std::min(nines, nines_max) / nines_max;
    };
    const auto y_of = [&](double ns) {
        return frame.top + frame.inner_height() * (1 - share_along(ns, range));
    };
    const double floor_y = frame.height - frame.bottom;

    std::string svg = open_svg(frame, "Latency by percentile, both logarithmic");
    for (const double tick : ticks_of(range, 14)) {
        svg += line_of(frame.left, y_of(tick), frame.width - frame.right, y_of(tick), "grid");
        svg += text_at(frame.left - 8, y_of(tick) + 4, "end", "axis", tick_text(tick));
    }
    for (int nines = 0; nines <= static_cast<int>(nines_max); ++nines) {
        svg += line_of(x_of(nines), frame.top, x_of(nines), floor_y, "grid");
        svg += text_at(x_of(nines), floor_y + 18, nines == 0 ? "start" : "middle", "axis",
                       nines_text(nines));
    }
    const double median = std::log10(2.0);
    svg += line_of(x_of(median), frame.top, x_of(median), floor_y, "grid");
    svg += text_at(x_of(median), floor_y + 18, "middle", "axis", "50 %");
    svg += text_at(frame.left + frame.inner_width() / 2, frame.height - 8, "middle", "axis",
                   "percentile (the right end is one record of all)");
    for (size_t i = 0; i < series.size(); ++i) {
        const Histogram& histogram = *series[i].histogram;
        const auto total = static_cast<double>(histogram.count());
        std::string points;
        double drawn_x = -1;
        double drawn_y = -1;
        uint64_t below = 0;
        const auto add = [&](double nines, double ns, bool always) {
            const double x = x_of(nines);
            const double y = y_of(ns);
            if (!always && std::abs(x - drawn_x) + std::abs(y - drawn_y) < kPointStep) return;
            points += fmt::format("{:.1f},{:.1f} ", x, y);
            drawn_x = x;
            drawn_y = y;
        };
        add(0, static_cast<double>(histogram.min()), true);
        histogram.for_each([&](uint64_t upper, uint64_t count) {
            const double ns = static_cast<double>(std::min(upper, histogram.max()));
            below += count;
            const uint64_t above = histogram.count() - below;
            add(std::log10(total / static_cast<double>(std::max<uint64_t>(above, 1))), ns,
                above == 0);
        });
        svg += fmt::format(
            "<polyline class=\"line c{}{}\" stroke-width=\"{:.1f}\" points=\"{}\"><title>{}: "
            "{}</title></polyline>\n",
            i % kSeriesColorCount, i >= kSeriesColorCount ? " dashed" : "",
            // Series that lie on each other are still seen: the first beneath, and wider.
            2 + 1.6 * static_cast<double>(std::min<size_t>(series.size() - 1 - i, 3)), points,
            html_escaped(series[i].name), html_escaped(percentile_line(histogram)));
    }
    return svg + "</svg>\n";
}

std::string histogram_svg(const LatencySeries& series, size_t color, const LatencyRange& range) {
    const Frame& frame = kBarsFrame;
    const Histogram& histogram = *series.histogram;
    const double decades = std::log(range.high / range.low);
    const auto bar_count = static_cast<size_t>(
        std::clamp(decades / std::log(kBarRatioMin), 1.0, static_cast<double>(kBarCount)));
    std::vector<uint64_t> bars(bar_count);
    histogram.for_each([&](uint64_t upper, uint64_t count) {
        const double ns = static_cast<double>(std::min(upper, histogram.max()));
        const auto at =
            static_cast<size_t>(share_along(ns, range) * static_cast<double>(bar_count));
        bars[std::min(at, bar_count - 1)] += count;
    });
    const uint64_t highest = std::max<uint64_t>(1, *std::max_element(bars.begin(), bars.end()));
    const double percent_max =
        step_above(100.0 * static_cast<double>(highest) /
                   static_cast<double>(std::max<uint64_t>(1, histogram.count())));
    const double floor_y = frame.height - frame.bottom;
    const auto x_of = [&](double ns) {
        return frame.left + frame.inner_width() * share_along(ns, range);
    };
    const auto y_of = [&](double percent) {
        return floor_y - frame.inner_height() * percent / percent_max;
    };

    std::string svg = open_svg(frame, series.name + ": share of records by latency");
    for (const double part : {0.0, 0.5, 1.0}) {
        const double percent = part * percent_max;
        svg += line_of(frame.left, y_of(percent), frame.width - frame.right, y_of(percent), "grid");
        svg += text_at(frame.left - 6, y_of(percent) + 4, "end", "axis",
                       fmt::format("{:.3g} %", percent));
    }
    const auto ticks = ticks_of(range, 8);
    for (const double tick : ticks) {
        svg += line_of(x_of(tick), floor_y, x_of(tick), floor_y + 4, "grid");
        svg += text_at(x_of(tick), floor_y + 18, "middle", "axis", tick_text(tick));
    }
    const double bar_width = frame.inner_width() / static_cast<double>(bar_count);
    for (size_t i = 0; i < bar_count; ++i) {
        if (bars[i] == 0) continue;
        const double percent =
            100.0 * static_cast<double>(bars[i]) / static_cast<double>(histogram.count());
        // A bar of a single record is still seen.
        const double height = std::max(1.0, floor_y - y_of(percent));
        const auto edge = [&](size_t number) {
            return range.low *
                   std::exp(decades * static_cast<double>(number) / static_cast<double>(bar_count));
        };
        svg += fmt::format(
            "<rect class=\"bar c{}\" x=\"{:.2f}\" y=\"{:.1f}\" width=\"{:.2f}\" height=\"{:.1f}\">"
            "<title>{} to {}: {} ({:.3g} %)</title></rect>\n",
            color % kSeriesColorCount,
            frame.left + bar_width * static_cast<double>(i) + bar_width * 0.08, floor_y - height,
            bar_width * 0.84, height, duration_text(static_cast<uint64_t>(edge(i))),
            duration_text(static_cast<uint64_t>(edge(i + 1))), grouped(bars[i]), percent);
    }
    // Names of marks that would overlap move left of the next one.
    double free_to = frame.width - 2;
    const std::pair<const char*, uint64_t> marks[] = {{"max", histogram.max()},
                                                      {"p99", histogram.percentile(99)},
                                                      {"p50", histogram.percentile(50)}};
    for (const auto& [name, ns] : marks) {
        const double x = x_of(static_cast<double>(ns));
        const std::string label = fmt::format("{} {}", name, duration_text(ns));
        const double label_width = static_cast<double>(label.size()) * kCharacterWidth;
        const double right = std::min(x + label_width / 2, free_to);
        svg += line_of(x, frame.top - 6, x, floor_y, "mark");
        svg += text_at(right - label_width / 2, frame.top - 12, "middle", "axis", label);
        free_to = right - label_width - kCharacterWidth;
    }
    return svg + "</svg>\n";
}

}  // namespace eagre::cli
