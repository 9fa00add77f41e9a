#include "control/sockets/unix_sockets.h"

#include <cerrno>
#include <cstring>
#include <map>
#include <string_view>
#include <vector>

#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "wire/base/assert.h"
#include "wire/frame/frame.h"

namespace eagre::sockets {
namespace {

using client::PipeId;
using client::Slice;

constexpr std::string_view kUnixPrefix = "unix:";
// More than the controller ever has open: its administrators, one dataplane, a few that are being
// turned away.
constexpr size_t kPipeCountMax = 256;
constexpr int kListenBacklog = 32;

Result<sockaddr_un> address_of(std::string_view path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof(address.sun_path))
        return error_of(Errc::kBadArgument, sizeof(address.sun_path) - 1);
    std::memcpy(address.sun_path, path.data(), path.size());
    return address;
}

uint64_t clock_ns(clockid_t clock) {
    timespec now{};
    clock_gettime(clock, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000ULL +
           static_cast<uint64_t>(now.tv_nsec);
}

bool would_block(int code) {
    return code == EAGAIN || code == EWOULDBLOCK || code == EINTR;
}

/// The socket's mode keeps others out; should somebody widen it, or the directory be shared, the
/// kernel's word on who connected does.
bool is_trusted(int fd) {
    ucred peer{};
    socklen_t length = sizeof(peer);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return false;
    return peer.uid == 0 || peer.uid == geteuid();
}

void refuse(int fd) {
    frame::FrameHeader header;
    header.kind = frame::FrameKind::kError;
    header.flags = static_cast<uint16_t>(Errc::kUnauthenticated);
    frame::seal_header(header);
    // Its last words, if the socket takes them.
    [[maybe_unused]] const ssize_t sent = ::send(fd, &header, sizeof(header), MSG_NOSIGNAL);
    ::close(fd);
}

class OsUnixSockets final : public UnixSockets {
  public:
    OsUnixSockets(int listen_fd, int wake_fd, std::string path)
        : listen_fd_(listen_fd), path_(std::move(path)) {
        if (wake_fd >= 0) wake_fds_.push_back(wake_fd);
    }
    ~OsUnixSockets() override {
        for (const auto& [id, pipe] : pipes_) ::close(pipe.fd);
        ::close(listen_fd_);
        unlink(path_.c_str());
    }

    Result<PipeId> connect(std::string_view address, uint16_t /*port*/) override;
    Result<size_t> send(PipeId pipe, std::span<const Slice> slices) override;
    Result<size_t> receive(PipeId pipe, std::span<std::byte> target) override;
    void close(PipeId pipe) override;
    void wait(uint64_t timeout_ns) override;
    uint64_t monotonic_ns() override { return clock_ns(CLOCK_MONOTONIC); }
    uint64_t wall_ns() override { return clock_ns(CLOCK_REALTIME); }
    uint64_t random() override;
    std::optional<PipeId> accept() override;
    void wake_on(int fd) override { wake_fds_.push_back(fd); }

  private:
    struct Pipe {
        int fd = -1;
        bool wants_out = false;  // The last send found the socket full.
    };
    PipeId add(int fd) {
        const PipeId id(++last_id_);
        pipes_[id] = Pipe{fd, false};
        return id;
    }

    int listen_fd_;
    std::vector<int> wake_fds_;
    std::string path_;
    std::map<PipeId, Pipe> pipes_;
    uint64_t last_id_ = 0;
};

Result<PipeId> OsUnixSockets::connect(std::string_view address, uint16_t /*port*/) {
    if (!address.starts_with(kUnixPrefix)) return Errc::kBadArgument;
    if (pipes_.size() >= kPipeCountMax) return error_of(Errc::kLimitExceeded, kPipeCountMax);
    const auto target = address_of(address.substr(kUnixPrefix.size()));
    if (!target) return target.error();
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return os_error(Errc::kIo, errno);
    // On a Unix socket connecting is done at once, or refused: EAGAIN means that the other side's
    // backlog is full.
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&*target), sizeof(*target)) != 0) {
        const int code = errno;
        ::close(fd);
        return os_error(Errc::kDisconnected, code);
    }
    return add(fd);
}

