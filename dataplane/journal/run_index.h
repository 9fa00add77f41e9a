#pragma once
// Where the youngest runs lie in the memory window: a ring of one entry per run, linked per shard
// in both directions and with jump links (skew-binary, as for O(log n) ancestors), so that a tail
// reader takes O(1) per run and a seek O(log n). A link is a distance in runs; one that leads out
// of the ring is no link.

#include <cstdint>

#include "dataplane/journal/raw_array.h"

namespace eagre::journal {

struct RunIndexEntry {
    uint64_t position = 0;  // Of the RunHeader in the window.
    uint64_t first_sequence = 0;
    uint32_t record_count = 0;
    uint32_t shard_slot = 0;
    uint32_t next = 0;      // Distance to the shard's next run; 0: none yet.
    uint32_t previous = 0;  // Distance back; 0: none.
    uint32_t jump = 0;      // Distance back to an earlier run of the shard; 0: none.
    uint32_t depth = 0;     // Number of runs of this shard before it.
};

class RunIndex {
  public:
    /// `count`: capacity, at least 2.
    explicit RunIndex(uint32_t count);

    /// Serial number that the next run gets; the first is 1 (0: no run).
    uint64_t next_serial() const { return next_serial_; }
    uint32_t capacity() const { return capacity_; }
    bool holds(uint64_t serial) const {
        return serial != 0 && serial < next_serial_ && next_serial_ - serial <= capacity_;
    }
    const RunIndexEntry& at(uint64_t serial) const { return entries_[serial % capacity_]; }

    struct Run {
        uint64_t position;
        uint64_t first_sequence;
        uint32_t record_count;
        uint32_t shard_slot;
    };
    /// Adds a run behind `last`, the shard's last serial (0: none); returns its serial.
    uint64_t add(const Run& run, uint64_t last);
    /// The shard's next run; 0: none yet.
    uint64_t next_of(uint64_t serial) const;
    /// The shard's run that holds `sequence`, or the first one behind it, going back from `last`; 0
    /// when that lies before what the ring still holds. `oldest_position`: runs before it are no
    /// longer in the window.
    struct Seek {
        uint64_t last;
        uint64_t sequence;
        uint64_t oldest_position;
    };
    uint64_t find(const Seek& seek) const;

  private:
    RunIndexEntry& entry(uint64_t serial) { return entries_[serial % capacity_]; }
    uint64_t back(uint64_t serial, uint32_t distance) const;

    RawArray<RunIndexEntry> entries_;
    uint32_t capacity_;
    uint64_t next_serial_ = 1;
};

}  // namespace eagre::journal
