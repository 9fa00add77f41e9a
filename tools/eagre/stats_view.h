#pragma once
// DATA/stats.shm as others may read it: checked, copied out at one moment, compared between two
// moments.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "wire/base/histogram.h"
#include "wire/shm/stats.h"

namespace eagre::cli {

class StatsSnapshot {
  public:
    /// Throws std::runtime_error with what to do when the file is missing, too short or of another
    /// layout.
    static StatsSnapshot read(const std::string& path);

    const shm::StatsHeader& header() const;
    const shm::CoreStats& core(uint32_t index) const;
    /// Slots in use, over all cores.
    std::vector<const shm::ShardStats*> shards() const;
    uint64_t taken_ns() const { return taken_ns_; }

    /// Sum of one counter over all cores.
    uint64_t total(uint64_t shm::CoreStats::*counter) const;
    /// One histogram, all cores together.
    Histogram merged(Histogram shm::CoreStats::*histogram) const;

  private:
    std::vector<uint64_t> words_;  // The file; 8-byte aligned, as the layout wants.
    uint64_t taken_ns_ = 0;        // CLOCK_MONOTONIC.
};

/// The process that writes these statistics; 0 when the file is not there or not (yet) one of ours.
uint32_t stats_pid(const std::string& path);

/// What was recorded between two readings of one growing histogram, to within a step of it.
Histogram histogram_between(const Histogram& before, const Histogram& after);

}  // namespace eagre::cli