Result<size_t> OsUnixSockets::send(PipeId pipe, std::span<const Slice> slices) {
    const auto found = pipes_.find(pipe);
    if (found == pipes_.end()) return Errc::kDisconnected;
    size_t total = 0;
    for (const Slice& slice : slices) {
        const ssize_t sent = ::send(found->second.fd, slice.data, slice.bytes, MSG_NOSIGNAL);
        if (sent < 0 && !would_block(errno)) return os_error(Errc::kDisconnected, errno);
        if (sent > 0) total += static_cast<size_t>(sent);
        found->second.wants_out = sent < 0 || static_cast<size_t>(sent) < slice.bytes;
        if (found->second.wants_out) break;
    }
    return total;
}

Result<size_t> OsUnixSockets::receive(PipeId pipe, std::span<std::byte> target) {
    const auto found = pipes_.find(pipe);
    if (found == pipes_.end()) return Errc::kDisconnected;
    EAGRE_ASSERT_GT(target.size(), 0U);
    const ssize_t received = recv(found->second.fd, target.data(), target.size(), 0);
    if (received > 0) return static_cast<size_t>(received);
    if (received < 0 && would_block(errno)) return size_t{0};
    return os_error(Errc::kDisconnected, received == 0 ? 0 : errno);
}

void OsUnixSockets::close(PipeId pipe) {
    const auto found = pipes_.find(pipe);
    if (found == pipes_.end()) return;
    ::close(found->second.fd);
    pipes_.erase(found);
}

void OsUnixSockets::wait(uint64_t timeout_ns) {
    std::vector<pollfd> polled;
    polled.reserve(pipes_.size() + wake_fds_.size() + 1);
    polled.push_back({listen_fd_, POLLIN, 0});
    for (const int fd : wake_fds_) polled.push_back({fd, POLLIN, 0});
    for (const auto& [id, pipe] : pipes_) {
        const int events = pipe.wants_out ? POLLIN | POLLOUT : POLLIN;
        polled.push_back({pipe.fd, static_cast<short>(events), 0});
    }
    const timespec timeout{static_cast<time_t>(timeout_ns / 1'000'000'000ULL),
                           static_cast<long>(timeout_ns % 1'000'000'000ULL)};
    // EINTR and errors alike: the caller looks at every pipe and finds out.
    [[maybe_unused]] const int ready = ppoll(polled.data(), polled.size(), &timeout, nullptr);
}

uint64_t OsUnixSockets::random() {
    uint64_t value = 0;
    EAGRE_ASSERT(getrandom(&value, sizeof(value), 0) == static_cast<ssize_t>(sizeof(value)));
    return value;
}

std::optional<PipeId> OsUnixSockets::accept() {
    if (pipes_.size() >= kPipeCountMax)
        return std::nullopt;  // They wait in the backlog, which is bounded too.
    for (;;) {
        const int fd = accept4(listen_fd_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) return std::nullopt;
        if (is_trusted(fd)) return add(fd);
        refuse(fd);
    }
}

}  // namespace

Result<std::unique_ptr<UnixSockets>> UnixSockets::listen(const std::string& path, int wake_fd) {
    const auto address = address_of(path);
    if (!address) return address.error();
    if (unlink(path.c_str()) != 0 && errno != ENOENT) return os_error(Errc::kIo, errno);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return os_error(Errc::kIo, errno);
    // The mode is that of creation: no moment in which others may connect.
    const mode_t mask_before = umask(0177);
    const int bound = bind(fd, reinterpret_cast<const sockaddr*>(&*address), sizeof(*address));
    const int code = errno;
    umask(mask_before);
    if (bound != 0 || ::listen(fd, kListenBacklog) != 0) {
        const Error error = os_error(Errc::kIo, bound != 0 ? code : errno);
        ::close(fd);
        return error;
    }
    return std::unique_ptr<UnixSockets>(std::make_unique<OsUnixSockets>(fd, wake_fd, path));
}

}  // namespace eagre::sockets
