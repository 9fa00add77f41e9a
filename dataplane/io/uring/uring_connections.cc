#include "dataplane/io/uring/uring_connections.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "dataplane/io/uring/socket_address.h"
#include "dataplane/io/uring/uring_io.h"
#include "wire/base/assert.h"

namespace eagre::io {
namespace {

constexpr int kBacklog = 1024;
// The ring of a process that just ended lets go of its sockets a little later: bind is tried again
// for 200 ms.
constexpr int kBindTries = 20;
constexpr useconds_t kBindPauseUs = 10'000;
constexpr size_t kSliceCountMax = 64;

// Poll requests carry (generation, slot) above the asker bits.
constexpr uint32_t kSlotBits = 16;
static_assert(kConnectionCountMax <= 1U << kSlotBits);

// The socket's mode keeps others out; should somebody widen it, the kernel still knows who came.
bool is_our_user(int fd) {
    ucred peer{};
    socklen_t length = sizeof(peer);
    if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return false;
    return peer.uid == 0 || peer.uid == ::geteuid();
}

}  // namespace

UringConnections::~UringConnections() {
    for (const Peer& peer : peers_) {
        if (peer.fd >= 0) ::close(peer.fd);
    }
    for (const Listener& listener : listeners_) {
        if (listener.fd >= 0) ::close(listener.fd);
    }
}

Result<ListenerId> UringConnections::listen(std::string_view address, uint16_t port) {
    const std::string text(address);
    sockaddr_in v4{};
    sockaddr_in6 v6{};
    if (::inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) {
        v4.sin_family = AF_INET;
        v4.sin_port = htons(port);
        return listen_at(reinterpret_cast<const sockaddr*>(&v4), sizeof(v4), false);
    }
    if (::inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr) == 1) {
        v6.sin6_family = AF_INET6;
        v6.sin6_port = htons(port);
        return listen_at(reinterpret_cast<const sockaddr*>(&v6), sizeof(v6), false);
    }
    return Errc::kBadArgument;
}

Result<ListenerId> UringConnections::listen_unix(std::string_view path) {
    sockaddr_un address{};
    if (path.size() >= sizeof(address.sun_path))
        return error_of(Errc::kBadArgument, sizeof(address.sun_path) - 1);
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    ::unlink(address.sun_path);
    // Nobody else may connect in the moment between bind and chmod.
    const mode_t old_mask = ::umask(0177);
    auto listener = listen_at(reinterpret_cast<const sockaddr*>(&address), sizeof(address), true);
    ::umask(old_mask);
    return listener;
}

Result<ListenerId> UringConnections::listen_at(const sockaddr* address, socklen_t length,
                                               bool unix_socket) {
    if (listeners_.size() == kListenerCountMax)
        return error_of(Errc::kLimitExceeded, kListenerCountMax);
    const int fd = ::socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return os_error(Errc::kIo, errno);
    const int on = 1;
    if (!unix_socket) ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    int bound = -1;
    for (int i = 0; i < kBindTries; ++i) {
        bound = ::bind(fd, address, length);
        if (bound == 0 || errno != EADDRINUSE) break;
        ::usleep(kBindPauseUs);
    }
    if (bound != 0 || ::listen(fd, kBacklog) != 0) {
        const int error = errno;
        ::close(fd);
        const uint64_t port = address->sa_family == AF_INET
                                  ? ntohs(reinterpret_cast<const sockaddr_in*>(address)->sin_port)
                                  : 0;
        if (error == EADDRINUSE) return os_error(Errc::kPortInUse, error, port);
        return os_error(error == EADDRNOTAVAIL ? Errc::kBadArgument : Errc::kIo, error);
    }
    Listener listener;
    listener.fd = fd;
    listener.unix_socket = unix_socket;
    sockaddr_storage actual{};
    socklen_t actual_length = sizeof(actual);
    if (!unix_socket &&
        ::getsockname(fd, reinterpret_cast<sockaddr*>(&actual), &actual_length) == 0) {
        listener.port = ntohs(actual.ss_family == AF_INET
                                  ? reinterpret_cast<sockaddr_in*>(&actual)->sin_port
                                  : reinterpret_cast<sockaddr_in6*>(&actual)->sin6_port);
    }
    listeners_.push_back(listener);
    const auto index = static_cast<uint32_t>(listeners_.size() - 1);
    arm_accept(index);
    return ListenerId{index};
}

