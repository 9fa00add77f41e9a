#include "dataplane/io/uring/inlet_area.h"

#include <cerrno>
#include <cstring>
#include <string>

#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <netinet/in.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/io/uring/socket_address.h"
#include "wire/base/assert.h"

#ifndef SO_MEMINFO
#define SO_MEMINFO 55
#endif

namespace eagre::io {
namespace {

// Not a power of two: the beginnings of 64 places would share few cache sets.
constexpr size_t kPlaceBytes = kInletBytesMax + 1 + 28 + 64;
static_assert(kPlaceBytes % 64 == 0);

bool is_group(const Address& address) {
    const auto first = static_cast<unsigned>(address.ip[0]);
    return address.family == 4 ? first >= 224 && first < 240 : first == 0xff;
}

uint64_t ns_of(const timespec& time) {
    return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000ULL + static_cast<uint64_t>(time.tv_nsec);
}

uint64_t now_ns(clockid_t clock) {
    timespec now{};
    ::clock_gettime(clock, &now);
    return ns_of(now);
}

// The NIC's own clock where it has one that is set; else when the kernel first saw the packet. 0: neither.
uint64_t stamp_of(msghdr& message) {
    for (cmsghdr* control = CMSG_FIRSTHDR(&message); control != nullptr; control = CMSG_NXTHDR(&message, control)) {
        if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_TIMESTAMPING) continue;
        scm_timestamping stamps{};
        std::memcpy(&stamps, CMSG_DATA(control), sizeof(stamps));
        return stamps.ts[2].tv_sec != 0 ? ns_of(stamps.ts[2]) : ns_of(stamps.ts[0]);
    }
    return 0;
}

Status join(int fd, const InletOptions& options, const sockaddr_storage& group, socklen_t length) {
    const int level = options.local.family == 4 ? int{IPPROTO_IP} : int{IPPROTO_IPV6};
    uint32_t index = 0;
    if (!options.interface.empty()) {
        index = ::if_nametoindex(std::string(options.interface).c_str());
        if (index == 0) return os_error(Errc::kBadArgument, errno);
    }
    int joined = 0;
    if (options.source.family == 0) {
        group_req request{};
        request.gr_interface = index;
        std::memcpy(&request.gr_group, &group, length);
        joined = ::setsockopt(fd, level, MCAST_JOIN_GROUP, &request, sizeof(request));
    } else {
        group_source_req request{};
        request.gsr_interface = index;
        std::memcpy(&request.gsr_group, &group, length);
        (void)fill_sockaddr(options.source, request.gsr_source);
        joined = ::setsockopt(fd, level, MCAST_JOIN_SOURCE_GROUP, &request, sizeof(request));
    }
    if (joined != 0) return os_error(Errc::kBadArgument, errno);
    // Groups that other programs of this machine have joined are not ours.
    const int off = 0;
    if (level == IPPROTO_IP) (void)::setsockopt(fd, level, IP_MULTICAST_ALL, &off, sizeof(off));
    return {};
}

Status bind_inlet(int fd, const InletOptions& options, int buffer_bytes) {
    sockaddr_storage name{};
    const socklen_t length = fill_sockaddr(options.local, name);
    const bool group = is_group(options.local);
    const int on = 1;
    // Several may listen to a group; a port of our own is ours alone.
    if (group) (void)::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    set_socket_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, buffer_bytes);
    const int stamps = SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_RX_HARDWARE |
                       SOF_TIMESTAMPING_RAW_HARDWARE;
    (void)::setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &stamps, sizeof(stamps));
    if (!group && !options.interface.empty()) {
        const std::string interface(options.interface);
        if (::setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface.c_str(), static_cast<socklen_t>(interface.size() + 1)) != 0) {
            return os_error(Errc::kBadArgument, errno);
        }
    }
    if (::bind(fd, reinterpret_cast<const sockaddr*>(&name), length) != 0) {
        if (errno == EADDRINUSE) return os_error(Errc::kPortInUse, errno, options.local.port);
        return os_error(errno == EADDRNOTAVAIL || errno == EACCES ? Errc::kBadArgument : Errc::kIo, errno);
    }
    return group ? join(fd, options, name, length) : Status{};
}

}  // namespace

void set_socket_buffer(int fd, int forced, int asked, int bytes) {
    if (::setsockopt(fd, SOL_SOCKET, forced, &bytes, sizeof(bytes)) == 0) return;
    (void)::setsockopt(fd, SOL_SOCKET, asked, &bytes, sizeof(bytes));
}

uint64_t socket_drops(int fd) {
    uint32_t info[SK_MEMINFO_VARS] = {};
    socklen_t length = sizeof(info);
    if (::getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &length) != 0) return 0;
    return info[SK_MEMINFO_DROPS];
}

Result<int> open_inlet_socket(const InletOptions& options, int buffer_bytes) {
    if (options.local.family == 0 || options.local.port == 0) return Errc::kBadArgument;
    if (options.source.family != 0 && options.source.family != options.local.family) return Errc::kBadArgument;
    const int family = options.local.family == 4 ? AF_INET : AF_INET6;
    const int fd = ::socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return os_error(Errc::kIo, errno);
    if (const Status bound = bind_inlet(fd, options, buffer_bytes); !bound) {
        ::close(fd);
        return bound.error();
    }
    return fd;
}

Result<std::unique_ptr<InletArea>> InletArea::create() {
    auto bytes = AlignedBuffer::create(kPlaceBytes * kDatagramBurstMax);
    if (!bytes) return bytes.error();
    std::unique_ptr<InletArea> area(new InletArea);
    area->bytes_ = std::move(*bytes);
    for (size_t i = 0; i < kDatagramBurstMax; ++i) {
        area->places_[i] = {area->bytes_.data() + i * kPlaceBytes, kInletBytesMax + 1};
        msghdr& header = area->received_[i].msg_hdr;
        header.msg_iov = &area->places_[i];
        header.msg_iovlen = 1;
        header.msg_name = &area->sources_[i];
        header.msg_control = area->control_[i].data();
    }
    return area;
}

InletArea::Burst InletArea::receive(int fd, std::span<RxPacket> packets) {
    EAGRE_ASSERT_LE(packets.size(), kDatagramBurstMax);
    for (size_t i = 0; i < packets.size(); ++i) {
        received_[i].msg_hdr.msg_namelen = sizeof(sockaddr_storage);
        received_[i].msg_hdr.msg_controllen = kControlBytes;
    }
    Burst burst;
    const int got = ::recvmmsg(fd, received_.data(), static_cast<unsigned>(packets.size()), MSG_DONTWAIT, nullptr);
    if (got <= 0) return burst;
    burst.taken = static_cast<size_t>(got);
    const uint64_t monotonic_ns = now_ns(CLOCK_MONOTONIC);
    const uint64_t wall_ns = now_ns(CLOCK_REALTIME);
    for (size_t i = 0; i < burst.taken; ++i) {
        if (received_[i].msg_len > kInletBytesMax) {
            ++burst.cut;
            continue;
        }
        const uint64_t stamped_ns = stamp_of(received_[i].msg_hdr);
        packets[burst.kept++] = {{bytes_.data() + i * kPlaceBytes, received_[i].msg_len},
                                 address_of(sources_[i]), monotonic_ns, stamped_ns != 0 ? stamped_ns : wall_ns};
    }
    return burst;
}

}  // namespace eagre::io
