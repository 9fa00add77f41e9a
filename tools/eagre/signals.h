#pragma once
// How Ctrl-C reaches a command: as an answer to a question, not as an interruption.

#include <cstdint>

namespace eagre::cli {

/// SIGINT, SIGTERM and SIGCHLD are not delivered but waited for, by the main thread, here.
class Signals {
  public:
    /// Before any thread is started: they inherit it.
    static void block();
    /// Waits at most `timeout_ns`. True when SIGINT or SIGTERM has come (now or earlier).
    static bool wait(uint64_t timeout_ns);
};

}  // namespace eagre::cli
