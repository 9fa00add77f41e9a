#pragma once
// How many bytes of a segment are alive: of runs that lie above their shard's horizon, from its directory. A shard whose
// horizon lies within counts for the part of its records that is above.

#include <algorithm>
#include <cstdint>

#include "dataplane/journal/facts.h"
#include "dataplane/journal/segment_pool.h"

namespace eagre::journal {

/// Of `bytes` that a segment has, those that the relocated segment before it has no copy of.
inline uint64_t bytes_of_its_own(const Segment& segment, uint64_t bytes) {
    if (segment.rest_offset <= kSegmentDataOffset || segment.trailer.end_bytes <= kSegmentDataOffset) return bytes;
    const uint64_t end = segment.trailer.end_bytes;
    return static_cast<uint64_t>(static_cast<double>(bytes) * static_cast<double>(end - std::min(segment.rest_offset, end)) /
                                 static_cast<double>(end - kSegmentDataOffset));
}

class AliveCount {
  public:
    void reset() { *this = AliveCount(); }

    /// An entry of the segment's directory; `state`: of its shard, null when it is not known any more. `horizon`: of the shard.
    void add(const DirectoryEntry& entry, const ShardState* state, uint64_t horizon) {
        if (entry.extent_count == 0) return;
        const uint64_t records = entry.next_sequence - std::min(entry.first_sequence, entry.next_sequence);
        records_ += records;
        bytes_known_ = bytes_known_ && entry.run_bytes != 0;
        if (state == nullptr || state->facts.deleted || records == 0) return;
        const uint64_t above = entry.next_sequence - std::clamp(horizon, entry.first_sequence, entry.next_sequence);
        alive_records_ += above;
        if (above > 0) {
            const uint64_t kept_ns = state->facts.retention_ms * 1'000'000;
            dies_ns_ = std::max(dies_ns_, kept_ns == 0 ? UINT64_MAX : entry.last_arrival_ns + kept_ns);
        }
        alive_bytes_ += static_cast<uint64_t>(static_cast<double>(entry.run_bytes) * static_cast<double>(above) /
                                              static_cast<double>(records));
    }

    /// Of the whole segment, when every entry has been added. What an older build sealed has no bytes by shard: then the
    /// records that are alive have their share of all bytes.
    uint64_t bytes(const Segment& segment) const {
        const uint64_t data_bytes = segment.trailer.end_bytes - kSegmentDataOffset;
        uint64_t alive = alive_bytes_;
        if (!bytes_known_ && records_ > 0) alive = share(data_bytes, alive_records_, records_);
        return std::min(bytes_of_its_own(segment, alive), data_bytes);
    }

    /// When retention will have taken all of it; UINT64_MAX: never.
    uint64_t dies_ns() const { return dies_ns_; }

  private:
    static uint64_t share(uint64_t of, uint64_t part, uint64_t whole) {
        return static_cast<uint64_t>(static_cast<double>(of) * static_cast<double>(part) / static_cast<double>(whole));
    }

    uint64_t alive_bytes_ = 0;
    uint64_t alive_records_ = 0;
    uint64_t records_ = 0;
    uint64_t dies_ns_ = 0;
    bool bytes_known_ = true;
};

}  // namespace eagre::journal
