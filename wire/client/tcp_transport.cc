// The real transport: sockets, epoll, the system's clocks.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string>
#include <vector>

#include "wire/base/assert.h"
#include "wire/client/transport.h"
#include "wire/client/udp_socket.h"

namespace eagre::client {
namespace {

constexpr size_t kSliceCountMax = 64;

// Returns the length used in `target`; 0 when `address` is no numeric IPv4 or IPv6.
socklen_t numeric_address(std::string_view address, uint16_t port, sockaddr_storage& target) {
    const std::string text(address);
    auto* v4 = reinterpret_cast<sockaddr_in*>(&target);
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&target);
    if (::inet_pton(AF_INET, text.c_str(), &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        return sizeof(sockaddr_in);
    }
    if (::inet_pton(AF_INET6, text.c_str(), &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        return sizeof(sockaddr_in6);
    }
    return 0;
}

class TcpTransport final : public Transport {
  public:
    explicit TcpTransport(bool spin) : spin_(spin), epoll_fd_(::epoll_create1(EPOLL_CLOEXEC)) {}
    ~TcpTransport() override {
        for (const int fd : fds_) {
            if (fd >= 0) ::close(fd);
        }
        if (epoll_fd_ >= 0) ::close(epoll_fd_);
    }
    TcpTransport(const TcpTransport&) = delete;
    TcpTransport& operator=(const TcpTransport&) = delete;

    Result<PipeId> connect(std::string_view address, uint16_t port) override {
        const std::string text(address);
        sockaddr_storage target{};
        socklen_t length = 0;
        auto* v4 = reinterpret_cast<sockaddr_in*>(&target);
        auto* v6 = reinterpret_cast<sockaddr_in6*>(&target);
        auto* local = reinterpret_cast<sockaddr_un*>(&target);
        if (text.starts_with("unix:")) {
            if (text.size() - 5 >= sizeof(local->sun_path)) return Errc::kBadArgument;
            local->sun_family = AF_UNIX;
            std::memcpy(local->sun_path, text.data() + 5, text.size() - 5);
            length = sizeof(sockaddr_un);
        } else if (::inet_pton(AF_INET, text.c_str(), &v4->sin_addr) == 1) {
            v4->sin_family = AF_INET;
            v4->sin_port = htons(port);
            length = sizeof(sockaddr_in);
        } else if (::inet_pton(AF_INET6, text.c_str(), &v6->sin6_addr) == 1) {
            v6->sin6_family = AF_INET6;
            v6->sin6_port = htons(port);
            length = sizeof(sockaddr_in6);
        } else {
            return Errc::kBadArgument;
        }
        const int fd = ::socket(target.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0) return os_error(Errc::kIo, errno);
        const int on = 1;
        if (target.ss_family != AF_UNIX) ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        if (::connect(fd, reinterpret_cast<const sockaddr*>(&target), length) != 0 && errno != EINPROGRESS) {
            const Error error = os_error(Errc::kDisconnected, errno);
            ::close(fd);
            return error;
        }
        epoll_event event{};
        event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
        ::epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event);
        fds_.push_back(fd);
        return PipeId{fds_.size()};
    }

    Result<size_t> send(PipeId pipe, std::span<const Slice> slices) override {
        const int fd = fd_of(pipe);
        if (fd < 0) return Errc::kDisconnected;
        std::array<iovec, kSliceCountMax> vectors;
        const size_t count = std::min(slices.size(), kSliceCountMax);
        for (size_t i = 0; i < count; ++i) vectors[i] = {const_cast<std::byte*>(slices[i].data), slices[i].bytes};
        msghdr message{};
        message.msg_iov = vectors.data();
        message.msg_iovlen = count;
        const ssize_t sent = ::sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent >= 0) return static_cast<size_t>(sent);
        if (errno == EAGAIN || errno == EINTR || errno == ENOTCONN || errno == EINPROGRESS) return size_t{0};
        return os_error(Errc::kDisconnected, errno);
    }

    Result<size_t> receive(PipeId pipe, std::span<std::byte> target) override {
        const int fd = fd_of(pipe);
        if (fd < 0) return Errc::kDisconnected;
        const ssize_t got = ::recv(fd, target.data(), target.size(), MSG_DONTWAIT);
        if (got > 0) return static_cast<size_t>(got);
        if (got == 0) return Errc::kDisconnected;
        if (errno == EAGAIN || errno == EINTR) return size_t{0};
        // A connect under way answers ENOTCONN; one that failed answers its own error.
        if (errno == ENOTCONN) return size_t{0};
        return os_error(Errc::kDisconnected, errno);
    }

