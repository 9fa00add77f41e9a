#pragma once
// What the shards of each stream have taken and given, added up so that it never runs backwards: a
// shard that is gone (its records expired after a split, say) leaves what it counted with its
// stream. Owned by whoever takes the readings; pure.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "wire/shm/stats_snapshot.h"

namespace eagre::metrics {

struct StreamCounters {
    uint64_t records_in = 0;
    uint64_t bytes_in = 0;
    uint64_t batches_in = 0;
    uint64_t records_out = 0;
    uint64_t bytes_out = 0;

    void add(const StreamCounters& other);
};

/// Of the shards that are there now.
struct StreamNow {
    uint64_t open_shard_count = 0;
    uint64_t closed_shard_count = 0;
    uint64_t record_count = 0;  // Above the trim horizons.
};

/// The slots of a reading with each shard once: one that is moving has a slot on two cores; its
/// counters are added, its positions are those of the later slot. By id.
std::vector<shm::ShardStats> distinct_shards(const shm::StatsSnapshot& snapshot);

class StreamTotals {
  public:
    struct Stream {
        uint64_t id = 0;
        StreamCounters counters;  // Since eagred was started; only grows.
        StreamNow now;
    };

    /// Takes a later reading. Another run of eagred begins anew, as its counters do.
    void update(const shm::StatsSnapshot& snapshot, const std::vector<shm::ShardStats>& shards);
    /// By name. A stream whose last shard is gone is not there.
    const std::map<std::string, Stream, std::less<>>& streams() const { return streams_; }

  private:
    struct Seen {
        std::string stream;
        StreamCounters counters;
    };
    uint64_t incarnation_ = 0;
    uint32_t pid_ = 0;
    std::map<uint64_t, Seen> seen_;  // By shard: as the last reading had it.
    std::map<std::string, StreamCounters, std::less<>> departed_;
    std::map<std::string, Stream, std::less<>> streams_;
};

}  // namespace eagre::metrics
