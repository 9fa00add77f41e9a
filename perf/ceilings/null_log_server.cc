// null_log_server: the plainest durable log: TCP in, one aligned direct write of what has arrived,
// fdatasync, one answer per frame. Blocking calls, one commit at a time, no index, no checks, no
// order to keep. Every throughput and latency goal of Eagre is a ratio to it, measured in the same
// run with the same client. It is a fair baseline only while its commits reach 0.8 x of raw
// write+fdatasync at its commit size (raw_disk): perf/check looks.
//
// With --overlap a second thread on the same CPU waits for the device, so that the next commit is
// received meanwhile: the stronger baseline where throughput counts (0.9 x of raw instead of 0.7), the
// weaker one for latency, where each commit then pays for two more wake-ups.
#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "perf/ceilings/json_line.h"
#include "perf/ceilings/machine.h"
#include "perf/ceilings/null_log_session.h"
#include "perf/ceilings/zero_file.h"
#include "wire/base/assert.h"

namespace eagre::perf {
namespace {

struct Options {
    std::string file;
    uint64_t file_bytes = 1024 * kMiB;
    uint64_t commit_bytes = 512 * kKiB;
    uint32_t shard_count = 4;
    uint16_t port = 0;
    int cpu = -1;
    bool overlap = false;
};

volatile std::sig_atomic_t g_stop = 0;
void on_signal(int) {
    g_stop = 1;
}

constexpr size_t kConnectionCountMax = 64;
constexpr size_t kUnfinishedMax = 2;  // Commits handed over and not durable yet; 1 without a thread.

// Writes and syncs one commit after the other, for whoever can't wait for it: one under way and at
// most one behind it, so that the device never waits for a wake-up of the other thread. What is
// durable is told by eventfd, so that the other side can poll() for it beside its sockets.
class CommitThread {
  public:
    explicit CommitThread(ZeroFile& file) : file_(file), done_fd_(::eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE)) {
        thread_ = std::thread([this] { run(); });
    }
    ~CommitThread() {
        begin({});
        thread_.join();
        ::close(done_fd_);
    }
    CommitThread(const CommitThread&) = delete;
    CommitThread& operator=(const CommitThread&) = delete;

    /// At most two may be unfinished; the bytes stay as they are until then. An empty one ends the thread.
    void begin(std::span<const std::byte> commit) {
        {
            const std::lock_guard lock(mutex_);
            commits_.push_back(commit);
        }
        more_.notify_one();
    }
    /// Readable when a commit is durable or failed.
    int done_fd() const { return done_fd_; }
    /// Waits until the oldest unfinished commit is durable. Errors: kIo.
    Status finish() {
        eventfd_t count = 0;
        while (::eventfd_read(done_fd_, &count) != 0) {
        }
        const std::lock_guard lock(mutex_);
        return status_;
    }

  private:
    void run() {
        // Runs as soon as the device is done, whatever the other thread is receiving. Where that is not allowed it has to wait
        // for its turn.
        const sched_param first{.sched_priority = 1};
        ::sched_setscheduler(0, SCHED_FIFO, &first);
        std::unique_lock lock(mutex_);
        for (;;) {
            more_.wait(lock, [this] { return !commits_.empty(); });
            const auto commit = commits_.front();
            if (commit.empty()) return;
            lock.unlock();
            Status status = file_.append(commit);
            if (status) status = file_.sync();
            lock.lock();
            commits_.pop_front();
            if (!status) status_ = status;
            ::eventfd_write(done_fd_, 1);
        }
    }

    ZeroFile& file_;
    int done_fd_;
    std::mutex mutex_;
    std::condition_variable more_;
    std::deque<std::span<const std::byte>> commits_;
    Status status_;
    std::thread thread_;
};

struct Connection {
    Connection(int socket, NullBox& box) : fd(socket), session(box) {}
    int fd;
    NullLogSession session;
    std::vector<std::byte>
        carry;  // The beginning of a frame that the last commit could not hold whole.
    // Answers to the commits that are on their way to the device, oldest first.
    std::array<std::vector<std::byte>, kUnfinishedMax> waiting;
    bool open = true;
};

class Server {
  public:
    Server(const Options& options, ZeroFile file, int listener, uint16_t port)
        : options_(options), file_(std::move(file)), listener_(listener) {
        box_.port = port;
        box_.shard_count = options.shard_count;
        box_.next_sequence.assign(options.shard_count, 1);
        capacity_ = options.commit_bytes + NullLogSession::kFrameBytesMax;
        commit_ = make_aligned(capacity_ + kDirectAlignment);
        if (options.overlap) {
            for (AlignedBuffer& buffer : spare_) buffer = make_aligned(capacity_ + kDirectAlignment);
            writer_ = std::make_unique<CommitThread>(file_);
        }
    }

