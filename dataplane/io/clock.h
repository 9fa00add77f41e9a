#pragma once

#include <cstdint>

namespace eagre::io {

class Clock {
  public:
    virtual ~Clock() = default;
    /// Never runs backwards; origin unknown. ns.
    virtual uint64_t monotonic_ns() = 0;
    /// Wall clock, ns since 1970. May jump either way.
    virtual uint64_t wall_ns() = 0;
    /// CPU time used by the calling thread, ns; for statistics. 0 where there is no such thing.
    virtual uint64_t thread_cpu_ns() { return 0; }
};

}  // namespace eagre::io
