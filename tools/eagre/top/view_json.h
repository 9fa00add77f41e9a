#pragma once
// The view as `eagre top --json` prints it.

#include <nlohmann/json.hpp>

#include "tools/eagre/top/view.h"

namespace eagre::cli::top {

/// Rates are per second, latencies us, sizes bytes, times ns since 1970.
nlohmann::ordered_json view_json(const View& view);

}  // namespace eagre::cli::top
