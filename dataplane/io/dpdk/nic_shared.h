#pragma once
// What all cores share of the devices: written before they start, but for the steering book.

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "dataplane/io/nic.h"
#include "dataplane/io/packets/headers.h"
#include "dataplane/io/packets/steering.h"

namespace eagre::io {

inline constexpr uint16_t kNicBurst = 64;
/// Frames that one core keeps for its port and inlets before they are asked for.
inline constexpr uint32_t kHeldMax = 4096;
/// Of one core for one other, in each direction: received ones to be steered, and ones to be sent.
inline constexpr uint32_t kSteerRingCount = 2048;

/// In the private area of each buffer: what parsing has found, for whoever takes it.
struct FrameNote {
    uint8_t kind = 0;  // packets::Kind
    packets::Ip4 from;
    packets::Ip4 to;
    uint16_t from_port = 0;
    uint16_t to_port = 0;
    uint16_t offset = 0;  // Of the payload, behind the beginning of the frame.
    uint16_t bytes = 0;
    uint64_t received_ns = 0;
    uint64_t stamped_ns = 0;
};
inline constexpr uint16_t kNoteBytes = (sizeof(FrameNote) + 7) / 8 * 8;
inline FrameNote& note_of(rte_mbuf* frame) { return *static_cast<FrameNote*>(rte_mbuf_to_priv(frame)); }

struct RingFree {
    void operator()(rte_ring* ring) const;
};
using RingPointer = std::unique_ptr<rte_ring, RingFree>;
/// One producer, one consumer. Null: no memory.
RingPointer make_ring(uint32_t count);

struct NicDevice {
    uint16_t port = 0;
    uint16_t queue_count = 0;
    packets::Mac mac{};
    uint32_t mtu = 1500;
    std::string name;       // As DPDK knows it.
    std::string interface;  // Of the kernel, where the device sits on one.
};

struct NicQueue {
    uint32_t device = 0;
    uint16_t queue = 0;
    uint32_t core = 0;  // That polls it.
};

struct NicShared {
    NicOptions options;
    packets::Ip4 address;
    packets::Ip4 gateway;
    uint32_t netmask = 0;
    std::vector<NicDevice> devices;
    std::vector<NicQueue> queues;
    rte_mempool* pool = nullptr;
    packets::SteerBook book;
    uint32_t core_count = 0;
    std::vector<uint32_t> transmit_queue;   // By core: index into `queues`; perhaps another core's.
    std::vector<RingPointer> steer_rings;   // [from * core_count + to]; null where `from` polls nothing.
    std::vector<RingPointer> transmit_rings;  // By core: to the core that sends for it; null: it sends itself.

    bool on_link(packets::Ip4 ip) const { return ((ip.value ^ address.value) & netmask) == 0; }
    /// After a change of the book: what groups the devices let through. Any thread.
    void update_filter();

  private:
    std::mutex filter_mutex_;
};

}  // namespace eagre::io
