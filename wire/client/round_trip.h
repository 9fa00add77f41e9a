#pragma once
// How long an answer takes, as RFC 6298 estimates it: a smoothed mean and deviation, and from them how long to wait.

#include <algorithm>
#include <cstdint>

namespace eagre::client {

class RoundTrip {
  public:
    /// The time-out stays within `min_ns` .. `max_ns`; `start_ns` before the first sample.
    RoundTrip(uint64_t min_ns, uint64_t max_ns, uint64_t start_ns) : min_ns_(min_ns), max_ns_(max_ns), start_ns_(start_ns) {}

    void sample(uint64_t ns) {
        if (smoothed_ns_ == 0) {
            smoothed_ns_ = std::max<uint64_t>(ns, 1);
            deviation_ns_ = ns / 2;
            return;
        }
        // RFC 6298 section 2.3: beta 1/4, alpha 1/8.
        const uint64_t error = ns > smoothed_ns_ ? ns - smoothed_ns_ : smoothed_ns_ - ns;
        deviation_ns_ = deviation_ns_ - deviation_ns_ / 4 + error / 4;
        smoothed_ns_ = std::max<uint64_t>(smoothed_ns_ - smoothed_ns_ / 8 + ns / 8, 1);
    }
    /// 0: no sample yet.
    uint64_t smoothed_ns() const { return smoothed_ns_; }
    /// After `doublings` waits in vain.
    uint64_t time_out_ns(uint32_t doublings = 0) const {
        const uint64_t base = smoothed_ns_ == 0 ? start_ns_ : smoothed_ns_ + 4 * deviation_ns_;
        return std::min(std::max(base, min_ns_) << std::min(doublings, 20U), max_ns_);
    }

  private:
    uint64_t min_ns_;
    uint64_t max_ns_;
    uint64_t start_ns_;
    uint64_t smoothed_ns_ = 0;
    uint64_t deviation_ns_ = 0;
};

}  // namespace eagre::client
