#pragma once
// Extents of the live segment, in memory: where each shard's runs lie. Bounded: when the table
// fills, what one extent may span doubles and neighbours are merged. Linked per shard as the run
// index is; lookups are O(log n).

#include <cstdint>
#include <memory>

#include "dataplane/journal/raw_array.h"
#include "dataplane/journal/segment_format.h"

namespace eagre::journal {

struct LiveExtent {
    Extent extent;
    uint32_t shard_slot;
    uint32_t previous;  // Index + 1; 0: none. Likewise next and jump.
    uint32_t next;
    uint32_t jump;
    uint32_t depth;
    uint32_t run_bytes;  // Of its runs alone; the extent may span others.
    uint64_t last_arrival_ns;  // Of its last run.
};

class ExtentIndex {
  public:
    /// `shard_count_max` heads are kept, one per shard slot.
    ExtentIndex(uint32_t extent_count_max, uint32_t shard_count_max);

    struct Run {
        uint32_t shard_slot;
        uint32_t bytes;  // Header included.
        uint64_t offset_bytes;
        uint64_t first_sequence;
        uint64_t arrival_ns;
        uint32_t record_count;
    };
    /// Runs come in the order of their offsets. The caller has made sure that the table is not
    /// full().
    void add(const Run& run);
    /// No room even after merging: the segment must be sealed.
    bool full() const { return count_ == capacity_; }
    uint32_t count() const { return count_; }
    uint32_t capacity() const { return capacity_; }
    const LiveExtent& at(uint32_t index) const { return extents_[index]; }
    /// Index of the shard's extent that holds `sequence` or of the first behind it; UINT32_MAX:
    /// none.
    uint32_t find(uint32_t shard_slot, uint64_t sequence) const;
    /// Index of the shard's last extent whose first run arrived before `arrival_ns`; UINT32_MAX:
    /// none.
    uint32_t find_time(uint32_t shard_slot, uint64_t arrival_ns) const;
    /// Index of the shard's first (last) extent; UINT32_MAX: none.
    uint32_t first_of(uint32_t shard_slot) const;
    uint32_t last_of(uint32_t shard_slot) const;
    uint32_t next_of(uint32_t index) const { return extents_[index].next - 1; }
    void reset();
    static constexpr uint32_t kNone = UINT32_MAX;

  private:
    struct Heads {
        uint32_t first = 0;  // Index + 1.
        uint32_t last = 0;
    };
    bool joins(const LiveExtent& before, const Extent& next) const;
    void append(const LiveExtent& extent);
    void compact();

    RawArray<LiveExtent> extents_;
    std::unique_ptr<Heads[]> heads_;
    uint32_t capacity_;
    uint32_t shard_count_max_;
    uint32_t count_ = 0;
    uint32_t doublings_ = 0;
};

}  // namespace eagre::journal
