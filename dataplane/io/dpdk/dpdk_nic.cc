#include "dataplane/io/dpdk/dpdk_nic.h"

#include <cstdio>
#include <cstdlib>

#include <rte_eal.h>
#include <rte_lcore.h>

#include "dataplane/io/dpdk/dpdk_datagrams.h"
#include "dataplane/io/dpdk/eal.h"

namespace eagre::io {

void RingFree::operator()(rte_ring* ring) const { std::free(ring); }

// Memory of our own: what DPDK names and counts is bounded at 2,560 pieces, and 64 cores have 4,032 rings.
RingPointer make_ring(uint32_t count) {
    const ssize_t bytes = rte_ring_get_memsize(count);
    if (bytes <= 0) return nullptr;
    void* memory = std::aligned_alloc(RTE_CACHE_LINE_SIZE, (static_cast<size_t>(bytes) + RTE_CACHE_LINE_SIZE - 1) / RTE_CACHE_LINE_SIZE * RTE_CACHE_LINE_SIZE);
    if (memory == nullptr) return nullptr;
    auto* ring = static_cast<rte_ring*>(memory);
    if (rte_ring_init(ring, "eagre", count, RING_F_SP_ENQ | RING_F_SC_DEQ) != 0) {
        std::free(memory);
        return nullptr;
    }
    return RingPointer(ring);
}

namespace {

// Rings between cores, and who sends for whom.
std::string connect_cores(NicShared& shared) {
    const uint32_t cores = shared.core_count;
    std::vector<bool> polls(cores, false);
    for (const NicQueue& queue : shared.queues) polls[queue.core] = true;
    shared.steer_rings.resize(size_t{cores} * cores);
    shared.transmit_rings.resize(cores);
    for (uint32_t core = 0; core < cores; ++core) {
        uint32_t through = core % static_cast<uint32_t>(shared.queues.size());
        for (uint32_t queue = 0; polls[core] && queue < shared.queues.size(); ++queue) {
            if (shared.queues[queue].core == core) {
                through = queue;
                break;
            }
        }
        shared.transmit_queue.push_back(through);
        if (!polls[core] && (shared.transmit_rings[core] = make_ring(kSteerRingCount)) == nullptr) return "no memory";
        for (uint32_t to = 0; polls[core] && to < cores; ++to) {
            if (to != core && (shared.steer_rings[core * cores + to] = make_ring(kSteerRingCount)) == nullptr) return "no memory";
        }
    }
    return {};
}

// What a core without a queue said last (that it leaves a group) and nobody was there to send any more.
void send_last_words(NicShared& shared) {
    for (uint32_t core = 0; core < shared.core_count; ++core) {
        rte_ring* ring = shared.transmit_rings[core].get();
        if (ring == nullptr) continue;
        const NicQueue& queue = shared.queues[shared.transmit_queue[core]];
        void* frame = nullptr;
        while (rte_ring_sc_dequeue(ring, &frame) == 0) {
            auto* each = static_cast<rte_mbuf*>(frame);
            if (rte_eth_tx_burst(shared.devices[queue.device].port, queue.queue, &each, 1) == 0) rte_pktmbuf_free(each);
        }
    }
}

}  // namespace

DpdkNic::DpdkNic(std::unique_ptr<NicShared> shared) : shared_(std::move(shared)) {}

std::unique_ptr<Nic> DpdkNic::start(const NicOptions& options, std::string& why) {
    auto shared = std::make_unique<NicShared>();
    shared->options = options;
    shared->address = packets::ip4_of(options.address);
    shared->gateway = packets::ip4_of(options.gateway);
    shared->netmask = options.prefix_bits == 0 ? 0 : UINT32_MAX << (32 - options.prefix_bits);
    shared->core_count = static_cast<uint32_t>(options.cpus.size());
    why = start_environment(options);
    if (why.empty()) why = start_devices(*shared);
    if (why.empty()) why = connect_cores(*shared);
    if (!why.empty()) return nullptr;
    return std::unique_ptr<Nic>(new DpdkNic(std::move(shared)));
}

DpdkNic::~DpdkNic() {
    send_last_words(*shared_);
    stop_devices(*shared_);
    (void)rte_eal_cleanup();
}

std::unique_ptr<Datagrams> DpdkNic::datagrams(uint32_t core) {
    if (rte_lcore_id() == LCORE_ID_ANY && rte_thread_register() != 0) return nullptr;
    return std::make_unique<DpdkDatagrams>(*shared_, core);
}

std::string DpdkNic::describe() const {
    std::string text;
    for (const NicDevice& device : shared_->devices) {
        char mac[20] = {};
        const auto at = [&](size_t i) { return std::to_integer<unsigned>(device.mac[i]); };
        std::snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", at(0), at(1), at(2), at(3), at(4), at(5));
        rte_eth_link link{};
        (void)rte_eth_link_get_nowait(device.port, &link);
        text += text.empty() ? "" : "; ";
        text += device.name + " (" + mac + "), " + std::to_string(device.queue_count) + (device.queue_count == 1 ? " queue" : " queues") +
                ", MTU " + std::to_string(device.mtu) + (link.link_status != 0 ? ", link up" : ", link DOWN");
    }
    return text;
}

}  // namespace eagre::io
