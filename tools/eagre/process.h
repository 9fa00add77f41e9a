#pragma once
// One child process: started so that it can't outlive us, watched, stopped in good order.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace eagre::cli {

class Process {
  public:
    Process() = default;
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;
    /// Kills what is still running: the last resort, after stop() was not called or an exception
    /// passed by.
    ~Process();

    /// Starts `program` with `arguments` in a process group of its own (Ctrl-C reaches us, and we
    /// stop it in order), to be sent SIGTERM by the kernel if we die. `log_path` empty: shares our
    /// output; else both outputs are appended there. Call from a thread that lives as long as the
    /// child should (PR_SET_PDEATHSIG watches the thread). Throws std::runtime_error.
    void start(const std::string& program, const std::vector<std::string>& arguments,
               const std::string& log_path);

    bool running() const { return pid_ > 0; }
    pid_t pid() const { return pid_; }

    /// Looks, without waiting, whether it has ended. Returns how ("exit status 1", "signal 9
    /// (Killed)") once.
    std::optional<std::string> ended();
    /// SIGTERM, waits at most `patience_ns`, then SIGKILL. Returns false when it had to be killed.
    bool stop(uint64_t patience_ns);

  private:
    pid_t pid_ = -1;
};

/// Where our own program lies, to find its siblings in.
std::string own_directory();

}  // namespace eagre::cli
