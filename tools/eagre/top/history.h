#pragma once
// The last readings of the shared memory, and the view of them: rates over the last interval,
// latencies and errors over the last ten seconds, trends over the last few minutes. Main thread
// only; no clock, no I/O.

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "tools/eagre/stats_view.h"
#include "tools/eagre/top/view.h"

namespace eagre::cli::top {

/// Latencies are of the last ten seconds: long enough for a p99.9, short enough to see a change.
inline constexpr uint64_t kWindowNs = 10'000'000'000ULL;
inline constexpr size_t kReadingsMax = 128;  // Of a window; with shorter intervals it is shorter.
inline constexpr size_t kTrendLength = 240;  // Readings; as wide as the widest sparkline.
inline constexpr size_t kStreamTrendsMax = 1000;

class History {
  public:
    /// Takes a later reading. Another run of eagred begins anew, but for the trends.
    void add(StatsSnapshot snapshot);
    /// There was none to be had; the trends get a 0.
    void miss();
    /// Fills in all that comes from readings. Without one, the view says nothing is there.
    void fill(View& view) const;

  private:
    using Trend = std::deque<double>;
    static void push(Trend& trend, double value);
    void push_trends();

    std::deque<StatsSnapshot> readings_;
    Trend in_trend_;
    Trend out_trend_;
    std::map<std::string, Trend> stream_trends_;
};

}  // namespace eagre::cli::top