uint16_t UringConnections::port_of(ListenerId listener) const {
    EAGRE_ASSERT_LT(listener.value, listeners_.size());
    return listeners_[listener.value].port;
}

Address UringConnections::peer_of(ConnectionId connection) const {
    const Peer* peer = find(connection);
    sockaddr_storage name{};
    socklen_t length = sizeof(name);
    if (peer == nullptr ||
        ::getpeername(peer->fd, reinterpret_cast<sockaddr*>(&name), &length) != 0) {
        return {};
    }
    return address_of(name);
}

void UringConnections::arm_accept(uint32_t listener) {
    io_uring_sqe* sqe = ring_.entry_now();
    io_uring_prep_multishot_accept(sqe, listeners_[listener].fd, nullptr, nullptr,
                                   SOCK_CLOEXEC | SOCK_NONBLOCK);
    Ring::tag(sqe, Asker::kAccept, uint64_t{listener} << 3U);
}

void UringConnections::arm_poll(uint32_t slot) {
    io_uring_sqe* sqe = ring_.entry_now();
    // Multishot poll reports edges: once per wake-up of the socket, not for as long as it is ready.
    io_uring_prep_poll_multishot(sqe, peers_[slot].fd, POLLIN | POLLOUT | POLLRDHUP);
    const uint64_t value = (uint64_t{peers_[slot].generation} << kSlotBits) | slot;
    Ring::tag(sqe, Asker::kPoll, value << 3U);
}

void UringConnections::on_accept(uint64_t value, int32_t result, bool more) {
    const auto index = static_cast<uint32_t>(value >> 3U);
    if (result >= 0) {
        const int fd = result;
        if (free_.empty() && peers_.size() == kConnectionCountMax) {
            ::close(fd);
        } else {
            if (free_.empty()) {
                free_.push_back(static_cast<uint32_t>(peers_.size()));
                peers_.emplace_back();
            }
            const uint32_t slot = free_.back();
            free_.pop_back();
            Peer& peer = peers_[slot];
            peer = Peer{fd, peer.generation + 1, true, false};
            if (!listeners_[index].unix_socket) {
                const int on = 1;
                ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
            }
            arm_poll(slot);
            events_.push({ConnectionEvent::Kind::kAccepted, id_of(slot, peer.generation),
                          ListenerId{index},
                          !listeners_[index].unix_socket || is_our_user(fd)});
        }
    }
    // Errors (out of descriptors) end the multishot: armed again, the backlog keeps the callers
    // meanwhile.
    if (!more && listeners_[index].fd >= 0) arm_accept(index);
}

void UringConnections::on_ready(uint64_t value, int32_t result, bool more) {
    const uint64_t packed = value >> 3U;
    const auto slot = static_cast<uint32_t>(packed & ((1U << kSlotBits) - 1));
    const auto generation = static_cast<uint32_t>(packed >> kSlotBits);
    if (slot >= peers_.size()) return;
    Peer& peer = peers_[slot];
    if (peer.fd < 0 || peer.generation != generation) return;
    if (!more && result != -ECANCELED) arm_poll(slot);
    const auto bits = result < 0 ? POLLIN | POLLERR : result;
    if ((bits & (POLLIN | POLLRDHUP | POLLHUP | POLLERR)) != 0 && peer.wants_read) {
        peer.wants_read = false;
        events_.push({ConnectionEvent::Kind::kReadable, id_of(slot, generation), {}});
    }
    if ((bits & (POLLOUT | POLLHUP | POLLERR)) != 0 && peer.wants_write) {
        peer.wants_write = false;
        events_.push({ConnectionEvent::Kind::kWritable, id_of(slot, generation), {}});
    }
}

