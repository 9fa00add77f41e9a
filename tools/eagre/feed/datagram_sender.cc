#include "tools/eagre/feed/datagram_sender.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <stdexcept>

#include <fmt/format.h>

namespace eagre::cli {
namespace {

constexpr size_t kDatagramBytesMax = 65'507;
constexpr size_t kWaitingBytesMax = 1024 * 1024;
constexpr int kStalledMs = 5'000;

[[noreturn]] void refuse(const std::string& what, int error) { throw std::runtime_error(fmt::format("{}: {}", what, std::strerror(error))); }

}  // namespace

std::string Endpoint::text() const { return address.find(':') == std::string::npos ? fmt::format("{}:{}", address, port) : fmt::format("[{}]:{}", address, port); }

Endpoint parse_endpoint(const std::string& text) {
    const size_t colon = text.rfind(':');
    Endpoint endpoint;
    if (colon != std::string::npos) {
        endpoint.address = text.substr(0, colon);
        if (endpoint.address.starts_with('[') && endpoint.address.ends_with(']')) endpoint.address = endpoint.address.substr(1, endpoint.address.size() - 2);
        const auto [end, error] = std::from_chars(text.data() + colon + 1, text.data() + text.size(), endpoint.port);
        in6_addr address{};
        const bool numeric = inet_pton(AF_INET, endpoint.address.c_str(), &address) == 1 || inet_pton(AF_INET6, endpoint.address.c_str(), &address) == 1;
        if (error == std::errc() && end == text.data() + text.size() && endpoint.port != 0 && numeric) return endpoint;
    }
    throw std::runtime_error(fmt::format("{} is no ADDRESS:PORT (like 239.1.1.1:5000, or [ff02::1]:5000)", text));
}

DatagramSender::DatagramSender(const SenderOptions& options) : name_(options.to.text()) {
    sockaddr_storage where{};
    socklen_t length = sizeof(sockaddr_in);
    auto* v4 = reinterpret_cast<sockaddr_in*>(&where);
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&where);
    const bool is_v4 = inet_pton(AF_INET, options.to.address.c_str(), &v4->sin_addr) == 1;
    if (is_v4) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(options.to.port);
    } else {
        length = sizeof(sockaddr_in6);
        inet_pton(AF_INET6, options.to.address.c_str(), &v6->sin6_addr);
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(options.to.port);
    }
    fd_ = ::socket(where.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd_ < 0) refuse("no socket", errno);
    const auto set = [this](int level, int option, const void* value, socklen_t bytes) { return ::setsockopt(fd_, level, option, value, bytes) == 0; };
    const int buffer = static_cast<int>(options.send_buffer);
    set(SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
    const int hops = static_cast<int>(options.hops);
    set(is_v4 ? int{IPPROTO_IP} : int{IPPROTO_IPV6}, is_v4 ? int{IP_MULTICAST_TTL} : int{IPV6_MULTICAST_HOPS}, &hops, sizeof(hops));
    if (!options.interface.empty()) {
        const unsigned index = if_nametoindex(options.interface.c_str());
        const int error = errno;
        if (index == 0) {
            ::close(fd_);
            refuse(fmt::format("interface {}", options.interface), error);
        }
        const int index6 = static_cast<int>(index);
        ip_mreqn request{};
        request.imr_ifindex = index6;
        if (is_v4) set(IPPROTO_IP, IP_MULTICAST_IF, &request, sizeof(request));
        else set(IPPROTO_IPV6, IPV6_MULTICAST_IF, &index6, sizeof(index6));
    }
    if (::connect(fd_, reinterpret_cast<const sockaddr*>(&where), length) != 0) {
        const int error = errno;
        ::close(fd_);
        refuse(fmt::format("{} can't be reached", name_), error);
    }
}

DatagramSender::~DatagramSender() {
    if (fd_ >= 0) ::close(fd_);
}

void DatagramSender::send(std::span<const std::byte> datagram) {
    if (datagram.size() > kDatagramBytesMax) throw std::runtime_error(fmt::format("a datagram of {} bytes is larger than UDP carries ({})", datagram.size(), kDatagramBytesMax));
    bytes_.insert(bytes_.end(), datagram.begin(), datagram.end());
    lengths_.push_back(datagram.size());
    if (lengths_.size() >= kBatch || bytes_.size() >= kWaitingBytesMax) flush();
}

void DatagramSender::flush() {
    std::array<mmsghdr, kBatch> messages{};
    std::array<iovec, kBatch> pieces{};
    size_t at = 0;
    for (size_t i = 0; i < lengths_.size(); ++i) {
        pieces[i] = {bytes_.data() + at, lengths_[i]};
        messages[i].msg_hdr.msg_iov = &pieces[i];
        messages[i].msg_hdr.msg_iovlen = 1;
        at += lengths_[i];
    }
    for (size_t done = 0; done < lengths_.size();) {
        const int taken = ::sendmmsg(fd_, messages.data() + done, static_cast<unsigned>(lengths_.size() - done), 0);
        if (taken > 0) {
            for (size_t i = 0; i < static_cast<size_t>(taken); ++i) bytes_sent_ += lengths_[done + i];
            sent_ += static_cast<uint64_t>(taken);
            done += static_cast<size_t>(taken);
            continue;
        }
        // Of an earlier one: nobody listens there. What was to be sent now has not been.
        if (errno == ECONNREFUSED) {
            ++refused_;
            continue;
        }
        if (errno != EAGAIN && errno != ENOBUFS && errno != EINTR) refuse(fmt::format("sending to {}", name_), errno);
        pollfd room{fd_, POLLOUT, 0};
        if (::poll(&room, 1, kStalledMs) == 0) throw std::runtime_error(fmt::format("nothing could be sent to {} for {} s", name_, kStalledMs / 1000));
    }
    bytes_.clear();
    lengths_.clear();
}

}  // namespace eagre::cli
