#include "tools/eagre/feed/pace.h"

#include <algorithm>

#include "tools/eagre/progress.h"
#include "tools/eagre/signals.h"

namespace eagre::cli {
namespace {

constexpr uint64_t kNearNs = 100'000;         // A sleep may take so much longer than it was asked for.
constexpr uint64_t kSleepNsMax = 200'000'000;

}  // namespace

bool wait_until(uint64_t due_ns) {
    for (;;) {
        const uint64_t now_ns = monotonic_ns();
        if (now_ns >= due_ns) return Signals::wait(0);
        const uint64_t left_ns = due_ns - now_ns;
        if (left_ns > kNearNs && Signals::wait(std::min(left_ns - kNearNs, kSleepNsMax))) return true;
    }
}

}  // namespace eagre::cli
