#pragma once
// The dataplane's statistics as the commands want them: read or refused with a sentence, and
// compared between two moments.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "wire/base/histogram.h"
#include "wire/shm/stats_snapshot.h"

namespace eagre::cli {

using shm::StatsSnapshot;

/// DATA/stats.shm, now. Throws std::runtime_error with what to do when the file is missing, too
/// short or of another layout.
StatsSnapshot read_stats(const std::string& path);

/// What was recorded between two readings of one growing histogram, to within a step of it.
Histogram histogram_between(const Histogram& before, const Histogram& after);

/// What a shard does; per second.
struct ShardRate {
    const shm::ShardStats* shard;  // Of the later reading.
    double records_in_per_s;
    double bytes_in_per_s;
    double records_out_per_s;
    double bytes_out_per_s;
};

/// Two readings and the seconds between them; an eagred that was started anew in between counts
/// from 0. Both readings outlive it.
struct StatsInterval {
    const StatsSnapshot& before;
    const StatsSnapshot& after;

    double seconds() const;
    bool same_run() const;
    /// Growth of a counter of one core, per second.
    double core_rate(uint32_t core, uint64_t shm::CoreStats::*counter) const;
    /// The same over all cores.
    double total_rate(uint64_t shm::CoreStats::*counter) const;
    /// What was recorded in between; with an eagred that was started anew, all that it has.
    Histogram core_histogram(uint32_t core, Histogram shm::CoreStats::*histogram) const;
    Histogram merged_histogram(Histogram shm::CoreStats::*histogram) const;
    /// Busiest first; shards that are equally busy by id.
    std::vector<ShardRate> shard_rates() const;
    /// Typed errors given in between, by name.
    std::map<std::string, uint64_t> errors() const;
};

/// Typed errors given since eagred was started, by name.
std::map<std::string, uint64_t> errors_by_name(const StatsSnapshot& snapshot);

}  // namespace eagre::cli
