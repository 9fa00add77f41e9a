// The heart of eagred's commit loop, alone: a small direct write, made durable, again and again, by
// a ring of the same make that is polled and yields, as a reactor does.
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>

#include <fcntl.h>
#include <liburing.h>
#include <unistd.h>

#include "tools/eagre/doctor/pinned_thread.h"
#include "tools/eagre/doctor/probes.h"

namespace eagre::doctor {
namespace {

constexpr uint64_t kFileBytes = 16ULL << 20U;
constexpr uint32_t kCommitBytes = 4096;
constexpr uint64_t kFillBytes = 1ULL << 20U;
constexpr uint64_t kRoundNs = 350'000'000;
constexpr uint32_t kRounds = 2;          // By turns, so that a slow second hits both ways alike.
constexpr uint32_t kScheduleRounds = 4;
// No device takes longer for one write; then the measurement says so.
constexpr uint64_t kAnswerNsMax = 5'000'000'000;

enum class Way : uint8_t { kSync, kDsync };

class CommitLoop {
  public:
    explicit CommitLoop(const std::string& directory);
    ~CommitLoop();
    CommitLoop(const CommitLoop&) = delete;
    CommitLoop& operator=(const CommitLoop&) = delete;

    int os_errno() const { return os_errno_; }
    /// To be called in the thread that measures: the ring is its own.
    void run(Way way, uint64_t duration_ns, Histogram& latencies);

  private:
    bool fill();
    bool commit(io_uring& ring, Way way);
    bool wait(io_uring& ring);

    int fd_ = -1;
    int os_errno_ = 0;
    uint64_t next_offset_ = 0;
    std::unique_ptr<std::byte, void (*)(void*)> buffer_{nullptr, std::free};
};

CommitLoop::CommitLoop(const std::string& directory) {
    fd_ = ::open(directory.c_str(), O_TMPFILE | O_RDWR | O_DIRECT | O_CLOEXEC, 0600);
    if (fd_ < 0) {
        os_errno_ = errno;
        return;
    }
    buffer_.reset(static_cast<std::byte*>(std::aligned_alloc(kCommitBytes, kFillBytes)));
    if (buffer_ == nullptr) {
        os_errno_ = ENOMEM;
    } else {
        std::memset(buffer_.get(), 0, kFillBytes);
        if (!fill()) os_errno_ = errno != 0 ? errno : EIO;
    }
}

CommitLoop::~CommitLoop() {
    if (fd_ >= 0) ::close(fd_);
}

// Eagre's segments are written once before their first use: later writes change no metadata.
bool CommitLoop::fill() {
    errno = 0;
    for (uint64_t at = 0; at < kFileBytes; at += kFillBytes) {
        if (::pwrite(fd_, buffer_.get(), kFillBytes, static_cast<off_t>(at)) !=
            static_cast<ssize_t>(kFillBytes))
            return false;
    }
    return ::fsync(fd_) == 0;
}

bool CommitLoop::wait(io_uring& ring) {
    const uint64_t begin = monotonic_now_ns();
    for (;;) {
        (void)io_uring_submit_and_get_events(&ring);
        io_uring_cqe* done = nullptr;
        if (io_uring_peek_cqe(&ring, &done) == 0) {
            const int result = done->res;
            io_uring_cqe_seen(&ring, done);
            if (result < 0) os_errno_ = -result;
            return result >= 0;
        }
        if (monotonic_now_ns() - begin > kAnswerNsMax) {
            os_errno_ = ETIMEDOUT;
            return false;
        }
        (void)::sched_yield();
    }
}

bool CommitLoop::commit(io_uring& ring, Way way) {
    io_uring_sqe* write = io_uring_get_sqe(&ring);
    io_uring_prep_write(write, fd_, buffer_.get(), kCommitBytes, next_offset_);
    if (way == Way::kDsync) write->rw_flags = RWF_DSYNC;
    next_offset_ = (next_offset_ + kCommitBytes) % kFileBytes;
    if (!wait(ring)) return false;
    if (way == Way::kDsync) return true;
    io_uring_prep_fsync(io_uring_get_sqe(&ring), fd_, IORING_FSYNC_DATASYNC);
    return wait(ring);
}

void CommitLoop::run(Way way, uint64_t duration_ns, Histogram& latencies) {
    io_uring ring{};
    io_uring_params params{};
    params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CLAMP;
    if (const int made = io_uring_queue_init_params(8, &ring, &params); made < 0) {
        os_errno_ = -made;
        return;
    }
    const uint64_t begin = monotonic_now_ns();
    for (uint64_t before = begin; before - begin < duration_ns;) {
        if (!commit(ring, way)) break;
        const uint64_t now = monotonic_now_ns();
        latencies.record(now - before);
        before = now;
    }
    io_uring_queue_exit(&ring);
}

/// Keeps a core busy and never yields, as a customer's program may.
class BusyCore {
  public:
    explicit BusyCore(uint32_t core)
        : thread_(pinned_thread(core, [this] {
              while (!stop_.load(std::memory_order_relaxed)) continue;
          })) {}
    ~BusyCore() {
        stop_.store(true, std::memory_order_relaxed);
        thread_.join();
    }
    BusyCore(const BusyCore&) = delete;
    BusyCore& operator=(const BusyCore&) = delete;

  private:
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

}  // namespace

CommitFigures measure_commits(const ProbePlace& place) {
    CommitFigures figures;
    figures.has_other_core = place.other_core.has_value();
    CommitLoop loop(place.directory);
    const auto measure = [&](Way way, Histogram& latencies) {
        if (loop.os_errno() != 0) return;
        pinned_thread(place.core, [&] { loop.run(way, kRoundNs, latencies); }).join();
    };
    for (uint32_t round = 0; round < kRounds; ++round) {
        measure(Way::kSync, figures.sync_idle);
        measure(Way::kDsync, figures.dsync_idle);
        if (!place.other_core) continue;
        const BusyCore busy(*place.other_core);
        measure(Way::kSync, figures.sync_busy);
        measure(Way::kDsync, figures.dsync_busy);
    }
    figures.os_errno = loop.os_errno();
    return figures;
}

ScheduleFigures measure_scheduling(const ProbePlace& place) {
    ScheduleFigures figures;
    CommitLoop loop(place.directory);
    for (uint32_t round = 0; round < 2 * kScheduleRounds; ++round) {
        const bool idle = round % 2 == 1;
        if (loop.os_errno() != 0 || figures.os_errno != 0) break;
        pinned_thread(place.core, [&] {
            const sched_param none{};
            if (idle && ::sched_setscheduler(0, SCHED_IDLE, &none) != 0) {
                figures.os_errno = errno;
                return;
            }
            loop.run(Way::kSync, kRoundNs, idle ? figures.idle : figures.other);
        }).join();
    }
    if (loop.os_errno() != 0) figures.os_errno = loop.os_errno();
    return figures;
}

}  // namespace eagre::doctor
