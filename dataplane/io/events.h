#pragma once

#include <cstdint>

namespace eagre::io {

/// The heart-beat of a core: what Storage and Connections have queued goes out, what has completed
/// comes in.
class Events {
  public:
    virtual ~Events() = default;
    /// One submit-and-collect; never blocks. Afterwards Storage::reap and Connections::events have
    /// what arrived.
    virtual void poll() = 0;
    /// The same, but blocks until something arrives, wake() is called, or `timeout_ns` have passed.
    virtual void wait(uint64_t timeout_ns) = 0;
    /// Lets other threads of this core run (sched_yield) without blocking.
    virtual void yield() = 0;
    /// Ends another core's wait(). Callable from any thread; cheap when that core is not waiting.
    virtual void wake() = 0;
};

}  // namespace eagre::io
