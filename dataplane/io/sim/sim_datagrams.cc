#include "dataplane/io/sim/sim_datagrams.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "dataplane/io/sim/sim_world.h"
#include "wire/base/assert.h"
#include "wire/base/limits.h"

namespace eagre::io::sim {

Result<uint16_t> SimDatagrams::open(std::string_view /*address*/, uint16_t port) {
    EAGRE_ASSERT_EQ(here_.family, 0U);
    if (!node_.alive()) return os_error(Errc::kIo, EIO);
    const auto bound = node_.world().network().bind_datagrams(*this, port);
    if (!bound) return bound.error();
    here_ = SimNetwork::address_of_host(kSimServerHost, *bound);
    return *bound;
}

void SimDatagrams::datagram_arrived(const Address& from, std::span<const std::byte> bytes) {
    if (bytes.size() > kDatagramBytesMax ||
        arrived_.size() + ready_.size() >= node_.world().faults().datagram_queue_max) {
        ++dropped_;
        return;
    }
    Packet& packet = arrived_.emplace_back();
    packet.from = from;
    packet.words.resize((bytes.size() + 7) / 8);
    packet.bytes = bytes.size();
    packet.received_ns = node_.world().now_ns();
    if (!bytes.empty()) std::memcpy(packet.words.data(), bytes.data(), bytes.size());
}

void SimDatagrams::poll() {
    while (!arrived_.empty()) {
        ready_.push_back(std::move(arrived_.front()));
        arrived_.pop_front();
    }
}

size_t SimDatagrams::rx_burst(std::span<RxPacket> packets) {
    EAGRE_ASSERT(lent_.empty());
    const size_t count = std::min({packets.size(), kDatagramBurstMax, ready_.size()});
    for (size_t i = 0; i < count; ++i) {
        lent_.push_back(std::move(ready_.front()));
        ready_.pop_front();
        Packet& packet = lent_.back();
        packets[i] = {std::as_writable_bytes(std::span(packet.words)).first(packet.bytes),
                      packet.from, packet.received_ns};
    }
    return count;
}

void SimDatagrams::release(std::span<const RxPacket> packets) {
    EAGRE_ASSERT_EQ(packets.size(), lent_.size());
    lent_.clear();
}

size_t SimDatagrams::tx_burst(std::span<const TxPacket> packets) {
    if (!node_.alive()) return 0;
    const size_t count = std::min(packets.size(), kDatagramBurstMax);
    for (const TxPacket& packet : packets.first(count)) {
        node_.world().network().send_datagram(here_, packet.to, packet.bytes);
    }
    return count;
}

void SimDatagrams::die() {
    arrived_.clear();
    ready_.clear();
    node_.world().network().unbind_datagrams(*this);
}

}  // namespace eagre::io::sim
