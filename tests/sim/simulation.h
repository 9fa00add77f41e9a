#pragma once
// One run: a box, its control, producers and readers in one thread, with crashes, until `ticks` are
// over; then quiet, one last loss of power, and the accounts are settled.

#include <cstdint>
#include <string>

#include "dataplane/journal/journal.h"

namespace eagre::test {

struct SimulationOptions {
    uint64_t seed = 1;
    uint64_t ticks = 4000;
    journal::Mutants mutants;
    bool talkative = false;  // Says on stderr what it does to the box.
};

struct SimulationResult {
    std::string promise;  // Empty: all kept.
    std::string what;
    uint64_t history_hash = 0;
    uint64_t put_count = 0;
    uint64_t acked_count = 0;
    uint64_t failed_count = 0;
    uint64_t delivered_count = 0;
    uint32_t crash_count = 0;
    uint32_t child_count = 0;  // Shards that were made by splits and merges, once for each parent.
    uint64_t simulated_ns = 0;
};

SimulationResult simulate(const SimulationOptions& options);

}  // namespace eagre::test
