#pragma once
// Retention's own clock: wall time that never runs faster than monotonic time, so that a clock that jumps ahead can't
// trim what is young. A jump found at start waits for the operator (`eagre clock accept`).

#include <algorithm>
#include <cstdint>

namespace eagre::shard {

/// A box that was off for longer than this looks the same as a clock that jumped: an operator must say which.
inline constexpr uint64_t kClockJumpNsMax = 24ULL * 3600 * 1'000'000'000ULL;

class RetentionClock {
  public:
    /// `last_arrival_ns`: newest arrival found in the journals, 0 for an empty box.
    RetentionClock(uint64_t last_arrival_ns, uint64_t wall_ns, uint64_t monotonic_ns)
        : now_ns_(std::max(last_arrival_ns, wall_ns)), monotonic_ns_(monotonic_ns) {
        if (last_arrival_ns != 0 && wall_ns > last_arrival_ns + kClockJumpNsMax) {
            waits_ = true;
            now_ns_ = last_arrival_ns;
        }
    }
    /// Moves on; returns the time to trim by, ns since 1970. Stands still while it waits.
    uint64_t advance(uint64_t wall_ns, uint64_t monotonic_ns) {
        const uint64_t elapsed = monotonic_ns - monotonic_ns_;
        monotonic_ns_ = monotonic_ns;
        if (!waits_) now_ns_ = std::max(now_ns_, std::min(wall_ns, now_ns_ + elapsed));
        return now_ns_;
    }
    bool waits() const { return waits_; }
    void accept(uint64_t wall_ns) {
        waits_ = false;
        now_ns_ = std::max(now_ns_, wall_ns);
    }

  private:
    uint64_t now_ns_;
    uint64_t monotonic_ns_;
    bool waits_ = false;
};

}  // namespace eagre::shard
