#include "dataplane/io/uring/threads.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

namespace eagre::io {
namespace {

sigset_t stop_signals() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGUSR1);  // end_signals
    return set;
}

}  // namespace

std::thread start_pinned(const ThreadOptions& options, std::function<void()> body) {
    return std::thread([options, body = std::move(body)] {
        pthread_setname_np(pthread_self(), options.name);
        cpu_set_t cpus;
        CPU_ZERO(&cpus);
        CPU_SET(options.cpu, &cpus);
        if (const int error = pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus);
            error != 0) {
            std::fprintf(stderr, "eagred: can't pin to CPU %u: %s; going on unpinned\n",
                         options.cpu, std::strerror(error));
        }
        if (options.sched_idle) {
            const sched_param parameters{};
            if (pthread_setschedparam(pthread_self(), SCHED_IDLE, &parameters) != 0) {
                std::fprintf(stderr,
                             "eagred: the kernel refuses SCHED_IDLE; going on as SCHED_OTHER\n");
            }
        }
        body();
    });
}

std::thread watch_signals(std::atomic<bool>& stop, std::function<void()> wake) {
    std::signal(SIGPIPE, SIG_IGN);
    const sigset_t set = stop_signals();
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    return std::thread([&stop, wake = std::move(wake)] {
        const sigset_t waited = stop_signals();
        int signal = 0;
        sigwait(&waited, &signal);
        stop.store(true);
        wake();
    });
}

void end_signals(std::thread& watcher) {
    if (!watcher.joinable()) return;
    pthread_kill(watcher.native_handle(), SIGUSR1);
    watcher.join();
}

Status lock_memory() {
    if (::mlockall(MCL_CURRENT | MCL_FUTURE) != 0) return os_error(Errc::kIo, errno);
    return {};
}

bool cpu_is_usable(uint32_t cpu) {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    if (::sched_getaffinity(0, sizeof(cpus), &cpus) != 0) return false;
    return cpu < CPU_SETSIZE && CPU_ISSET(cpu, &cpus);
}

}  // namespace eagre::io
