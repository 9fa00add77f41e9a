#pragma once
// What a network device of our own (dataplane/io/dpdk) counts, of one core. Zeros where datagrams come through the kernel.

#include <cstdint>

namespace eagre::shm {

/// Counters since start, but those marked "now".
struct NicStats {
    uint64_t present = 0;       // Now: 1 when there is such a device.
    uint64_t link_up = 0;       // Now: 1 when its link is up.
    uint64_t rx_packets = 0;    // Frames that this core polled.
    uint64_t rx_bytes = 0;
    uint64_t tx_packets = 0;    // Frames that this core handed to a device, its own or for another core.
    uint64_t missed = 0;        // By the device: its ring was full.
    uint64_t no_mbuf = 0;       // No buffer was left, for a frame that came or for one to be sent.
    uint64_t bad_checksum = 0;  // IPv4's, UDP's, IGMP's or ICMP's.
    uint64_t fragments = 0;
    uint64_t options = 0;       // With IP options: taken all the same.
    uint64_t vlan = 0;          // Tagged: dropped.
    uint64_t truncated = 0;
    uint64_t not_ours = 0;      // For another host, or for a port or group that nobody here has.
    uint64_t oversized = 0;     // Larger than the MTU: offloads of the sender's kernel.
    uint64_t arp_in = 0;
    uint64_t igmp_queries = 0;
    uint64_t steered = 0;       // Given to the core whose port or inlet it is for.
    uint64_t steer_full = 0;    // Dropped: that core did not keep up.
    uint64_t tx_full = 0;       // The device, or the core that sends for us, took no more.
    uint64_t tx_no_arp = 0;     // Dropped: the neighbour's address was not known (yet).
};

}  // namespace eagre::shm
