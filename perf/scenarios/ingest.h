#pragma once
// Pushing records through the client library: as fast as the window lets (closed), or on a schedule
// (open loop).

#include <cstdint>
#include <string>

#include "perf/ceilings/json_line.h"
#include "perf/scenarios/record_pool.h"
#include "wire/base/result.h"
#include "wire/client/client.h"

namespace eagre::perf {

struct IngestOptions {
    std::string stream = "perf";
    RecordPoolOptions pool;
    client::ProducerOptions producer;
    /// 0: as fast as the window lets, and latency runs from put. Else records per second, and
    /// latency runs from the intended send time, whether or not the record could be sent then.
    double rate_per_s = 0;
    double warmup_s = 0.5;                   // Not counted.
    double seconds = 2;                      // Counted.
    uint64_t record_count_max = UINT64_MAX;  // Ends the run early, warm-up included.
};

/// Runs, drains, and says what came of it: records acknowledged per second, latency histogram, own
/// CPU share. Errors: those of make_producer and drain; kBusy when the open loop fell behind by
/// more than kLateNsMax.
Result<JsonLine> run_ingest(client::Client& client, const IngestOptions& options);

/// An open loop that is this late has failed: the schedule was beyond the box or the generator.
inline constexpr uint64_t kLateNsMax = 5'000'000'000ULL;

}  // namespace eagre::perf
