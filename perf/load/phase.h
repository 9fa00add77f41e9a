#pragma once
// One part of a load: producers run side by side until each has sent its share, readers catch up,
// the ledger is closed.

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "perf/load/ledger.h"
#include "perf/load/producer_driver.h"
#include "perf/load/reader_driver.h"

namespace eagre::load {

/// Readers that see nothing new for this long while records are outstanding are not waited for any
/// longer.
inline constexpr uint64_t kReaderStallNs = 10'000'000'000ULL;

struct PhaseProgress {
    uint64_t sent_count = 0;
    uint64_t acknowledged_count = 0;
    uint64_t read_count = 0;  // By the slowest reader.
    double seconds = 0;
    bool producing = true;  // False: only readers are waited for.
};

struct PhaseResult {
    ProducerResult producers;            // Sums and merged histograms.
    std::vector<ReaderVerdict> readers;  // One each.
    double producing_seconds = 0;        // First record due -> last acknowledgement.
    double seconds = 0;                  // First record due -> last reader done.
};

/// Adds the figures of one producer to those of others.
void merge(ProducerResult& all, const ProducerResult& one);

/// Runs every plan in a thread of its own. `ledger` may be null when there are no readers; the
/// plans' ledger and stop are set here. `tick` is called from this thread all the time, should wait
/// a little (tens of ms) and returns true to end early. Throws what a producer died of.
PhaseResult run_phase(std::vector<ProducerPlan> plans,
                      std::span<const std::unique_ptr<ReaderDriver>> readers, Ledger* ledger,
                      const std::function<bool(const PhaseProgress&)>& tick);

}  // namespace eagre::load
