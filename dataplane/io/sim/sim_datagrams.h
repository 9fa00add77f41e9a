#pragma once
// Datagrams of one simulated core. The network loses, repeats, delays and corrupts them as
// SimFaults says. Groups are not modelled: an inlet is a port of the world, whatever its address.

#include <cstdint>
#include <deque>
#include <map>
#include <string_view>
#include <vector>

#include "dataplane/io/datagrams.h"
#include "dataplane/io/sim/sim_network.h"

namespace eagre::io::sim {

class SimNode;

class SimDatagrams final : public Datagrams {
  public:
    explicit SimDatagrams(SimNode& node);

    Result<uint16_t> open(std::string_view address, uint16_t port) override;
    size_t rx_burst(std::span<RxPacket> packets) override;
    void release(std::span<const RxPacket> packets) override;
    size_t tx_burst(std::span<const TxPacket> packets) override;
    uint64_t dropped() const override { return own_.dropped; }

    Result<InletId> open_inlet(const InletOptions& options) override;
    void close_inlet(InletId inlet) override;
    size_t rx_inlet(InletId inlet, std::span<RxPacket> packets) override;
    uint64_t inlet_dropped(InletId inlet) const override;

    /// Events::poll: what has arrived can be seen by rx_burst() and rx_inlet().
    void poll();
    bool has_arrived() const;
    void die();

  private:
    struct Packet {
        Address from;
        std::vector<uint64_t> words;  // 8-byte aligned.
        size_t bytes = 0;
        uint64_t received_ns = 0;
        uint64_t stamped_ns = 0;
    };
    /// One port.
    struct Box final : SimDatagramOwner {
        Box(SimNode& its_node, size_t limit) : node(its_node), bytes_max(limit) {}
        void datagram_arrived(const Address& from, std::span<const std::byte> bytes) override;
        void poll();
        SimNode& node;
        size_t bytes_max;
        std::deque<Packet> arrived;
        std::deque<Packet> ready;
        uint64_t dropped = 0;
    };
    size_t lend(Box& box, std::span<RxPacket> packets);

    SimNode& node_;
    Address here_;
    Box own_;
    std::map<uint32_t, Box> inlets_;
    uint32_t next_inlet_ = 1;
    std::vector<Packet> lent_;
};

}  // namespace eagre::io::sim
