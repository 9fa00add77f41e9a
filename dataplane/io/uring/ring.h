#pragma once
// The ring itself, shared by storage and connections of one core: who asked is told apart by the
// low bits of user_data.

#include <atomic>
#include <cstdint>

#include <liburing.h>

#include "dataplane/io/events.h"
#include "wire/base/result.h"

namespace eagre::io {

/// Low three bits of user_data.
enum class Asker : uint64_t { kStorage = 0, kAccept = 1, kPoll = 2, kWake = 3, kNobody = 4, kDatagrams = 5 };
inline constexpr uint64_t kAskerMask = 7;

class CompletionSink {
  public:
    virtual ~CompletionSink() = default;
    /// `value`: user_data without the asker bits; `more`: the multishot request lives on.
    virtual void on_completion(uint64_t value, int32_t result, bool more) = 0;
};

class Ring : public Events {
  public:
    static Result<int> probe();
    Ring() = default;
    ~Ring() override;
    Ring(const Ring&) = delete;
    Ring& operator=(const Ring&) = delete;
    /// Errors: kKernelTooOld.
    Status open();
    void set_sinks(CompletionSink* storage, CompletionSink* accept, CompletionSink* poll,
                   CompletionSink* datagrams);

    /// A submission entry; null when the queue is full (submit happens with the next poll).
    io_uring_sqe* entry();
    /// An entry even if the queue must be submitted first; never null.
    io_uring_sqe* entry_now();
    static void tag(io_uring_sqe* sqe, Asker asker, uint64_t value) {
        sqe->user_data = value | static_cast<uint64_t>(asker);
    }

    void poll() override;
    void wait(uint64_t timeout_ns) override;
    void yield() override;
    void wake() override;

  private:
    void drain();
    void arm_wake();

    io_uring ring_{};
    bool open_ = false;
    int wake_fd_ = -1;
    std::atomic<bool> waiting_{false};
    std::atomic<bool> woken_{false};
    CompletionSink* sinks_[kAskerMask + 1] = {};  // By Asker; null: we handle it, or nobody.
};

}  // namespace eagre::io