    Result<PipeId> open_datagrams(std::string_view address, uint16_t port) override {
        sockaddr_storage target{};
        const socklen_t length = numeric_address(address, port, target);
        if (length == 0) return Errc::kBadArgument;
        const auto fd = open_udp_socket(reinterpret_cast<const sockaddr*>(&target), length);
        if (!fd) return fd.error();
        epoll_event event{};
        // No EPOLLOUT: each datagram that leaves would call epoll. A full socket is tried again by the clock.
        event.events = EPOLLIN | EPOLLET;
        ::epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, *fd, &event);
        fds_.push_back(*fd);
        return PipeId{fds_.size()};
    }
    std::string local_address(PipeId pipe) override {
        sockaddr_storage name{};
        socklen_t length = sizeof(name);
        if (::getsockname(fd_of(pipe), reinterpret_cast<sockaddr*>(&name), &length) != 0) return {};
        char text[INET6_ADDRSTRLEN] = {};
        const void* ip = name.ss_family == AF_INET6 ? static_cast<const void*>(&reinterpret_cast<const sockaddr_in6*>(&name)->sin6_addr)
                                                    : &reinterpret_cast<const sockaddr_in*>(&name)->sin_addr;
        return ::inet_ntop(name.ss_family, ip, text, sizeof(text)) == nullptr ? std::string() : std::string(text);
    }
    uint32_t datagram_bytes(PipeId pipe) override { return udp_datagram_bytes(fd_of(pipe)); }
    Result<size_t> send_datagrams(PipeId pipe, std::span<const DatagramSlices> datagrams) override {
        return fd_of(pipe) < 0 ? Result<size_t>(Errc::kDisconnected) : send_udp(fd_of(pipe), datagrams);
    }
    Result<size_t> receive_datagrams(PipeId pipe, std::span<std::byte> area, std::span<uint32_t> lengths) override {
        return fd_of(pipe) < 0 ? Result<size_t>(Errc::kDisconnected) : receive_udp(fd_of(pipe), area, lengths);
    }

    void close(PipeId pipe) override {
        const int fd = fd_of(pipe);
        if (fd < 0) return;
        ::close(fd);
        fds_[pipe.value - 1] = -1;
    }

    void wait(uint64_t timeout_ns) override {
        std::array<epoll_event, 64> events;
        if (spin_ || timeout_ns == 0) {
            const uint64_t deadline = monotonic_ns() + timeout_ns;
            for (;;) {
                if (::epoll_wait(epoll_fd_, events.data(), static_cast<int>(events.size()), 0) > 0) return;
                if (monotonic_ns() >= deadline) return;
                ::sched_yield();
            }
        }
        const timespec timeout{static_cast<time_t>(timeout_ns / 1'000'000'000ULL),
                               static_cast<long>(timeout_ns % 1'000'000'000ULL)};
        ::epoll_pwait2(epoll_fd_, events.data(), static_cast<int>(events.size()), &timeout, nullptr);
    }

    // By level: it stays readable until its owner has looked.
    void wake_on(int fd) override {
        epoll_event event{};
        event.events = EPOLLIN;
        ::epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event);
    }

    uint64_t monotonic_ns() override { return now(CLOCK_MONOTONIC); }
    uint64_t wall_ns() override { return now(CLOCK_REALTIME); }
    uint64_t random() override {
        uint64_t value = 0;
        while (::getrandom(&value, sizeof(value), 0) != sizeof(value)) {
        }
        return value;
    }

  private:
    static uint64_t now(clockid_t id) {
        timespec t{};
        ::clock_gettime(id, &t);
        return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000ULL + static_cast<uint64_t>(t.tv_nsec);
    }
    int fd_of(PipeId pipe) const {
        return pipe.value == 0 || pipe.value > fds_.size() ? -1 : fds_[pipe.value - 1];
    }

    bool spin_;
    int epoll_fd_;
    std::vector<int> fds_;  // By pipe id - 1; -1 once closed. Ids are never used twice.
};

}  // namespace

std::unique_ptr<Transport> make_tcp_transport(bool spin) { return std::make_unique<TcpTransport>(spin); }

}  // namespace eagre::client
