#pragma once
// Prebuilt batches by datagram, acknowledged when durable, as fast as the windows let: what many small producers on one fast
// network are to a box. The client library's datagram path without its batching: numbers, acknowledgements and losses are real.

#include <cstdint>
#include <memory>
#include <string>

#include "perf/ceilings/json_line.h"
#include "perf/scenarios/record_pool.h"
#include "wire/base/result.h"
#include "wire/client/transport.h"

namespace eagre::perf {

struct UdpBlastOptions {
    uint16_t port = 4568;
    std::string stream = "perf";
    uint32_t datagram_bytes = 1400;
    uint32_t record_count = 0;      // Per datagram; 0: as many as fit.
    bool loose = false;             // Fire and forget: as fast as the way out takes them; what became of them, the box knows.
    uint32_t producer_count = 16;   // Per shard: each has 16 batches on their way.
    double warmup_s = 0.3;
    double seconds = 1.0;
    RecordPoolOptions pool;
    std::unique_ptr<client::Transport> transport;  // Null: sockets.
};

/// Errors: those of the client, and the first that a batch was refused with.
Result<JsonLine> run_udp_blast(UdpBlastOptions options);

}  // namespace eagre::perf
