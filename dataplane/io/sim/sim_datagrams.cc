#include "dataplane/io/sim/sim_datagrams.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "dataplane/io/sim/sim_world.h"
#include "wire/base/assert.h"
#include "wire/base/limits.h"

namespace eagre::io::sim {

SimDatagrams::SimDatagrams(SimNode& node) : node_(node), own_(node, kDatagramBytesMax) {}

Result<uint16_t> SimDatagrams::open(std::string_view /*address*/, uint16_t port) {
    EAGRE_ASSERT_EQ(here_.family, 0U);
    if (!node_.alive()) return os_error(Errc::kIo, EIO);
    const auto bound = node_.world().network().bind_datagrams(own_, port);
    if (!bound) return bound.error();
    here_ = SimNetwork::address_of_host(kSimServerHost, *bound);
    return *bound;
}

Result<InletId> SimDatagrams::open_inlet(const InletOptions& options) {
    if (!node_.alive()) return os_error(Errc::kIo, EIO);
    if (options.local.family == 0 || options.local.port == 0) return Errc::kBadArgument;
    if (inlets_.size() >= kInletCountMax) return error_of(Errc::kLimitExceeded, kInletCountMax);
    const uint32_t id = next_inlet_++;
    Box& box = inlets_.try_emplace(id, node_, kInletBytesMax).first->second;
    const auto bound = node_.world().network().bind_datagrams(box, options.local.port);
    if (!bound) {
        inlets_.erase(id);
        return bound.error();
    }
    return InletId{id};
}

void SimDatagrams::close_inlet(InletId inlet) {
    const auto found = inlets_.find(inlet.value);
    if (found == inlets_.end()) return;
    node_.world().network().unbind_datagrams(found->second);
    inlets_.erase(found);
}

void SimDatagrams::Box::datagram_arrived(const Address& from, std::span<const std::byte> bytes) {
    if (bytes.size() > bytes_max ||
        arrived.size() + ready.size() >= node.world().faults().datagram_queue_max) {
        ++dropped;
        return;
    }
    Packet& packet = arrived.emplace_back();
    packet.from = from;
    packet.words.resize((bytes.size() + 7) / 8);
    packet.bytes = bytes.size();
    packet.received_ns = node.world().now_ns();
    packet.stamped_ns = node.world().wall_start_ns() + packet.received_ns + static_cast<uint64_t>(node.wall_offset_ns());
    if (!bytes.empty()) std::memcpy(packet.words.data(), bytes.data(), bytes.size());
}

void SimDatagrams::Box::poll() {
    while (!arrived.empty()) {
        ready.push_back(std::move(arrived.front()));
        arrived.pop_front();
    }
}

void SimDatagrams::poll() {
    own_.poll();
    for (auto& [id, box] : inlets_) box.poll();
}

bool SimDatagrams::has_arrived() const {
    return !own_.arrived.empty() ||
           std::any_of(inlets_.begin(), inlets_.end(),
                       [](const auto& inlet) { return !inlet.second.arrived.empty(); });
}

size_t SimDatagrams::lend(Box& box, std::span<RxPacket> packets) {
    EAGRE_ASSERT(lent_.empty());
    const size_t count = std::min({packets.size(), kDatagramBurstMax, box.ready.size()});
    for (size_t i = 0; i < count; ++i) {
        lent_.push_back(std::move(box.ready.front()));
        box.ready.pop_front();
        Packet& packet = lent_.back();
        packets[i] = {std::as_writable_bytes(std::span(packet.words)).first(packet.bytes),
                      packet.from, packet.received_ns, packet.stamped_ns};
    }
    return count;
}

size_t SimDatagrams::rx_burst(std::span<RxPacket> packets) { return lend(own_, packets); }

size_t SimDatagrams::rx_inlet(InletId inlet, std::span<RxPacket> packets) {
    const auto found = inlets_.find(inlet.value);
    return found == inlets_.end() ? 0 : lend(found->second, packets);
}

uint64_t SimDatagrams::inlet_dropped(InletId inlet) const {
    const auto found = inlets_.find(inlet.value);
    return found == inlets_.end() ? 0 : found->second.dropped;
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
    own_.arrived.clear();
    own_.ready.clear();
    node_.world().network().unbind_datagrams(own_);
    for (auto& [id, box] : inlets_) node_.world().network().unbind_datagrams(box);
    inlets_.clear();
}

}  // namespace eagre::io::sim
