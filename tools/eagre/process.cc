#include "tools/eagre/process.h"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <stdexcept>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/eagre/progress.h"
#include "wire/base/assert.h"

namespace eagre::cli {
namespace {

constexpr useconds_t kReapPollUs = 2'000;

std::string how_it_ended(int status) {
    if (WIFSIGNALED(status))
        return fmt::format("signal {} ({})", WTERMSIG(status), strsignal(WTERMSIG(status)));
    return fmt::format("exit status {}", WEXITSTATUS(status));
}

/// In the child, between fork and exec: only calls that are safe there.
[[noreturn]] void become(const char* program, char* const* arguments, int log, pid_t parent) {
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    // We may have lost our parent before the line above took effect.
    if (getppid() != parent) _exit(127);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    std::signal(SIGPIPE, SIG_DFL);
    if (log >= 0) {
        dup2(log, STDOUT_FILENO);
        dup2(log, STDERR_FILENO);
    }
    execv(program, arguments);
    _exit(127);
}

}  // namespace

Process::~Process() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
}

void Process::start(const std::string& program, const std::vector<std::string>& arguments,
                    const std::string& log_path) {
    EAGRE_ASSERT(pid_ <= 0);
    if (access(program.c_str(), X_OK) != 0) {
        throw std::runtime_error(
            fmt::format("{} is not there: build it (tools/build release)", program));
    }
    std::vector<char*> pointers;
    pointers.push_back(const_cast<char*>(program.c_str()));
    for (const std::string& argument : arguments)
        pointers.push_back(const_cast<char*>(argument.c_str()));
    pointers.push_back(nullptr);
    int log = -1;
    if (!log_path.empty()) {
        log = open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (log < 0)
            throw std::runtime_error(fmt::format("{}: {}", log_path, std::strerror(errno)));
    }
    const pid_t parent = getpid();
    const pid_t child = fork();
    if (child == 0) become(program.c_str(), pointers.data(), log, parent);
    const int fork_errno = errno;
    if (log >= 0) close(log);
    if (child < 0)
        throw std::runtime_error(
            fmt::format("cannot start {}: {}", program, std::strerror(fork_errno)));
    pid_ = child;
}

std::optional<std::string> Process::ended() {
    if (pid_ <= 0) return std::nullopt;
    int status = 0;
    const pid_t reaped = waitpid(pid_, &status, WNOHANG);
    if (reaped == 0) return std::nullopt;
    pid_ = -1;
    return reaped > 0 ? how_it_ended(status) : "nobody knows how";
}

bool Process::stop(uint64_t patience_ns) {
    if (pid_ <= 0) return true;
    kill(pid_, SIGTERM);
    const uint64_t deadline_ns = monotonic_ns() + patience_ns;
    while (monotonic_ns() < deadline_ns) {
        if (ended()) return true;
        usleep(kReapPollUs);
    }
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
    return false;
}

std::string own_directory() {
    return std::filesystem::read_symlink("/proc/self/exe").parent_path().string();
}

}  // namespace eagre::cli
