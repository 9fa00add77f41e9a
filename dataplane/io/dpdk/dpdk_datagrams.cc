#include "dataplane/io/dpdk/dpdk_datagrams.h"

#include <algorithm>
#include <cstring>

#include <time.h>

#include <rte_lcore.h>

#include "wire/base/assert.h"
#include "wire/base/limits.h"

namespace eagre::io {

using packets::Drop;
using packets::Ip4;
using packets::Kind;

namespace {

uint64_t clock_ns(clockid_t id) {
    timespec now{};
    ::clock_gettime(id, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000ULL + static_cast<uint64_t>(now.tv_nsec);
}

std::span<std::byte> bytes_of(rte_mbuf* frame) { return {rte_pktmbuf_mtod(frame, std::byte*), rte_pktmbuf_data_len(frame)}; }

}  // namespace

DpdkDatagrams::DpdkDatagrams(NicShared& shared, uint32_t core)
    : shared_(shared),
      core_(core),
      transmit_(shared.queues[shared.transmit_queue[core]]),
      transmit_ring_(shared.transmit_rings[core].get()),
      membership_(shared.options.seed + core * 0x9e3779b97f4a7c15ULL) {
    for (const NicQueue& queue : shared.queues) {
        if (queue.core == core) queues_.push_back(queue);
    }
    for (uint32_t other = 0; other < shared.core_count; ++other) {
        if (rte_ring* ring = shared.steer_rings[other * shared.core_count + core].get()) steered_in_.push_back(ring);
        const bool through_us = other != core && shared.queues[shared.transmit_queue[other]].core == core;
        if (through_us && shared.transmit_rings[other] != nullptr) send_for_.push_back(shared.transmit_rings[other].get());
    }
    stats_.present = 1;
    now_ns_ = clock_ns(CLOCK_MONOTONIC);
}

DpdkDatagrams::~DpdkDatagrams() {
    for (size_t i = 0; i < lent_count_; ++i) rte_pktmbuf_free(lent_[i]);
    for (const auto& inlet : inlets_) {
        if (inlet != nullptr) close_inlet(InletId{inlet->id});
    }
    shared_.book.drop(core_, packets::kOwnPort);
    rte_thread_unregister();
}

Result<uint16_t> DpdkDatagrams::open(std::string_view text, uint16_t port) {
    EAGRE_ASSERT_EQ(port_, 0);
    const Address address = parse_address(text, port);
    const Ip4 ip = packets::ip4_of(address);
    if (address.family != 4 || (ip.value != 0 && ip != shared_.address)) return Errc::kBadArgument;
    constexpr uint16_t kFirstFree = 40'000;
    const auto wanted = port != 0 ? port : static_cast<uint16_t>(kFirstFree + core_);
    if (const Status taken = shared_.book.claim({shared_.address, wanted, {}, core_, packets::kOwnPort}); !taken) return taken.error();
    port_ = wanted;
    return port_;
}

size_t DpdkDatagrams::rx_burst(std::span<RxPacket> packets) {
    EAGRE_ASSERT_EQ(lent_count_, 0U);
    poll();
    return hand_out(own_frames_, packets, true);
}

size_t DpdkDatagrams::hand_out(FrameFifo& frames, std::span<RxPacket> packets, bool aligned) {
    const size_t wanted = std::min(packets.size(), kDatagramBurstMax);
    while (lent_count_ < wanted) {
        rte_mbuf* frame = frames.pop();
        if (frame == nullptr) break;
        --held_;
        const FrameNote& note = note_of(frame);
        std::byte* payload = rte_pktmbuf_mtod(frame, std::byte*) + note.offset;
        if (const size_t off = reinterpret_cast<uintptr_t>(payload) % 8; aligned && off != 0) {
            // Over its own headers, which nobody needs any more: ours alone, as a port of one host's address always is.
            std::memmove(payload - off, payload, note.bytes);
            payload -= off;
        }
        packets[lent_count_] = {{payload, note.bytes}, packets::address_of(note.from, note.from_port), note.received_ns, note.stamped_ns};
        lent_[lent_count_++] = frame;
    }
    return lent_count_;
}

void DpdkDatagrams::release(std::span<const RxPacket> packets) {
    EAGRE_ASSERT_EQ(packets.size(), lent_count_);
    if (lent_count_ > 0) rte_pktmbuf_free_bulk(lent_.data(), static_cast<unsigned>(lent_count_));
    lent_count_ = 0;
}

void DpdkDatagrams::poll() {
    ++poll_count_;
    if (shared_.book.generation() != table_generation_) table_.rebuild(shared_.book.claims(table_generation_));
    now_ns_ = clock_ns(CLOCK_MONOTONIC);
    send_for_others();
    wall_ns_ = 0;  // Read with the first frame.
    for (const NicQueue& queue : queues_) poll_queue(queue);
    take_steered();
    if (now_ns_ >= membership_.due_ns()) send_reports();
}

void DpdkDatagrams::poll_queue(const NicQueue& queue) {
    std::array<rte_mbuf*, kNicBurst> frames;
    const uint16_t count = rte_eth_rx_burst(shared_.devices[queue.device].port, queue.queue, frames.data(), kNicBurst);
    if (count == 0) return;
    if (wall_ns_ == 0) wall_ns_ = clock_ns(CLOCK_REALTIME);
    stats_.rx_packets += count;
    for (uint16_t i = 0; i < count; ++i) {
        if (i + 1 < count) rte_prefetch0(rte_pktmbuf_mtod(frames[i + 1], void*));
        take_frame(queue, frames[i]);
    }
}

void DpdkDatagrams::count_drop(Drop why) {
    switch (why) {
        case Drop::kTruncated: ++stats_.truncated; break;
        case Drop::kOversized: ++stats_.oversized; break;
        case Drop::kBadIpChecksum:
        case Drop::kBadChecksum: ++stats_.bad_checksum; break;
        case Drop::kFragment: ++stats_.fragments; break;
        case Drop::kVlan: ++stats_.vlan; break;
        case Drop::kNone:
        case Drop::kNotOurs: ++stats_.not_ours; break;
    }
}

void DpdkDatagrams::take_frame(const NicQueue& queue, rte_mbuf* frame) {
    stats_.rx_bytes += rte_pktmbuf_pkt_len(frame);
    const NicDevice& device = shared_.devices[queue.device];
    packets::Parsed parsed;
    if ((frame->ol_flags & RTE_MBUF_F_RX_VLAN) != 0) {
        parsed.drop = Drop::kVlan;  // The tag was taken off on the way.
    } else if (frame->nb_segs > 1) {
        parsed.drop = Drop::kOversized;
    } else {
        const uint64_t flags = frame->ol_flags;
        const packets::Receiver receiver{device.mac, shared_.address, device.mtu,
                                         (flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_GOOD,
                                         (flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_GOOD};
        parsed = packets::parse_frame(bytes_of(frame), receiver);
    }
    if (parsed.has_options) ++stats_.options;
    FrameNote& note = note_of(frame);
    note.kind = static_cast<uint8_t>(parsed.kind);
    note.from = parsed.from;
    note.to = parsed.to;
    switch (parsed.kind) {
        case Kind::kUdp:
            note.from_port = parsed.from_port;
            note.to_port = parsed.to_port;
            note.offset = static_cast<uint16_t>(parsed.payload.data() - bytes_of(frame).data());
            note.bytes = static_cast<uint16_t>(parsed.payload.size());
            note.received_ns = now_ns_;
            note.stamped_ns = wall_ns_;
            deliver(frame, false);
            return;
        case Kind::kArpRequest:
            ++stats_.arp_in;
            answer_arp(queue, parsed);
            take_control(frame);
            tell_other_cores(frame);
            break;
        case Kind::kArpReply:
            ++stats_.arp_in;
            take_control(frame);
            tell_other_cores(frame);
            break;
        case Kind::kIgmpQuery:
            ++stats_.igmp_queries;
            note.offset = static_cast<uint16_t>(parsed.payload.data() - bytes_of(frame).data());
            note.bytes = static_cast<uint16_t>(parsed.payload.size());
            take_control(frame);
            tell_other_cores(frame);
            break;
        case Kind::kIcmpEcho: answer_echo(queue, parsed); break;
        case Kind::kOther: ++stats_.not_ours; break;
        case Kind::kDropped: count_drop(parsed.drop); break;
    }
    rte_pktmbuf_free(frame);
}

// To everybody who wants it: of a group there may be several. Another core gets it once, and looks its inlets up itself.
void DpdkDatagrams::deliver(rte_mbuf* frame, bool mine_only) {
    const FrameNote& note = note_of(frame);
    const auto claims = table_.find(note.to, note.to_port);
    const auto for_each = [&](auto here, auto there) {
        uint32_t last = core_;
        for (const packets::Claim& claim : claims) {  // In the order of cores.
            if (!claim.wants(note.from)) continue;
            if (claim.core == core_) here(claim.inlet);
            else if (!mine_only && claim.core != last) there(last = claim.core);
        }
    };
    int16_t wanting = 0;
    for_each([&](uint32_t) { ++wanting; }, [&](uint32_t) { ++wanting; });
    if (wanting == 0) {
        ++stats_.not_ours;
        rte_pktmbuf_free(frame);
        return;
    }
    if (wanting > 1) rte_mbuf_refcnt_update(frame, static_cast<int16_t>(wanting - 1));
    for_each([&](uint32_t inlet) { deliver_here(inlet, frame); }, [&](uint32_t core) { steer(core, frame); });
}

void DpdkDatagrams::deliver_here(uint32_t id, rte_mbuf* frame) {
    Inlet* inlet = id == packets::kOwnPort ? nullptr : find(id);
    if (id != packets::kOwnPort && inlet == nullptr) {
        rte_pktmbuf_free(frame);
        return;
    }
    FrameFifo& frames = inlet == nullptr ? own_frames_ : inlet->frames;
    const bool too_large = inlet == nullptr && note_of(frame).bytes > kDatagramBytesMax;
    if (too_large || held_ >= kHeldMax || !frames.push(frame)) {
        ++(inlet == nullptr ? own_dropped_ : inlet->dropped);
        rte_pktmbuf_free(frame);
        return;
    }
    ++held_;
}

void DpdkDatagrams::steer(uint32_t core, rte_mbuf* frame) {
    if (rte_ring_sp_enqueue(shared_.steer_rings[core_ * shared_.core_count + core].get(), frame) != 0) {
        ++stats_.steer_full;
        rte_pktmbuf_free(frame);
        return;
    }
    ++stats_.steered;
}

// What each core has to know by itself: neighbours, and what routers ask.
void DpdkDatagrams::tell_other_cores(rte_mbuf* frame) {
    for (uint32_t core = 0; core < shared_.core_count; ++core) {
        if (core == core_) continue;
        rte_mbuf_refcnt_update(frame, 1);
        steer(core, frame);
    }
}

void DpdkDatagrams::take_control(rte_mbuf* frame) {
    const FrameNote& note = note_of(frame);
    const auto bytes = bytes_of(frame);
    switch (static_cast<Kind>(note.kind)) {
        case Kind::kArpRequest:
        case Kind::kArpReply:
            // Who asks for us is about to send to us: it gets a place. An answer that nobody asked for gets none.
            arp_.learn(note.from, packets::load_mac(bytes, packets::kEthernetBytes + 8), now_ns_, static_cast<Kind>(note.kind) == Kind::kArpRequest);
            break;
        case Kind::kIgmpQuery: membership_.on_query(packets::read_query(bytes.subspan(note.offset, note.bytes)), now_ns_); break;
        default: break;
    }
}

void DpdkDatagrams::take_steered() {
    std::array<void*, kNicBurst> frames;
    for (rte_ring* ring : steered_in_) {
        const unsigned count = rte_ring_sc_dequeue_burst(ring, frames.data(), kNicBurst, nullptr);
        for (unsigned i = 0; i < count; ++i) {
            auto* frame = static_cast<rte_mbuf*>(frames[i]);
            const FrameNote& note = note_of(frame);
            if (static_cast<Kind>(note.kind) != Kind::kUdp) {
                take_control(frame);
                rte_pktmbuf_free(frame);
                continue;
            }
            deliver(frame, true);
        }
    }
}

DpdkDatagrams::Inlet* DpdkDatagrams::find(uint32_t id) {
    Inlet* inlet = inlets_[id % kInletCountMax].get();
    return inlet != nullptr && inlet->id == id ? inlet : nullptr;
}

}  // namespace eagre::io
