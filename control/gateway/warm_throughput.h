#pragma once
// Warm throughput, which three operations tell of.

#include <cstdint>

#include "control/gateway/document/writer.h"
#include "control/gateway/model/api_error.h"

namespace eagre::gateway {

void write_warm_throughput(Writer& writer, int64_t mibps);
/// To accounts without the commitment.
ApiError warm_throughput_refused();

}  // namespace eagre::gateway
