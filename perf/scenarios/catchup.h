#pragma once
// Reading one shard from its trim horizon to where its tail was at the beginning, as fast as it
// comes.

#include <cstdint>
#include <string>

#include "perf/ceilings/json_line.h"
#include "wire/base/result.h"
#include "wire/client/client.h"

namespace eagre::perf {

struct CatchupOptions {
    std::string stream = "perf";
    uint32_t shard_index = 0;  // In the stream's list.
    uint32_t credit_bytes = 16U << 20U;
    double seconds_max = 30;
    uint64_t record_count_max = UINT64_MAX;
};

/// Walks every record (key, length, first byte) and checks that sequence numbers have no gap.
/// Errors: those of describe and make_consumer; kTimeout after seconds_max.
Result<JsonLine> run_catchup(client::Client& client, const CatchupOptions& options);

}  // namespace eagre::perf
