#include "dataplane/io/uring/uring_datagrams.h"

#include <algorithm>
#include <cerrno>

#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/io/uring/socket_address.h"
#include "wire/base/assert.h"
#include "wire/base/limits.h"

#ifndef SO_MEMINFO
#define SO_MEMINFO 55
#endif

namespace eagre::io {
namespace {

// One datagram's place: the largest that is legal, and one step more, so that a larger one is seen
// to be cut off. Not a power of two: the beginnings of 64 places would share few cache sets.
constexpr size_t kPlaceBytes = kDatagramBytesMax + 264;
static_assert(kPlaceBytes % 64 == 0);
// What the kernel keeps for us while a turn lasts: 1 ms at 10 Gbit/s of small datagrams, which it
// charges at 2.3 KiB apiece. Beyond net.core.rmem_max only with CAP_NET_ADMIN.
constexpr int kReceiveBufferBytes = 16 << 20;
constexpr int kSendBufferBytes = 4 << 20;

void set_buffer(int fd, int forced, int asked, int bytes) {
    if (::setsockopt(fd, SOL_SOCKET, forced, &bytes, sizeof(bytes)) == 0) return;
    (void)::setsockopt(fd, SOL_SOCKET, asked, &bytes, sizeof(bytes));
}

}  // namespace

UringDatagrams::~UringDatagrams() {
    if (fd_ >= 0) ::close(fd_);
}

Result<uint16_t> UringDatagrams::open(std::string_view text, uint16_t port) {
    EAGRE_ASSERT_LT(fd_, 0);
    const Address address = parse_address(text, port);
    if (address.family == 0) return Errc::kBadArgument;
    auto buffer = AlignedBuffer::create(kPlaceBytes * kDatagramBurstMax);
    if (!buffer) return buffer.error();
    buffer_ = std::move(*buffer);
    sockaddr_storage name{};
    const socklen_t length = fill_sockaddr(address, name);
    const int fd = ::socket(name.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return os_error(Errc::kIo, errno);
    set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, kReceiveBufferBytes);
    set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, kSendBufferBytes);
    sockaddr_storage actual{};
    socklen_t actual_length = sizeof(actual);
    if (::bind(fd, reinterpret_cast<const sockaddr*>(&name), length) != 0 ||
        ::getsockname(fd, reinterpret_cast<sockaddr*>(&actual), &actual_length) != 0) {
        const int error = errno;
        ::close(fd);
        if (error == EADDRINUSE) return os_error(Errc::kPortInUse, error, port);
        return os_error(error == EADDRNOTAVAIL ? Errc::kBadArgument : Errc::kIo, error);
    }
    fd_ = fd;
    prepare_receive();
    arm_poll();
    return address_of(actual).port;
}

void UringDatagrams::prepare_receive() {
    for (size_t i = 0; i < kDatagramBurstMax; ++i) {
        places_[i] = {buffer_.data() + i * kPlaceBytes, kPlaceBytes};
        received_[i].msg_hdr.msg_iov = &places_[i];
        received_[i].msg_hdr.msg_iovlen = 1;
        received_[i].msg_hdr.msg_name = &sources_[i];
    }
}

void UringDatagrams::arm_poll() {
    io_uring_sqe* sqe = ring_.entry_now();
    io_uring_prep_poll_multishot(sqe, fd_, POLLIN);
    Ring::tag(sqe, Asker::kDatagrams, 0);
}

void UringDatagrams::on_completion(uint64_t /*value*/, int32_t result, bool more) {
    readable_ = true;
    if (!more && result != -ECANCELED && fd_ >= 0) arm_poll();
}

size_t UringDatagrams::rx_burst(std::span<RxPacket> packets) {
    EAGRE_ASSERT_EQ(lent_, 0U);
    if (!readable_) return 0;
    const size_t wanted = std::min(packets.size(), kDatagramBurstMax);
    for (size_t i = 0; i < wanted; ++i) received_[i].msg_hdr.msg_namelen = sizeof(sockaddr_storage);
    // Cleared before we look: what arrives in between is reported, at worst once too often.
    readable_ = false;
    const int got =
        ::recvmmsg(fd_, received_.data(), static_cast<unsigned>(wanted), MSG_DONTWAIT, nullptr);
    if (got <= 0) return 0;
    const auto count = static_cast<size_t>(got);
    if (count == wanted) readable_ = true;
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    const uint64_t now_ns =
        static_cast<uint64_t>(now.tv_sec) * 1'000'000'000ULL + static_cast<uint64_t>(now.tv_nsec);
    size_t kept = 0;
    for (size_t i = 0; i < count; ++i) {
        if (received_[i].msg_len > kDatagramBytesMax) {
            ++oversized_;
            continue;
        }
        packets[kept].bytes = {buffer_.data() + i * kPlaceBytes, received_[i].msg_len};
        packets[kept].from = address_of(sources_[i]);
        packets[kept].received_ns = now_ns;
        ++kept;
    }
    lent_ = kept;
    return kept;
}

void UringDatagrams::release(std::span<const RxPacket> packets) {
    EAGRE_ASSERT_EQ(packets.size(), lent_);
    lent_ = 0;
}

size_t UringDatagrams::tx_burst(std::span<const TxPacket> packets) {
    std::array<mmsghdr, kDatagramBurstMax> messages;
    std::array<iovec, kDatagramBurstMax> slices;
    std::array<sockaddr_storage, kDatagramBurstMax> targets;
    const size_t count = std::min(packets.size(), kDatagramBurstMax);
    for (size_t i = 0; i < count; ++i) {
        slices[i] = {const_cast<std::byte*>(packets[i].bytes.data()), packets[i].bytes.size()};
        messages[i] = {};
        messages[i].msg_hdr.msg_iov = &slices[i];
        messages[i].msg_hdr.msg_iovlen = 1;
        messages[i].msg_hdr.msg_name = &targets[i];
        messages[i].msg_hdr.msg_namelen = fill_sockaddr(packets[i].to, targets[i]);
    }
    size_t taken = 0;
    while (taken < count) {
        const int sent = ::sendmmsg(fd_, messages.data() + taken,
                                    static_cast<unsigned>(count - taken), MSG_DONTWAIT);
        if (sent > 0) {
            taken += static_cast<size_t>(sent);
            continue;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS || errno == EINTR) break;
        // This one can't be sent (its network is gone, or an earlier one was refused there): lost,
        // as datagrams are. The next may be for somebody else.
        ++taken;
    }
    return taken;
}

uint64_t UringDatagrams::dropped() const {
    uint32_t info[SK_MEMINFO_VARS] = {};
    socklen_t length = sizeof(info);
    if (fd_ < 0 || ::getsockopt(fd_, SOL_SOCKET, SO_MEMINFO, info, &length) != 0) return oversized_;
    return oversized_ + info[SK_MEMINFO_DROPS];
}

}  // namespace eagre::io
