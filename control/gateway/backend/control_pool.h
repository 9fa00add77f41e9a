#pragma once
// What is asked of eagre-control, off the gateway's own thread: its client waits for answers, a creation for a sync. A few threads, each
// with a connection; jobs queue up, bounded; what they found comes back to poll() in the gateway's thread.

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "wire/client/control_client.h"

namespace eagre::gateway {

class ControlPool {
  public:
    /// What to do with the outcome, in the gateway's thread.
    using Completion = std::function<void()>;
    /// Runs in a thread of the pool. An error ends it with Failed; a connection that broke is made anew and the job run once more, as
    /// control closes those that are idle.
    using Job = std::function<Result<Completion>(client::ControlClient&)>;
    using Failed = std::function<void(Error, const std::string& message)>;

    ControlPool(std::string socket_path, uint32_t thread_count);
    /// Waits for the jobs under way (each bounded by the client's time-out).
    ~ControlPool();
    ControlPool(const ControlPool&) = delete;
    ControlPool& operator=(const ControlPool&) = delete;

    /// `failed`, with what control said: the job's error; kUnavailable: control does not answer; kBusy: too many wait (called at once).
    void submit(Job job, Failed failed);
    /// Readable when poll() has something to do.
    int wait_fd() const { return event_fd_; }
    void poll();

  private:
    struct Item {
        Job job;
        Failed failed;
    };
    void run();
    Completion completion_of(Item& item, std::unique_ptr<client::ControlClient>& client);
    void finish(Completion completion);

    std::string socket_path_;
    int event_fd_;
    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<Item> items_;
    std::vector<Completion> done_;
    bool stopping_ = false;
    std::vector<std::thread> threads_;
};

}  // namespace eagre::gateway
