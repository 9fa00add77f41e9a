#include "tools/eagre/feed/line_receiver.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>

#include <fmt/format.h>

namespace eagre::cli {
namespace {

constexpr size_t kDatagramBytesMax = 65'536;

struct Address {
    sockaddr_storage storage{};
    socklen_t length = 0;
    bool is_v4 = false;
    bool is_group = false;
};

Address address_of(const std::string& text, uint16_t port) {
    Address address;
    auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
    address.is_v4 = inet_pton(AF_INET, text.c_str(), &v4->sin_addr) == 1;
    if (address.is_v4) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        address.length = sizeof(*v4);
        address.is_group = IN_MULTICAST(ntohl(v4->sin_addr.s_addr));
    } else if (inet_pton(AF_INET6, text.c_str(), &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        address.length = sizeof(*v6);
        address.is_group = v6->sin6_addr.s6_addr[0] == 0xff;
    } else {
        throw std::runtime_error(fmt::format("{} is no numeric address", text));
    }
    return address;
}

}  // namespace

LineReceiver::LineReceiver(const ReceiverOptions& options) : area_(kBatch * kDatagramBytesMax) {
    const Address at = address_of(options.at.address, options.at.port);
    fd_ = ::socket(at.storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const auto fail = [&](const std::string& what) {
        const int error = errno;
        if (fd_ >= 0) ::close(fd_);
        throw std::runtime_error(fmt::format("{}: {}", what, std::strerror(error)));
    };
    if (fd_ < 0) fail("no socket");
    const int on = 1;
    const int buffer = static_cast<int>(options.receive_buffer);
    // Two listeners of a group share its port; of a port that is nobody's group they must not.
    if (at.is_group) ::setsockopt(fd_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (::setsockopt(fd_, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer)) != 0) ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
    ::setsockopt(fd_, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof(on));
    if (::bind(fd_, reinterpret_cast<const sockaddr*>(&at.storage), at.length) != 0) fail("cannot listen at " + options.at.text());
    if (!at.is_group) {
        if (!options.source.empty()) {
            errno = EINVAL;
            fail("--source is for multicast, and " + options.at.text() + " is none");
        }
        return;
    }
    const unsigned index = options.interface.empty() ? 0 : if_nametoindex(options.interface.c_str());
    if (!options.interface.empty() && index == 0) fail("interface " + options.interface);
    const int level = at.is_v4 ? int{IPPROTO_IP} : int{IPPROTO_IPV6};
    int joined = 0;
    if (options.source.empty()) {
        group_req request{};
        request.gr_interface = index;
        std::memcpy(&request.gr_group, &at.storage, at.length);
        joined = ::setsockopt(fd_, level, MCAST_JOIN_GROUP, &request, sizeof(request));
    } else {
        group_source_req request{};
        request.gsr_interface = index;
        std::memcpy(&request.gsr_group, &at.storage, at.length);
        const Address source = address_of(options.source, 0);
        std::memcpy(&request.gsr_source, &source.storage, source.length);
        joined = ::setsockopt(fd_, level, MCAST_JOIN_SOURCE_GROUP, &request, sizeof(request));
    }
    if (joined != 0) fail("cannot join " + options.at.address);
}

LineReceiver::~LineReceiver() {
    if (fd_ >= 0) ::close(fd_);
}

size_t LineReceiver::receive(size_t count_max, const std::function<void(std::span<const std::byte>)>& take) {
    std::array<mmsghdr, kBatch> messages{};
    std::array<iovec, kBatch> pieces{};
    std::array<std::array<char, CMSG_SPACE(sizeof(uint32_t))>, kBatch> controls;
    size_t total = 0;
    while (total < count_max) {
        const size_t count = std::min(kBatch, count_max - total);
        for (size_t i = 0; i < count; ++i) {
            pieces[i] = {area_.data() + i * kDatagramBytesMax, kDatagramBytesMax};
            messages[i].msg_hdr = {};
            messages[i].msg_hdr.msg_iov = &pieces[i];
            messages[i].msg_hdr.msg_iovlen = 1;
            messages[i].msg_hdr.msg_control = controls[i].data();
            messages[i].msg_hdr.msg_controllen = controls[i].size();
        }
        const int got = ::recvmmsg(fd_, messages.data(), static_cast<unsigned>(count), 0, nullptr);
        if (got <= 0) return total;
        for (size_t i = 0; i < static_cast<size_t>(got); ++i) {
            for (cmsghdr* control = CMSG_FIRSTHDR(&messages[i].msg_hdr); control != nullptr; control = CMSG_NXTHDR(&messages[i].msg_hdr, control)) {
                uint32_t dropped = 0;
                if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SO_RXQ_OVFL) continue;
                std::memcpy(&dropped, CMSG_DATA(control), sizeof(dropped));
                dropped_ = dropped;  // Of the socket, so far.
            }
            const bool cut = (messages[i].msg_hdr.msg_flags & MSG_TRUNC) != 0;
            take(std::span(area_).subspan(i * kDatagramBytesMax, cut ? 0 : messages[i].msg_len));
        }
        total += static_cast<size_t>(got);
        if (static_cast<size_t>(got) < count) break;
    }
    return total;
}

}  // namespace eagre::cli
