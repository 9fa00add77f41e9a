#pragma once
// The pause of a writer: an open loop of records while shards are split and merged.

#include <cstdint>
#include <string>

#include "perf/ceilings/json_line.h"
#include "wire/base/result.h"
#include "wire/client/client.h"

namespace eagre::perf {

struct ReshardOptions {
    std::string socket_path;  // DATA/control.sock
    std::string stream = "perf";
    double rate_per_s = 5000;
    uint32_t reshard_count = 40;  // Splits and merges in turn.
    uint64_t interval_ns = 50'000'000;
};

/// Puts records of many keys on schedule and, on another connection, splits the first shard and merges its children again,
/// in turn. Reports for each of these the longest time that a record of its duration waited for its acknowledgement, from
/// the intended send time (`pause_us`), the same for spans of equal length between them (`calm_us`), and what went wrong
/// (`failed`). Errors: those of the client and of ControlClient.
Result<JsonLine> run_reshard(client::Client& client, const ReshardOptions& options);

}  // namespace eagre::perf
