#pragma once
// Latency histograms as inline SVG. Pure functions. Colours are CSS classes of the page that holds
// the drawings (`c0` ... of a series, `axis`, `grid`, `mark`), so that light and dark are one
// place; nothing refers to anything outside.

#include <span>
#include <string>
#include <string_view>

#include "tools/eagre/load_report.h"

namespace eagre::cli {

/// Series are told apart by this many colours, then by dashes.
inline constexpr size_t kSeriesColorCount = 8;

/// &, <, > and quotes as entities.
std::string html_escaped(std::string_view text);

/// A range of latencies in ns whose ends are 1, 2 or 5 times a power of ten.
struct LatencyRange {
    double low = 1e3;
    double high = 1e6;
};
/// Holds every value of all series (at least a factor of 10, so that one value is a plot too).
LatencyRange range_of(std::span<const LatencySeries> series);

/// Percentile against latency, both logarithmic, as HdrHistogram plots: equal steps from 90 % to
/// 99 % to 99.9 %, as far as the counts carry (the last point of a series is its maximum).
std::string percentile_svg(std::span<const LatencySeries> series);

/// One series as bars over latency (logarithmic, in `range`): each bar the share of the records in
/// it; lines at p50, p99 and the maximum. `color`: number of the series.
std::string histogram_svg(const LatencySeries& series, size_t color, const LatencyRange& range);

}  // namespace eagre::cli
