#pragma once
// How a core waits when there is nothing to do.

#include <cstdint>
#include <string_view>

#include "dataplane/io/events.h"

namespace eagre::reactor {

enum class WaitPolicy : uint8_t {
    kSpin,      // Never blocks; yields on every empty turn. For a core kept for Eagre.
    kAdaptive,  // Spins for kSpinNs after the last work, then blocks.
    kBlock,     // Blocks at once. For shared cores: a spinning reactor makes kernel workers on its core wait.
};
inline constexpr uint64_t kSpinNs = 50'000;

/// One Events call per turn, chosen by policy and by whether the last turn did something.
class Waiter {
  public:
    explicit Waiter(WaitPolicy policy) : policy_(policy) {}
    /// `timeout_ns`: when the core must wake even if nothing arrives.
    void turn(io::Events& events, bool did_work, uint64_t now_ns, uint64_t timeout_ns) {
        if (did_work) {
            last_work_ns_ = now_ns;
            events.poll();
            return;
        }
        const bool spin = policy_ == WaitPolicy::kSpin ||
                          (policy_ == WaitPolicy::kAdaptive && now_ns - last_work_ns_ < kSpinNs);
        if (spin) {
            events.yield();
            events.poll();
        } else {
            events.wait(timeout_ns);
        }
    }

  private:
    WaitPolicy policy_;
    uint64_t last_work_ns_ = 0;
};

}  // namespace eagre::reactor
