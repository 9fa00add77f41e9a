#include "dataplane/io/uring/uring_datagrams.h"

#include <algorithm>
#include <cerrno>

#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/io/uring/inlet_area.h"
#include "dataplane/io/uring/socket_address.h"
#include "wire/base/assert.h"
#include "wire/base/limits.h"

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
// Of an inlet: nobody sends again what is lost here. 20 to 90 ms at 300,000 datagrams/s.
constexpr int kInletBufferBytes = 64 << 20;
constexpr uint64_t kInletStep = kAskerMask + 1;

}  // namespace

UringDatagrams::UringDatagrams(Ring& ring) : ring_(ring) {}

UringDatagrams::~UringDatagrams() {
    for (const Inlet& inlet : inlets_) ::close(inlet.fd);
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
    set_socket_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, kReceiveBufferBytes);
    set_socket_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, kSendBufferBytes);
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
    arm_poll(fd_, 0);
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

// `value`: 0 for the own port, else an inlet's id above the asker's bits.
void UringDatagrams::arm_poll(int fd, uint64_t value) {
    io_uring_sqe* sqe = ring_.entry_now();
    io_uring_prep_poll_multishot(sqe, fd, POLLIN);
    Ring::tag(sqe, Asker::kDatagrams, value);
}

void UringDatagrams::on_completion(uint64_t value, int32_t result, bool more) {
    if (value != 0) {
        Inlet* inlet = find(value / kInletStep);
        if (inlet == nullptr) return;  // Closed in the meantime.
        inlet->readable = true;
        if (!more && result != -ECANCELED) arm_poll(inlet->fd, value);
        return;
    }
    readable_ = true;
    if (!more && result != -ECANCELED && fd_ >= 0) arm_poll(fd_, 0);
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
    return fd_ < 0 ? oversized_ : oversized_ + socket_drops(fd_);
}

UringDatagrams::Inlet* UringDatagrams::find(uint64_t id) {
    for (Inlet& inlet : inlets_) {
        if (inlet.id == id) return &inlet;
    }
    return nullptr;
}

const UringDatagrams::Inlet* UringDatagrams::find(uint64_t id) const {
    return const_cast<UringDatagrams*>(this)->find(id);
}

Result<InletId> UringDatagrams::open_inlet(const InletOptions& options) {
    if (inlets_.size() >= kInletCountMax) return error_of(Errc::kLimitExceeded, kInletCountMax);
    if (inlet_area_ == nullptr) {
        auto area = InletArea::create();
        if (!area) return area.error();
        inlet_area_ = std::move(*area);
    }
    const auto fd = open_inlet_socket(options, kInletBufferBytes);
    if (!fd) return fd.error();
    const uint32_t id = next_inlet_++;
    inlets_.push_back({id, *fd, true, 0});
    arm_poll(*fd, id * kInletStep);
    return InletId{id};
}

void UringDatagrams::close_inlet(InletId id) {
    const auto at = std::find_if(inlets_.begin(), inlets_.end(),
                                 [id](const Inlet& inlet) { return inlet.id == id.value; });
    if (at == inlets_.end()) return;
    // The poll holds the socket: it must go first, or the port would stay taken.
    io_uring_sqe* sqe = ring_.entry_now();
    io_uring_prep_poll_remove(sqe, (id.value * kInletStep) | static_cast<uint64_t>(Asker::kDatagrams));
    Ring::tag(sqe, Asker::kNobody, 0);
    ring_.poll();
    ::close(at->fd);
    inlets_.erase(at);
}

size_t UringDatagrams::rx_inlet(InletId id, std::span<RxPacket> packets) {
    EAGRE_ASSERT_EQ(lent_, 0U);
    Inlet* inlet = find(id.value);
    if (inlet == nullptr || !inlet->readable) return 0;
    const size_t wanted = std::min(packets.size(), kDatagramBurstMax);
    inlet->readable = false;
    const InletArea::Burst burst = inlet_area_->receive(inlet->fd, packets.first(wanted));
    inlet->readable = burst.taken == wanted;
    inlet->oversized += burst.cut;
    lent_ = burst.kept;
    return lent_;
}

uint64_t UringDatagrams::inlet_dropped(InletId id) const {
    const Inlet* inlet = find(id.value);
    return inlet == nullptr ? 0 : inlet->oversized + socket_drops(inlet->fd);
}

}  // namespace eagre::io
