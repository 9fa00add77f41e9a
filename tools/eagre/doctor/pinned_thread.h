#pragma once
// A thread on one CPU, for as long as a measurement takes.

#include <cstdint>
#include <ctime>
#include <thread>
#include <utility>

#include <sched.h>

namespace eagre::doctor {

inline uint64_t monotonic_now_ns() {
    timespec time{};
    (void)::clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000ULL +
           static_cast<uint64_t>(time.tv_nsec);
}

/// Runs `work` on `cpu`; joined by the caller. Where pinning is refused it runs anywhere.
template <class Work>
std::thread pinned_thread(uint32_t cpu, Work work) {
    return std::thread([cpu, work = std::move(work)]() mutable {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(cpu, &set);
        (void)::sched_setaffinity(0, sizeof(set), &set);
        work();
    });
}

}  // namespace eagre::doctor
