#pragma once
// A distribution of latencies as every command with --json prints it.

#include <nlohmann/json.hpp>

#include "wire/base/histogram.h"

namespace eagre::cli {

/// {"count", "p50", "p99", "p999", "p9999", "max"}: the histogram's values are ns, the figures us.
nlohmann::ordered_json latency_json(const Histogram& histogram);

}  // namespace eagre::cli
