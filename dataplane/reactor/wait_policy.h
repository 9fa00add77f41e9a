#pragma once
// How a core waits when there is nothing to do.

#include <cstdint>
#include <string_view>

#include "dataplane/io/events.h"

namespace eagre::reactor {

enum class WaitPolicy : uint8_t {
    kSpin,      // Never blocks; yields on every empty turn. For a core kept for Eagre.
    kAdaptive,  // Spins for kSpinNs after the last work where that pays, else blocks.
    kBlock,     // Blocks at once. For shared cores: a spinning reactor makes kernel workers on its core wait.
};
inline constexpr uint64_t kSpinNs = 50'000;
/// Spinning pays when work comes before kSpinNs are over. After so many spins in vain in a row the core blocks at once, ...
inline constexpr uint32_t kVainSpinsMax = 4;
/// ... but for one try in so many, to notice that times have changed.
inline constexpr uint32_t kBlocksPerTry = 32;

/// One Events call per turn, chosen by policy and by whether the last turn did something.
class Waiter {
  public:
    explicit Waiter(WaitPolicy policy) : policy_(policy) {}
    /// `timeout_ns`: when the core must wake even if nothing arrives.
    void turn(io::Events& events, bool did_work, uint64_t now_ns, uint64_t timeout_ns) {
        if (did_work) {
            if (spinning_) vain_spins_ = 0;  // It came while we spun.
            spinning_ = false;
            last_work_ns_ = now_ns;
            events.poll();
            return;
        }
        if (may_spin(now_ns)) {
            events.yield();
            events.poll();
        } else {
            events.wait(timeout_ns);
        }
    }

  private:
    bool may_spin(uint64_t now_ns) {
        if (policy_ != WaitPolicy::kAdaptive) return policy_ == WaitPolicy::kSpin;
        if (spinning_) {
            if (now_ns - last_work_ns_ < kSpinNs) return true;
            spinning_ = false;
            ++vain_spins_;
            return false;
        }
        if (now_ns - last_work_ns_ >= kSpinNs) return false;
        spinning_ = vain_spins_ < kVainSpinsMax || ++blocks_ % kBlocksPerTry == 0;
        return spinning_;
    }

    WaitPolicy policy_;
    bool spinning_ = false;
    uint32_t vain_spins_ = 0;
    uint32_t blocks_ = 0;
    uint64_t last_work_ns_ = 0;
};

}  // namespace eagre::reactor
