#pragma once
// What perf/check asks of a box beside load: make a stream, say when it serves, read its counters.

#include <cstdint>
#include <string>

#include "perf/ceilings/json_line.h"
#include "wire/base/result.h"
#include "wire/client/client.h"

namespace eagre::perf {

struct CreateOptions {
    std::string socket_path;  // DATA/control.sock
    std::string stream = "perf";
    uint32_t shard_count = 4;
    uint64_t retention_ms = 3600 * 1000;
    uint64_t timeout_ns = 20'000'000'000ULL;
};

/// Creates the stream through eagre-control, trying to connect until the time is up. Errors: those
/// of ControlClient.
Result<JsonLine> create_stream(const CreateOptions& options);

struct ServingOptions {
    client::ClientOptions client;
    std::string stream = "perf";
    uint64_t timeout_ns = 60'000'000'000ULL;
    bool spin = true;
};

/// Tries until the box serves: every shard of the stream is open and available, and one record has
/// been acknowledged as durable and one been read. Reports `serving_ns`, CLOCK_MONOTONIC at that
/// moment. Errors: kTimeout.
Result<JsonLine> wait_until_serving(const ServingOptions& options);

/// Counters of all cores of a running box, added up, from DATA/stats.shm. Errors: kIo, kBadVersion
/// (another layout).
Result<JsonLine> read_stats(const std::string& path);

}  // namespace eagre::perf
