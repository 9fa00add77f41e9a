#pragma once
// How much of a shard a reader has before him: when the first unread record arrived, and how many bytes are unread. What
// lies in memory is counted run by run; for what lies deeper, extents give a bound from above, because they may span runs of
// other shards.

#include <cstdint>
#include <memory>

#include "dataplane/journal/reader.h"

namespace eagre::journal {

/// Measures under way at once that need the device. More wait.
inline constexpr uint32_t kGaugeCount = 8;
/// Runs counted one by one; what lies behind them is counted by extents.
inline constexpr uint32_t kCountedRunsMax = 4096;
/// Extents counted; what lies behind them is taken to be like them.
inline constexpr uint32_t kCountedExtentsMax = 16384;

class Measurer {
  public:
    explicit Measurer(ReadSide& side) : side_(side) {}
    /// `from` in [trim horizon, durable tail). Errors: kBusy (ask again after poll()), and those of reading.
    Result<Unread> measure(const ShardState& shard, uint64_t from);
    /// Gives up what is under way.
    void reset() {
        for (Gauge& gauge : gauges_) gauge = {};
    }

  private:
    struct Gauge {
        uint64_t shard = 0;  // 0: free.
        uint64_t from = 0;
        uint64_t used_ns = 0;
        std::unique_ptr<JournalReader> reader;  // Looks for the first unread run; null once it was found.
        uint64_t arrival_ns = 0;
        uint64_t next = 0;  // Everything before it has been counted.
        uint64_t bytes = 0;
        uint32_t extent_count = 0;
    };
    Gauge* gauge_for(uint64_t shard, uint64_t from);
    /// Counts in memory from the run that holds `from` on; false when that is not there.
    bool count_memory(const ShardState& shard, uint64_t from, Gauge& gauge) const;
    Status find_arrival(Gauge& gauge) const;
    Status count_extents(const ShardState& shard, Gauge& gauge) const;

    ReadSide& side_;
    Gauge gauges_[kGaugeCount];
};

}  // namespace eagre::journal
