#pragma once

#include <array>
#include <memory>
#include <span>
#include <vector>

#include "dataplane/io/dpdk/frame_fifo.h"
#include "dataplane/io/dpdk/nic_shared.h"
#include "dataplane/io/packets/arp_cache.h"
#include "dataplane/io/packets/membership.h"
#include "dataplane/io/packets/parse.h"

namespace eagre::io {

/// One core's share of the devices: polls the queues that are its own, keeps what is for its port and inlets, gives the rest to
/// the cores it is for, answers ARP, IGMP queries and pings. Every rx_burst() polls; so does an rx_inlet() that would be empty-
/// handed a second time. Everything here is the core's own but the rings between cores and the book of who wants what.
class DpdkDatagrams final : public Datagrams {
  public:
    DpdkDatagrams(NicShared& shared, uint32_t core);
    ~DpdkDatagrams() override;
    DpdkDatagrams(const DpdkDatagrams&) = delete;
    DpdkDatagrams& operator=(const DpdkDatagrams&) = delete;

    Result<uint16_t> open(std::string_view address, uint16_t port) override;
    size_t rx_burst(std::span<RxPacket> packets) override;
    void release(std::span<const RxPacket> packets) override;
    size_t tx_burst(std::span<const TxPacket> packets) override;
    uint64_t dropped() const override { return own_dropped_; }

    Result<InletId> open_inlet(const InletOptions& options) override;
    void close_inlet(InletId inlet) override;
    size_t rx_inlet(InletId inlet, std::span<RxPacket> packets) override;
    uint64_t inlet_dropped(InletId inlet) const override;

    uint64_t wait_ns_max() const override { return kPollNs; }
    void read_stats(shm::NicStats& stats) const override;

  private:
    // A core that rests looks this often: 20 us of packets at 10 Gbit/s are 300 small frames, and rings have thousands.
    static constexpr uint64_t kPollNs = 20'000;

    struct Inlet {
        uint32_t id = 0;  // 0: unused.
        packets::Ip4 to;
        packets::Ip4 source;
        FrameFifo frames;
        uint64_t dropped = 0;
        uint64_t asked_at_poll = UINT64_MAX;  // Which poll it was asked after, in vain.
    };

    // dpdk_datagrams.cc: receiving; inlets.cc.
    void poll();
    void poll_queue(const NicQueue& queue);
    void take_frame(const NicQueue& queue, rte_mbuf* frame);
    void deliver(rte_mbuf* frame, bool mine_only);
    void deliver_here(uint32_t inlet, rte_mbuf* frame);
    void steer(uint32_t core, rte_mbuf* frame);
    void tell_other_cores(rte_mbuf* frame);
    void take_steered();
    void take_control(rte_mbuf* frame);
    void count_drop(packets::Drop why);
    size_t hand_out(FrameFifo& frames, std::span<RxPacket> packets, bool aligned);
    Inlet* find(uint32_t id);

    // transmit.cc
    size_t send_frames(std::span<rte_mbuf*> frames);
    void send_for_others();
    void ask_link(packets::Ip4 wanted, const packets::Mac* last);
    void answer_arp(const NicQueue& queue, const packets::Parsed& request);
    void answer_echo(const NicQueue& queue, const packets::Parsed& request);
    void send_reports();
    rte_mbuf* control_frame(size_t bytes);
    void send_from(const NicQueue& queue, rte_mbuf* frame, size_t bytes);

    packets::Host us(const NicQueue& queue) const { return {shared_.devices[queue.device].mac, shared_.address}; }

    NicShared& shared_;
    const uint32_t core_;
    std::vector<NicQueue> queues_;  // That we poll.
    const NicQueue transmit_;       // That we send through.
    rte_ring* transmit_ring_;       // Not null: it is another core's.
    std::vector<rte_ring*> send_for_;   // Of those that send through us.
    std::vector<rte_ring*> steered_in_;
    packets::SteerTable table_;
    uint64_t table_generation_ = 0;
    packets::ArpCache arp_;
    packets::Membership membership_;

    uint16_t port_ = 0;
    FrameFifo own_frames_;
    uint64_t own_dropped_ = 0;
    std::array<std::unique_ptr<Inlet>, kInletCountMax> inlets_;
    uint32_t inlet_generation_ = 1;
    uint32_t held_ = 0;
    std::array<rte_mbuf*, kDatagramBurstMax> lent_{};
    size_t lent_count_ = 0;
    uint64_t poll_count_ = 0;
    uint64_t now_ns_ = 0;
    uint64_t wall_ns_ = 0;
    uint16_t next_id_ = 0;  // Of an IP packet.
    shm::NicStats stats_;
};

}  // namespace eagre::io
