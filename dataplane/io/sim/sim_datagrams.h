#pragma once
// Datagrams of one simulated core. The network loses, repeats, delays and corrupts them as
// SimFaults says.

#include <cstdint>
#include <deque>
#include <string_view>
#include <vector>

#include "dataplane/io/datagrams.h"
#include "dataplane/io/sim/sim_network.h"

namespace eagre::io::sim {

class SimNode;

class SimDatagrams final : public Datagrams, public SimDatagramOwner {
  public:
    explicit SimDatagrams(SimNode& node) : node_(node) {}

    Result<uint16_t> open(std::string_view address, uint16_t port) override;
    size_t rx_burst(std::span<RxPacket> packets) override;
    void release(std::span<const RxPacket> packets) override;
    size_t tx_burst(std::span<const TxPacket> packets) override;
    uint64_t dropped() const override { return dropped_; }

    void datagram_arrived(const Address& from, std::span<const std::byte> bytes) override;

    /// Events::poll: what has arrived can be seen by rx_burst().
    void poll();
    bool has_arrived() const { return !arrived_.empty(); }
    void die();

  private:
    struct Packet {
        Address from;
        std::vector<uint64_t> words;  // 8-byte aligned.
        size_t bytes = 0;
        uint64_t received_ns = 0;
    };
    SimNode& node_;
    Address here_;
    std::deque<Packet> arrived_;
    std::deque<Packet> ready_;
    std::vector<Packet> lent_;
    uint64_t dropped_ = 0;
};

}  // namespace eagre::io::sim
