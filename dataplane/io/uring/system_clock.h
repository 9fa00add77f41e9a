#pragma once

#include <time.h>

#include "dataplane/io/clock.h"

namespace eagre::io {

class SystemClock final : public Clock {
  public:
    uint64_t monotonic_ns() override { return read(CLOCK_MONOTONIC); }
    uint64_t wall_ns() override { return read(CLOCK_REALTIME); }
    uint64_t thread_cpu_ns() override { return read(CLOCK_THREAD_CPUTIME_ID); }

  private:
    static uint64_t read(clockid_t id) {
        timespec now{};
        ::clock_gettime(id, &now);
        return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000ULL +
               static_cast<uint64_t>(now.tv_nsec);
    }
};

/// 64 bits from the kernel. Blocks only before the kernel's pool is ready.
uint64_t kernel_random();

}  // namespace eagre::io
