#pragma once
// The open-loop schedule: record i is due at start + i / rate, whatever the box does. Latency runs
// from then, so a stall is charged to every record that it made wait (no coordinated omission).

#include <cstdint>

#include "wire/base/assert.h"
#include "wire/base/prng.h"

namespace eagre::load {

/// A record handed to the client more than this after it was due is counted late.
inline constexpr uint64_t kLateNs = 1'000'000;

class Schedule {
  public:
    /// `rate_per_s` 0: no schedule; everything is due at once and "intended" is the moment of
    /// sending.
    Schedule(uint64_t start_ns, uint64_t rate_per_s)
        : start_ns_(start_ns), rate_per_s_(rate_per_s) {}

    bool open_loop() const { return rate_per_s_ != 0; }
    /// When record `index` should be sent. Only with a rate.
    uint64_t due_ns(uint64_t index) const {
        EAGRE_ASSERT(rate_per_s_ != 0);
        return start_ns_ +
               static_cast<uint64_t>(static_cast<Uint128>(index) * 1'000'000'000U / rate_per_s_);
    }
    /// How many records are due at `now_ns`; UINT64_MAX without a rate.
    uint64_t due_count(uint64_t now_ns) const {
        if (rate_per_s_ == 0) return UINT64_MAX;
        if (now_ns < start_ns_) return 0;
        // Record 0 is due at the start itself; rounding up here and down in due_ns keep the two
        // inverse.
        const Uint128 product = static_cast<Uint128>(now_ns - start_ns_ + 1) * rate_per_s_;
        return static_cast<uint64_t>((product + 999'999'999U) / 1'000'000'000U);
    }

  private:
    uint64_t start_ns_;
    uint64_t rate_per_s_;
};

}  // namespace eagre::load