    /// Until a signal: wait for bytes, gather what is there, write, sync, answer.
    Status run() {
        while (g_stop == 0) {
            if (!wait()) continue;
            for (const pollfd& polled : polls_) {
                if (polled.fd == listener_ && (polled.revents & POLLIN) != 0) accept_one();
            }
            if (unfinished_ > 0 && (polls_.back().revents & POLLIN) != 0) {
                if (Status status = end_commit(); !status) return status;
            }
            for (size_t i = 0; i < polled_count_ && !full_; ++i) {
                if (polls_[i + 1].revents != 0) gather(*connections_[i]);
            }
            // One that is not full goes when the device would have nothing to do.
            if (unfinished_ == 0 || (full_ && unfinished_ < kUnfinishedMax)) {
                if (Status status = commit(); !status) return status;
            }
        }
        while (unfinished_ > 0) {
            if (Status status = end_commit(); !status) return status;
        }
        return {};
    }

    JsonLine report() const {
        JsonLine line;
        line.add("records", box_.record_count)
            .add("frames", box_.append_count)
            .add("commits", commit_count_)
            .add("written_bytes", written_bytes_)
            .add("mean_commit_bytes", commit_count_ == 0 ? 0.0
                                                         : static_cast<double>(written_bytes_) /
                                                               static_cast<double>(commit_count_))
            .add("cpu_s", static_cast<double>(process_cpu_ns()) / 1e9)
            .add("write_sync_s", static_cast<double>(device_ns_) / 1e9)
            .add_us("write_sync_us", write_sync_ns_)
            .add("rss_bytes", resident_bytes_max());
        return line;
    }

  private:
    bool wait() {
        polls_.clear();
        polls_.push_back({listener_, POLLIN, 0});
        polled_count_ = full_ ? 0 : connections_.size();
        for (size_t i = 0; i < polled_count_; ++i) polls_.push_back({connections_[i]->fd, POLLIN, 0});
        if (unfinished_ > 0) polls_.push_back({writer_->done_fd(), POLLIN, 0});
        return ::poll(polls_.data(), polls_.size(), 100) > 0;
    }

    void accept_one() {
        const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
        if (fd < 0) return;
        if (connections_.size() == kConnectionCountMax) {
            ::close(fd);
            return;
        }
        const int on = 1;
        ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        connections_.push_back(std::make_unique<Connection>(fd, box_));
    }

    // Receives straight into the open commit until the socket is empty or the commit is full.
    void gather(Connection& connection) {
        std::memcpy(commit_.get() + fill_, connection.carry.data(), connection.carry.size());
        size_t partial = connection.carry.size();
        connection.carry.clear();
        while (connection.open) {
            // A frame that alone is larger than a commit still gets one.
            const size_t limit =
                fill_ == 0 && partial >= options_.commit_bytes ? capacity_ : options_.commit_bytes;
            if (fill_ + partial >= limit) {
                full_ = true;  // With the beginning of a frame that goes into the next one.
                break;
            }
            std::byte* target = commit_.get() + fill_;
            const ssize_t got =
                ::recv(connection.fd, target + partial, limit - fill_ - partial, MSG_DONTWAIT);
            if (got <= 0) {
                connection.open = got < 0 && (errno == EAGAIN || errno == EINTR);
                break;
            }
            partial += static_cast<size_t>(got);
            const auto whole = connection.session.take({target, partial});
            if (!whole) {
                std::fprintf(stderr, "null_log_server: closing a connection: error %u\n",
                             static_cast<unsigned>(whole.error().code));
                connection.open = false;
                break;
            }
            fill_ += *whole;
            partial -= *whole;
        }
        const std::byte* rest = commit_.get() + fill_;
        connection.carry.assign(rest, rest + partial);
        answer(connection, connection.session.replies_now());
    }

    Status commit() {
        bool any = false;
        for (const auto& connection : connections_) {
            any = any || !connection->session.replies_durable().empty();
            std::swap(connection->waiting[unfinished_], connection->session.replies_durable());
        }
        if (!any) return unfinished_ == 0 ? answer_all() : Status{};
        const size_t bytes = (fill_ + kDirectAlignment - 1) / kDirectAlignment * kDirectAlignment;
        fill_ = 0;
        full_ = false;
        written_bytes_ += bytes;
        ++commit_count_;
        if (unfinished_ == 0) begin_ns_ = monotonic_ns();
        if (writer_ == nullptr) {
            if (Status status = file_.append({commit_.get(), bytes}); !status) return status;
            if (Status status = file_.sync(); !status) return status;
            note_device_time();
            return answer_all();
        }
        writer_->begin({commit_.get(), bytes});
        std::swap(commit_, spare_[0]);
        std::swap(spare_[0], spare_[1]);
        ++unfinished_;
        return {};
    }

    Status end_commit() {
        if (Status status = writer_->finish(); !status) return status;
        note_device_time();
        begin_ns_ = monotonic_ns();
        --unfinished_;
        return answer_all();
    }

    void note_device_time() {
        const uint64_t spent = monotonic_ns() - begin_ns_;
        write_sync_ns_.record(spent);
        device_ns_ += spent;
    }

