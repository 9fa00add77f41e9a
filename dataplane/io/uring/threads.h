#pragma once
// The only place that starts threads, sets affinity and scheduling, and catches signals.

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>

#include "wire/base/result.h"

namespace eagre::io {

struct ThreadOptions {
    uint32_t cpu = 0;
    /// SCHED_IDLE: on a core kept for Eagre, kernel workers (kblockd) then preempt the spinning
    /// reactor at once.
    bool sched_idle = false;
    const char* name = "eagre-core";  // At most 15 characters.
};

/// Starts `body` on a thread pinned to its CPU. Pinning or scheduling that the kernel refuses is
/// reported on stderr and does not stop the thread.
std::thread start_pinned(const ThreadOptions& options, std::function<void()> body);

/// SIGINT and SIGTERM set `stop` and call `wake` (from an ordinary thread, not from the handler);
/// SIGPIPE is ignored. Call before any other thread is started. Returns the thread that waits; it
/// ends when a signal came or end_signals() is called.
std::thread watch_signals(std::atomic<bool>& stop, std::function<void()> wake);
void end_signals(std::thread& watcher);

/// mlockall of now and later. Errors: kIo.
Status lock_memory();

/// True when this CPU exists and we may run on it.
bool cpu_is_usable(uint32_t cpu);

}  // namespace eagre::io
