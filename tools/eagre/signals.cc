#include "tools/eagre/signals.h"

#include <csignal>
#include <ctime>

namespace eagre::cli {
namespace {
sigset_t waited_signals() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGCHLD);
    return set;
}
bool stop_asked = false;  // Main thread only.
}  // namespace

void Signals::block() {
    const sigset_t set = waited_signals();
    sigprocmask(SIG_BLOCK, &set, nullptr);
}

bool Signals::wait(uint64_t timeout_ns) {
    const sigset_t set = waited_signals();
    const timespec timeout{static_cast<time_t>(timeout_ns / 1'000'000'000ULL),
                           static_cast<long>(timeout_ns % 1'000'000'000ULL)};
    const int signal = sigtimedwait(&set, nullptr, &timeout);
    if (signal == SIGINT || signal == SIGTERM) stop_asked = true;
    return stop_asked;
}

}  // namespace eagre::cli
