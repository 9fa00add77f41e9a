#pragma once
// When the next thing is due, and waiting for it: sleeping while it is far, turning when it is near.

#include <cstdint>

namespace eagre::cli {

/// Returns at `due_ns` (CLOCK_MONOTONIC), or at once when that is past. True: Ctrl-C has come.
bool wait_until(uint64_t due_ns);

}  // namespace eagre::cli
