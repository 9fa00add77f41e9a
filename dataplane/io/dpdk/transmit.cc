// Sending: datagrams of ours, answers to ARP, pings and IGMP queries, and what other cores send through our queue.
#include <algorithm>
#include <cstring>

#include "dataplane/io/dpdk/dpdk_datagrams.h"
#include "dataplane/io/packets/build.h"

namespace eagre::io {

using packets::Ip4;

size_t DpdkDatagrams::tx_burst(std::span<const TxPacket> packets) {
    std::array<rte_mbuf*, kDatagramBurstMax> frames;
    std::array<size_t, kDatagramBurstMax> numbers;  // Of the packet that each frame is.
    const size_t offered = std::min(packets.size(), kDatagramBurstMax);
    const packets::Host from = us(transmit_);
    const uint32_t mtu = shared_.devices[transmit_.device].mtu;
    size_t count = 0;
    size_t looked_at = 0;
    for (; looked_at < offered; ++looked_at) {
        const TxPacket& packet = packets[looked_at];
        const Ip4 to = packets::ip4_of(packet.to);
        if (packet.bytes.size() + packets::kIpBytes + packets::kUdpBytes > mtu) {
            ++stats_.oversized;  // Lost, as where a path gets narrower.
            continue;
        }
        const Ip4 neighbour = shared_.on_link(to) ? to : shared_.gateway;
        const packets::ArpCache::Answer answer = arp_.find(neighbour, now_ns_);
        if (answer.ask) ask_link(neighbour, answer.mac);
        if (answer.mac == nullptr) {
            ++stats_.tx_no_arp;
            continue;
        }
        rte_mbuf* frame = rte_pktmbuf_alloc(shared_.pool);
        const size_t bytes = packets::kUdpFrameBytes + packet.bytes.size();
        const size_t whole = std::max(bytes, packets::kFrameBytesMin);
        char* place = frame == nullptr ? nullptr : rte_pktmbuf_append(frame, static_cast<uint16_t>(whole));
        if (place == nullptr) {
            ++stats_.no_mbuf;
            rte_pktmbuf_free(frame);
            break;
        }
        const std::span area(reinterpret_cast<std::byte*>(place), whole);
        if (!packet.bytes.empty()) std::memcpy(area.data() + packets::kUdpFrameBytes, packet.bytes.data(), packet.bytes.size());
        if (whole > bytes) std::memset(area.data() + bytes, 0, whole - bytes);
        packets::build_udp_headers(area, {from, {*answer.mac, to}, port_, packet.to.port}, packet.bytes, next_id_++);
        numbers[count] = looked_at;
        frames[count++] = frame;
    }
    const size_t sent = send_frames(std::span(frames).first(count));
    return sent < count ? numbers[sent] : looked_at;
}

// How many from the front went; the others are freed and counted.
size_t DpdkDatagrams::send_frames(std::span<rte_mbuf*> frames) {
    if (frames.empty()) return 0;
    size_t sent = 0;
    if (transmit_ring_ != nullptr) {
        sent = rte_ring_sp_enqueue_burst(transmit_ring_, reinterpret_cast<void**>(frames.data()), static_cast<unsigned>(frames.size()), nullptr);
    } else {
        sent = rte_eth_tx_burst(shared_.devices[transmit_.device].port, transmit_.queue, frames.data(), static_cast<uint16_t>(frames.size()));
    }
    stats_.tx_packets += sent;
    const size_t left = frames.size() - sent;
    stats_.tx_full += left;
    if (left > 0) rte_pktmbuf_free_bulk(frames.data() + sent, static_cast<unsigned>(left));
    return sent;
}

void DpdkDatagrams::send_for_others() {
    std::array<rte_mbuf*, kNicBurst> frames;
    for (rte_ring* ring : send_for_) {
        const unsigned count = rte_ring_sc_dequeue_burst(ring, reinterpret_cast<void**>(frames.data()), kNicBurst, nullptr);
        if (count == 0) continue;
        const uint16_t sent = rte_eth_tx_burst(shared_.devices[transmit_.device].port, transmit_.queue, frames.data(), static_cast<uint16_t>(count));
        stats_.tx_full += count - sent;
        if (sent < count) rte_pktmbuf_free_bulk(frames.data() + sent, count - sent);
    }
}

rte_mbuf* DpdkDatagrams::control_frame(size_t bytes) {
    rte_mbuf* frame = rte_pktmbuf_alloc(shared_.pool);
    if (frame == nullptr || rte_pktmbuf_append(frame, static_cast<uint16_t>(bytes)) == nullptr) {
        ++stats_.no_mbuf;
        rte_pktmbuf_free(frame);
        return nullptr;
    }
    return frame;
}

// Answers go out where the question came in.
void DpdkDatagrams::send_from(const NicQueue& queue, rte_mbuf* frame, size_t bytes) {
    rte_pktmbuf_trim(frame, static_cast<uint16_t>(rte_pktmbuf_data_len(frame) - bytes));
    if (rte_eth_tx_burst(shared_.devices[queue.device].port, queue.queue, &frame, 1) == 1) {
        ++stats_.tx_packets;
        return;
    }
    ++stats_.tx_full;
    rte_pktmbuf_free(frame);
}

namespace {

std::span<std::byte> area_of(rte_mbuf* frame) { return {rte_pktmbuf_mtod(frame, std::byte*), rte_pktmbuf_data_len(frame)}; }

}  // namespace

void DpdkDatagrams::answer_arp(const NicQueue& queue, const packets::Parsed& request) {
    rte_mbuf* frame = control_frame(packets::kFrameBytesMin);
    if (frame == nullptr) return;
    send_from(queue, frame, packets::build_arp_reply(area_of(frame), us(queue), {request.from_mac, request.from}));
}

void DpdkDatagrams::answer_echo(const NicQueue& queue, const packets::Parsed& request) {
    const size_t bytes = packets::kEthernetBytes + packets::kIpBytes + request.payload.size();
    rte_mbuf* frame = control_frame(std::max(bytes, packets::kFrameBytesMin));
    if (frame == nullptr) return;
    const size_t built = packets::build_echo_reply(area_of(frame), us(queue), {request.from_mac, request.from}, request.payload);
    if (built == 0) rte_pktmbuf_free(frame);
    else send_from(queue, frame, built);
}

// To the neighbour alone while we think that we know it, else to all.
void DpdkDatagrams::ask_link(Ip4 wanted, const packets::Mac* last) {
    rte_mbuf* frame = control_frame(packets::kFrameBytesMin);
    if (frame == nullptr) return;
    (void)packets::build_arp_request(area_of(frame), us(transmit_), wanted, last != nullptr ? *last : packets::kBroadcastMac);
    (void)send_frames(std::span(&frame, 1));
}

void DpdkDatagrams::send_reports() {
    packets::IgmpReport report;
    while (membership_.next_report(now_ns_, report)) {
        rte_mbuf* frame = control_frame(packets::kControlFrameBytesMax);
        if (frame == nullptr) continue;
        const size_t bytes = packets::build_report(area_of(frame), us(transmit_), report);
        rte_pktmbuf_trim(frame, static_cast<uint16_t>(packets::kControlFrameBytesMax - bytes));
        (void)send_frames(std::span(&frame, 1));
    }
}

void DpdkDatagrams::read_stats(shm::NicStats& stats) const {
    stats = stats_;
    rte_eth_link link{};
    (void)rte_eth_link_get_nowait(shared_.devices[transmit_.device].port, &link);
    stats.link_up = link.link_status != 0 ? 1 : 0;
    // A device's own counters are told by the core that has its first queue.
    for (const NicQueue& queue : queues_) {
        rte_eth_stats counted{};
        if (queue.queue != 0 || rte_eth_stats_get(shared_.devices[queue.device].port, &counted) != 0) continue;
        stats.missed += counted.imissed;
        stats.no_mbuf += counted.rx_nombuf;
    }
}

}  // namespace eagre::io