    Status answer_all() {
        for (const auto& connection : connections_) {
            answer(*connection, connection->waiting.front());
            std::rotate(connection->waiting.begin(), connection->waiting.begin() + 1, connection->waiting.end());
            if (!connection->open) ::close(connection->fd);
        }
        std::erase_if(connections_, [](const std::unique_ptr<Connection>& c) { return !c->open; });
        return {};
    }

    // Blocks until the socket took everything: a client that doesn't read its answers stops the
    // server, as blocking servers do.
    static void answer(Connection& connection, std::vector<std::byte>& replies) {
        size_t sent = 0;
        while (sent < replies.size()) {
            const ssize_t n =
                ::send(connection.fd, replies.data() + sent, replies.size() - sent, MSG_NOSIGNAL);
            if (n < 0 && errno == EINTR) continue;
            if (n <= 0) {
                connection.open = false;
                break;
            }
            sent += static_cast<size_t>(n);
        }
        replies.clear();
    }

    const Options options_;
    ZeroFile file_;
    int listener_;
    NullBox box_;
    size_t capacity_ = 0;
    AlignedBuffer commit_;
    std::array<AlignedBuffer, kUnfinishedMax> spare_;  // Turn about with commit_: the last one begins anew when it is durable.
    std::unique_ptr<CommitThread> writer_;
    size_t unfinished_ = 0;
    uint64_t begin_ns_ = 0;
    size_t fill_ = 0;
    bool full_ = false;
    std::vector<std::unique_ptr<Connection>> connections_;
    std::vector<pollfd> polls_;
    size_t polled_count_ = 0;  // Connections in polls_, from its second place on.
    uint64_t commit_count_ = 0;
    uint64_t written_bytes_ = 0;
    uint64_t device_ns_ = 0;
    Histogram write_sync_ns_;
};

int listen_on_loopback(uint16_t* port) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(*port);
    socklen_t length = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    if (::bind(fd, generic, length) != 0 || ::listen(fd, 16) != 0 ||
        ::getsockname(fd, generic, &length) != 0) {
        std::fprintf(stderr, "null_log_server: cannot listen on 127.0.0.1:%u: %s\n", *port,
                     std::strerror(errno));
        return -1;
    }
    *port = ntohs(address.sin_port);
    return fd;
}

int serve(const Options& options) {
    if (options.cpu >= 0 && !pin_to_cpu(static_cast<uint32_t>(options.cpu))) {
        std::fprintf(stderr, "null_log_server: cannot run on CPU %d\n", options.cpu);
        return 1;
    }
    auto file = ZeroFile::create(options.file, options.file_bytes);
    if (!file) {
        std::fprintf(stderr, "null_log_server: %s: %s\n", options.file.c_str(),
                     std::strerror(file.error().os_errno));
        return 1;
    }
    uint16_t port = options.port;
    const int listener = listen_on_loopback(&port);
    if (listener < 0) return 1;
    struct sigaction action {};
    action.sa_handler = on_signal;
    ::sigaction(SIGTERM, &action, nullptr);
    ::sigaction(SIGINT, &action, nullptr);
    std::printf("ready %u\n", port);
    std::fflush(stdout);
    Server server(options, std::move(*file), listener, port);
    const Status status = server.run();
    if (!status)
        std::fprintf(stderr, "null_log_server: write or sync: %s\n",
                     std::strerror(status.error().os_errno));
    std::printf("%s\n", server.report().text().c_str());
    return status ? 0 : 1;
}

}  // namespace
}  // namespace eagre::perf

int main(int argc, char** argv) {
    eagre::perf::Options options;
    CLI::App app{
        "The plainest durable log server, the baseline of perf/check. Prints \"ready PORT\", then "
        "serves until SIGTERM "
        "and prints what it did as JSON.\nExample: null_log_server --file /tmp/null.log --cpu 0 "
        "--commit-bytes 524288"};
    app.add_option("--file", options.file, "Log file; overwritten with zeros first")->required();
    app.add_option("--file-bytes", options.file_bytes, "Size of the file; writing wraps around")
        ->check(CLI::Range(uint64_t{32} << 20U, uint64_t{1} << 40U));
    app.add_option("--commit-bytes", options.commit_bytes, "What one write holds at most")
        ->check(CLI::Range(uint64_t{4096}, uint64_t{8} << 20U));
    app.add_option("--shards", options.shard_count, "Shards of the made-up stream")
        ->check(CLI::Range(1U, 10000U));
    app.add_option("--port", options.port, "TCP port on loopback; 0: any");
    app.add_option("--cpu", options.cpu, "CPU to run on; -1: any");
    app.add_flag("--overlap", options.overlap, "Receive the next commit while the device works on one");
    CLI11_PARSE(app, argc, argv);
    options.file_bytes = options.file_bytes / eagre::kMiB * eagre::kMiB;
    return eagre::perf::serve(options);
}
