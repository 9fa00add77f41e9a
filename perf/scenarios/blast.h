#pragma once
// Prebuilt append frames over one bare connection: what the server can take when building batches
// costs the client nothing. Not the client library and not a goal by itself; the gap between the
// two is what the library costs.

#include <cstdint>
#include <string>

#include "perf/ceilings/json_line.h"
#include "perf/scenarios/record_pool.h"
#include "wire/base/limits.h"
#include "wire/base/result.h"

namespace eagre::perf {

struct BlastOptions {
    std::string stream = "perf";
    uint16_t port = kPortDefault;  // On loopback, of the core that owns the stream's shards.
    RecordPoolOptions pool;
    uint32_t batch_bytes = 64 * 1024;
    uint64_t window_bytes = 4 * 1024 * 1024;
    double warmup_s = 0.5;
    double seconds = 2;
};

/// Producer id 0, so that frames can be sent again and again.
/// Errors: kDisconnected; kUnknownStream; the Errc of the first frame that was refused.
Result<JsonLine> run_blast(const BlastOptions& options);

}  // namespace eagre::perf
