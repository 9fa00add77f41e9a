#pragma once
// What may go wrong in a simulated world, and how fast it is. Every probability is per million
// operations, every time in ns. All zero probabilities: a perfect machine. May be changed at any
// time through SimWorld::faults().

#include <cstdint>

#include "wire/base/limits.h"

namespace eagre::io::sim {

/// What survives of a write that was not synced is decided per sector: no device tears inside one.
inline constexpr uint32_t kSectorBytes = 512;

struct SimFaults {
    // -- Disk.
    uint64_t disk_latency_ns_min = 20'000;  // Of a read or a write, from submission to completion.
    uint64_t disk_latency_ns_max = 120'000;
    uint64_t sync_latency_ns_min = 30'000;
    uint64_t sync_latency_ns_max = 200'000;
    uint32_t read_error_per_million = 0;   // -EIO.
    uint32_t write_error_per_million = 0;  // -EIO; each sector may have landed or not.
    uint32_t sync_error_per_million = 0;   // -EIO; nothing was made durable by it.
    uint64_t read_error_nth =
        0;  // The nth read of the world from now on (1: the next) fails; 0: none.
    uint64_t write_error_nth = 0;
    uint64_t sync_error_nth = 0;
    uint32_t short_read_per_million = 0;   // Fewer bytes than asked for, at a sector's edge.
    uint32_t short_write_per_million = 0;  // Ditto; only what is reported has landed.
    uint32_t misdirected_write_per_million =
        0;  // Reported as done, but landed at another block of the same file.
    uint32_t storage_queue_depth = 128;  // Operations in flight per core; submit takes no more.

    // -- Network.
    uint64_t net_latency_ns_min = 10'000;  // One way.
    uint64_t net_latency_ns_max = 60'000;
    uint32_t net_delay_per_million =
        0;  // A piece that takes `net_delay_ns` longer; what follows waits behind it.
    uint64_t net_delay_ns = 20'000'000;
    uint32_t chunk_bytes_max =
        0;  // What is sent arrives in random pieces of 1 to this many bytes. 0: whole.
    uint32_t reset_per_million =
        0;  // A send that resets the connection; what is on its way is lost.
    uint32_t refuse_per_million = 0;  // A connect that fails although somebody listens.
    uint64_t pipe_bytes_max =
        256 * kKiB;  // Sent and not yet received, per direction; beyond: back-pressure.

    // -- Datagrams. Each takes its own latency, so they overtake one another even without faults.
    uint32_t datagram_loss_per_million = 0;
    uint32_t datagram_repeat_per_million = 0;   // Arrives twice.
    uint32_t datagram_delay_per_million = 0;    // Takes `datagram_delay_ns` longer.
    uint64_t datagram_delay_ns = 500'000;
    uint32_t datagram_corrupt_per_million = 0;  // One bit is turned.
    uint32_t datagram_queue_max = 4096;         // Arrived and not yet received, per port; beyond: dropped.

    // -- Time.
    uint64_t poll_ns = 500;  // What one Events::poll() costs: time moves even in a busy loop.
    uint64_t idle_step_ns_max =
        50'000;  // SimWorld::turn() jumps to the next event, but no farther than this.
    uint32_t wall_jump_per_million =
        0;  // Per poll: the node's wall clock jumps by up to +-wall_jump_ns_max.
    uint64_t wall_jump_ns_max = 3'600'000'000'000;
};

}  // namespace eagre::io::sim
