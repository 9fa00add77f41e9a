#pragma once
// DATA/stats.shm as others than eagred may read it: mapped, checked and copied out at one moment, without asking eagred. For control's
// metrics and for the tools; any thread. A snapshot never changes. Its cost is a copy of what is in use: 1.1 MiB a core, 240 B a shard.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "wire/base/histogram.h"
#include "wire/base/result.h"
#include "wire/shm/stats.h"

namespace eagre::shm {

/// A core updates its statistics at least once a second while it serves: an eagred that was silent for longer is not running, and
/// what it last said is not shown as if it were now.
inline constexpr uint64_t kSilenceNsMax = 3'000'000'000ULL;

class StatsSnapshot {
  public:
    /// `path`: DATA/stats.shm; `now_ns`: the caller's monotonic clock, kept as taken_ns(). Errors: kIo (os_errno says why), kBadLength
    /// (shorter than its header, or than its header says), kBadVersion (another layout; detail = its version, 0: being written just now).
    static Result<StatsSnapshot> read(const std::string& path, uint64_t now_ns);

    const StatsHeader& header() const { return header_; }
    uint32_t core_count() const { return static_cast<uint32_t>(cores_.size()); }
    /// `index` < core_count().
    const CoreStats& core(uint32_t index) const;
    /// Slots in use, by shard id, over all cores. A shard that moves may be there twice.
    const std::vector<ShardStats>& shards() const { return shards_; }
    /// Null when it has no slot. O(log n).
    const ShardStats* find(uint64_t shard) const;
    uint64_t taken_ns() const { return taken_ns_; }
    /// How long ago the most recently seen core gave a sign of life.
    uint64_t silent_ns() const;
    bool alive() const { return silent_ns() <= kSilenceNsMax; }

    /// Sum of one counter over all cores.
    uint64_t total(uint64_t CoreStats::*counter) const;
    /// One histogram, all cores together.
    Histogram merged(Histogram CoreStats::*histogram) const;

  private:
    StatsHeader header_;
    std::vector<CoreStats> cores_;
    std::vector<ShardStats> shards_;
    uint64_t taken_ns_ = 0;
};

/// The process that writes these statistics; 0 when the file is not there or not (yet) one of ours.
uint32_t stats_pid(const std::string& path);

/// Text of a NUL-padded field; the whole of it when it has no NUL.
std::string_view text_of(const char* field, size_t bytes);
inline std::string_view stream_name(const ShardStats& shard) { return text_of(shard.stream_name, sizeof(shard.stream_name)); }

}  // namespace eagre::shm
