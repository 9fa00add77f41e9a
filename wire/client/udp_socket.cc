#include "wire/client/udp_socket.h"

#include <netinet/in.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "wire/base/limits.h"

namespace eagre::client {
namespace {

constexpr size_t kBurstMax = 64;
constexpr int kSocketBufferBytes = 4 << 20;  // Bounded by net.core.wmem_max and rmem_max.
constexpr uint32_t kUdpHeaderBytes = 8;
constexpr uint32_t kIpv4HeaderBytes = 20;
constexpr uint32_t kIpv6HeaderBytes = 40;

bool is_ipv6(int fd) {
    int family = 0;
    socklen_t length = sizeof(family);
    return ::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &length) == 0 && family == AF_INET6;
}

}  // namespace

Result<int> open_udp_socket(const sockaddr* target, socklen_t length) {
    const int fd = ::socket(target->sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return os_error(Errc::kIo, errno);
    const int discover = IP_PMTUDISC_DO;
    const int discover6 = IPV6_PMTUDISC_DO;
    if (target->sa_family == AF_INET6) {
        (void)::setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &discover6, sizeof(discover6));
    } else {
        (void)::setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &discover, sizeof(discover));
    }
    (void)::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &kSocketBufferBytes, sizeof(kSocketBufferBytes));
    (void)::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &kSocketBufferBytes, sizeof(kSocketBufferBytes));
    if (::connect(fd, target, length) != 0) {
        const Error error = os_error(Errc::kDisconnected, errno);
        ::close(fd);
        return error;
    }
    return fd;
}

uint32_t udp_datagram_bytes(int fd) {
    int mtu = 0;
    socklen_t length = sizeof(mtu);
    const bool v6 = is_ipv6(fd);
    const int got = v6 ? ::getsockopt(fd, IPPROTO_IPV6, IPV6_MTU, &mtu, &length)
                       : ::getsockopt(fd, IPPROTO_IP, IP_MTU, &mtu, &length);
    const uint32_t headers = kUdpHeaderBytes + (v6 ? kIpv6HeaderBytes : kIpv4HeaderBytes);
    if (got != 0 || mtu < static_cast<int>(headers)) return kDatagramBytesDefault;
    return static_cast<uint32_t>(mtu) - headers;
}

Result<size_t> send_udp(int fd, std::span<const DatagramSlices> datagrams) {
    std::array<mmsghdr, kBurstMax> messages;
    std::array<std::array<iovec, 2>, kBurstMax> slices;
    const size_t count = std::min(datagrams.size(), kBurstMax);
    for (size_t i = 0; i < count; ++i) {
        slices[i][0] = {const_cast<std::byte*>(datagrams[i].envelope.data), datagrams[i].envelope.bytes};
        slices[i][1] = {const_cast<std::byte*>(datagrams[i].frame.data), datagrams[i].frame.bytes};
        messages[i] = {};
        messages[i].msg_hdr.msg_iov = slices[i].data();
        messages[i].msg_hdr.msg_iovlen = datagrams[i].frame.bytes == 0 ? 1 : 2;
    }
    // A refusal of an earlier datagram shows at the next call, once, and says nothing of what that call would send.
    for (int tries = 0; tries < 2; ++tries) {
        const int sent = ::sendmmsg(fd, messages.data(), static_cast<unsigned>(count), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent >= 0) return static_cast<size_t>(sent);
        if (errno == EMSGSIZE) return os_error(Errc::kBadLength, EMSGSIZE, udp_datagram_bytes(fd));
        if (errno != ECONNREFUSED && errno != EINTR) break;
    }
    return size_t{0};
}

Result<size_t> receive_udp(int fd, std::span<std::byte> area, std::span<uint32_t> lengths) {
    std::array<mmsghdr, kBurstMax> messages;
    std::array<iovec, kBurstMax> places;
    const size_t count = std::min(lengths.size(), kBurstMax);
    const size_t place_bytes = area.size() / lengths.size();
    for (size_t i = 0; i < count; ++i) {
        places[i] = {area.data() + i * place_bytes, place_bytes};
        messages[i] = {};
        messages[i].msg_hdr.msg_iov = &places[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    const int got = ::recvmmsg(fd, messages.data(), static_cast<unsigned>(count), MSG_DONTWAIT, nullptr);
    if (got < 0) return size_t{0};  // Nothing there, or word that an earlier datagram was refused: it counts as lost.
    for (size_t i = 0; i < static_cast<size_t>(got); ++i) lengths[i] = messages[i].msg_len;
    return static_cast<size_t>(got);
}

}  // namespace eagre::client
