#include "tools/eagre/latency_json.h"

namespace eagre::cli {

nlohmann::ordered_json latency_json(const Histogram& histogram) {
    const auto at = [&](double percent) {
        return static_cast<double>(histogram.percentile(percent)) / 1e3;
    };
    return {{"count", histogram.count()},
            {"p50", at(50)},
            {"p99", at(99)},
            {"p999", at(99.9)},
            {"p9999", at(99.99)},
            {"max", static_cast<double>(histogram.max()) / 1e3}};
}

}  // namespace eagre::cli
