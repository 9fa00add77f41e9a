#pragma once
// How long a shard is read by nobody when a member of a consumer group leaves in good order.

#include <cstdint>
#include <string>

#include "perf/ceilings/json_line.h"
#include "wire/base/result.h"
#include "wire/client/client.h"

namespace eagre::perf {

struct HandoverOptions {
    client::ClientOptions client;
    std::string stream = "perf";
    uint32_t leave_count = 100;
    uint64_t put_interval_ns = 1'000'000;  // A record into every shard so often: reading shows by it.
    double seconds_max = 60;
};

/// Two members share the stream; one leaves and comes back, `leave_count` times. Counted for each of its shards: from the call of
/// leave() until the other one is given the first record of it. Both live in this thread, as does the producer. Also counts the
/// records that were handed out twice: none, in good order. Errors: those of the client; kTimeout after seconds_max.
Result<JsonLine> run_handover(const HandoverOptions& options);

}  // namespace eagre::perf