size_t UringConnections::events(std::span<ConnectionEvent> events) {
    return events_.drain(events);
}

UringConnections::Peer* UringConnections::find(ConnectionId connection) {
    const auto slot = static_cast<uint32_t>(connection.value);
    const auto generation = static_cast<uint32_t>(connection.value >> 32U);
    if (slot >= peers_.size()) return nullptr;
    Peer& peer = peers_[slot];
    return peer.fd >= 0 && peer.generation == generation ? &peer : nullptr;
}

Result<size_t> UringConnections::receive(ConnectionId connection, std::span<std::byte> target) {
    Peer* peer = find(connection);
    if (peer == nullptr) return Errc::kDisconnected;
    // Asked for before we look: bytes that come in between are reported, at worst once too often.
    peer->wants_read = true;
    const ssize_t got = ::recv(peer->fd, target.data(), target.size(), MSG_DONTWAIT);
    if (got > 0) {
        // More may wait; the caller asks until it gets 0.
        peer->wants_read = false;
        return static_cast<size_t>(got);
    }
    if (got == 0) return Errc::kDisconnected;
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return size_t{0};
    return os_error(Errc::kDisconnected, errno);
}

Result<size_t> UringConnections::send(ConnectionId connection, std::span<const ByteSlice> slices) {
    Peer* peer = find(connection);
    if (peer == nullptr) return Errc::kDisconnected;
    EAGRE_ASSERT_LE(slices.size(), kSliceCountMax);
    std::array<iovec, kSliceCountMax> vectors;
    size_t offered = 0;
    for (size_t i = 0; i < slices.size(); ++i) {
        vectors[i] = {const_cast<std::byte*>(slices[i].data), slices[i].bytes};
        offered += slices[i].bytes;
    }
    msghdr message{};
    message.msg_iov = vectors.data();
    message.msg_iovlen = slices.size();
    peer->wants_write = true;
    const ssize_t sent = ::sendmsg(peer->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0) {
        if (static_cast<size_t>(sent) == offered) {
            peer->wants_write = false;
            return offered;
        }
        // A short send may have left room by now without anybody waiting for it: try the rest once,
        // so that the socket itself says "full" and remembers to report room.
        size_t skip = static_cast<size_t>(sent);
        size_t first = 0;
        while (skip >= vectors[first].iov_len) skip -= vectors[first++].iov_len;
        vectors[first].iov_base = static_cast<char*>(vectors[first].iov_base) + skip;
        vectors[first].iov_len -= skip;
        message.msg_iov = vectors.data() + first;
        message.msg_iovlen = slices.size() - first;
        const ssize_t again = ::sendmsg(peer->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        const size_t total =
            static_cast<size_t>(sent) + (again > 0 ? static_cast<size_t>(again) : 0);
        if (total == offered) peer->wants_write = false;
        return total;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return size_t{0};
    return os_error(Errc::kDisconnected, errno);
}

void UringConnections::close(ConnectionId connection) {
    Peer* peer = find(connection);
    if (peer == nullptr) return;
    // The poll request holds the file: cancel it, or the peer would not see the end before our
    // process ends.
    const auto slot = static_cast<uint32_t>(connection.value);
    io_uring_sqe* sqe = ring_.entry_now();
    const uint64_t value = (uint64_t{peer->generation} << kSlotBits) | slot;
    io_uring_prep_poll_remove(sqe, (value << 3U) | static_cast<uint64_t>(Asker::kPoll));
    Ring::tag(sqe, Asker::kNobody, 0);
    ::shutdown(peer->fd, SHUT_RDWR);
    ::close(peer->fd);
    peer->fd = -1;
    free_.push_back(slot);
}

}  // namespace eagre::io
