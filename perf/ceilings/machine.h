#pragma once
// The few things a measuring program asks of the machine: a core to itself, the clock, what it has
// used.

#include <cstddef>
#include <cstdint>

namespace eagre::perf {

/// Binds the calling thread to one CPU. False when the kernel refuses (no such CPU, or not in our
/// cpuset).
bool pin_to_cpu(uint32_t cpu);

uint64_t monotonic_ns();

/// User and system time of the process so far.
uint64_t process_cpu_ns();
/// Of the calling thread so far.
uint64_t thread_cpu_ns();

/// Largest resident set so far.
uint64_t resident_bytes_max();

}  // namespace eagre::perf
