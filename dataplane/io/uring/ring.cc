#include "dataplane/io/uring/ring.h"

#include <cerrno>

#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "dataplane/io/uring/uring_io.h"
#include "wire/base/assert.h"

namespace eagre::io {

Status Ring::open() {
    io_uring_params params{};
    params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                   IORING_SETUP_COOP_TASKRUN | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP |
                   IORING_SETUP_SUBMIT_ALL;
    params.cq_entries = kCompletionEntries;
    // DEFER_TASKRUN came with Linux 6.1: completions are then run by us, in poll and wait, and not
    // in the middle of a turn.
    const int made = io_uring_queue_init_params(kRingEntries, &ring_, &params);
    if (made < 0) return os_error(Errc::kKernelTooOld, -made);
    open_ = true;
    (void)io_uring_register_ring_fd(&ring_);  // Saves an fget per call; not having it is no error.
    wake_fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake_fd_ < 0) return os_error(Errc::kIo, errno);
    arm_wake();
    return {};
}

Ring::~Ring() {
    if (open_) io_uring_queue_exit(&ring_);
    if (wake_fd_ >= 0) ::close(wake_fd_);
}

void Ring::set_sinks(CompletionSink* storage, CompletionSink* accept, CompletionSink* poll,
                     CompletionSink* datagrams) {
    sinks_[static_cast<size_t>(Asker::kStorage)] = storage;
    sinks_[static_cast<size_t>(Asker::kAccept)] = accept;
    sinks_[static_cast<size_t>(Asker::kPoll)] = poll;
    sinks_[static_cast<size_t>(Asker::kDatagrams)] = datagrams;
}

io_uring_sqe* Ring::entry() {
    return io_uring_get_sqe(&ring_);
}

io_uring_sqe* Ring::entry_now() {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    if (sqe == nullptr) {
        io_uring_submit(&ring_);
        sqe = io_uring_get_sqe(&ring_);
    }
    EAGRE_ASSERT(sqe != nullptr);
    return sqe;
}

void Ring::arm_wake() {
    io_uring_sqe* sqe = entry_now();
    io_uring_prep_poll_multishot(sqe, wake_fd_, POLLIN);
    tag(sqe, Asker::kWake, 0);
}

void Ring::poll() {
    (void)io_uring_submit_and_get_events(&ring_);
    drain();
}

void Ring::wait(uint64_t timeout_ns) {
    // Order matters: say that we wait, then look whether somebody called wake() before we said it.
    waiting_.store(true, std::memory_order_seq_cst);
    if (woken_.exchange(false, std::memory_order_seq_cst)) {
        waiting_.store(false, std::memory_order_relaxed);
        poll();
        return;
    }
    __kernel_timespec timeout{};
    timeout.tv_sec = static_cast<int64_t>(timeout_ns / 1'000'000'000ULL);
    timeout.tv_nsec = static_cast<int64_t>(timeout_ns % 1'000'000'000ULL);
    io_uring_cqe* first = nullptr;
    (void)io_uring_submit_and_wait_timeout(&ring_, &first, 1, &timeout, nullptr);
    waiting_.store(false, std::memory_order_relaxed);
    woken_.store(false, std::memory_order_relaxed);
    drain();
}

void Ring::yield() {
    ::sched_yield();
}

void Ring::wake() {
    woken_.store(true, std::memory_order_seq_cst);
    if (!waiting_.load(std::memory_order_seq_cst)) return;  // It will look before it waits.
    const uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(wake_fd_, &one, sizeof(one));
}

void Ring::drain() {
    io_uring_cqe* cqe = nullptr;
    unsigned head = 0;
    unsigned count = 0;
    io_uring_for_each_cqe(&ring_, head, cqe) {
        ++count;
        const uint64_t asker = cqe->user_data & kAskerMask;
        const bool more = (cqe->flags & IORING_CQE_F_MORE) != 0;
        if (asker == static_cast<uint64_t>(Asker::kWake)) {
            uint64_t value = 0;
            [[maybe_unused]] const auto got = ::read(wake_fd_, &value, sizeof(value));
            if (!more) arm_wake();
        } else if (sinks_[asker] != nullptr) {
            sinks_[asker]->on_completion(cqe->user_data & ~kAskerMask, cqe->res, more);
        }
    }
    io_uring_cq_advance(&ring_, count);
}

}  // namespace eagre::io
