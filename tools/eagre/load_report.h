#pragma once
// What `eagre bench` and `eagre session` print of a load: a table of figures, latencies, a plot,
// and the same as JSON.

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "perf/load/phase.h"
#include "tools/eagre/text.h"

namespace eagre::cli {

/// What the dataplane used during a part.
struct DataplaneUse {
    double cpu_seconds = 0;
    uint64_t payload_bytes = 0;  // Batch bytes appended.
    uint64_t journal_bytes = 0;
    uint64_t device_written_bytes = 0;
    bool known = false;  // False: not measured (a remote appliance).
};

/// A part of a load with a name.
struct LoadPart {
    std::string name;         // "paced", "full speed".
    uint64_t rate_per_s = 0;  // 0: as fast as it goes.
    load::PhaseResult result;
    DataplaneUse use;
};

struct LoadReport {
    std::vector<std::string> reader_names;
    std::vector<LoadPart> parts;

    uint64_t sent_count() const;
    uint64_t acknowledged_count() const;
    uint64_t failed_count() const;
    uint64_t read_count(size_t reader) const;
    uint64_t lost_count() const;  // Over all readers.
    uint64_t duplicated_count() const;
    uint64_t out_of_order_count()
        const;  // Readers' and producers' (sequence numbers that run against the order of put).
    /// Everything sent was acknowledged, and everything acknowledged was read by all, once and in
    /// order.
    bool clean() const;
};

/// The object that tools/run prints as its last line. Throughput is that of the fastest-going part,
/// latencies those of the paced one where there is one; "parts" has each.
nlohmann::ordered_json report_json(const LoadReport& report);
/// Counts and rates, a column per part.
Table figures_table(const LoadReport& report);
/// Percentiles, a row per histogram.
Table latencies_table(const LoadReport& report);
/// One histogram of the report with its name ("paced: acknowledged"); it lives as long as the
/// report.
struct LatencySeries {
    std::string name;
    const Histogram* histogram = nullptr;
};
/// Those that hold anything, part by part: acknowledgements, then each consumer.
std::vector<LatencySeries> latency_series(const LoadReport& report);
std::string report_text(const LoadReport& report, bool utf8);
/// One sentence: what the verdict is.
std::string verdict_text(const LoadReport& report);

}  // namespace eagre::cli
