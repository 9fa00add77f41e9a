#pragma once
// One producer of a load: takes records from a source, sends them by schedule or as fast as the
// window allows, and keeps the figures. One thread calls run(); others may read the progress
// counters.

#include <atomic>
#include <cstdint>
#include <map>
#include <string>

#include "perf/load/ledger.h"
#include "perf/load/record_source.h"
#include "wire/client/client.h"

namespace eagre::load {

/// A producer waits when readers are this many records behind, so that the ledger's memory is
/// bounded: 8 Mi records are 384 MiB with two readers.
inline constexpr uint64_t kOutstandingRecordsMax = 8ULL << 20U;
/// How long run() waits at the end for the last acknowledgements.
inline constexpr uint64_t kDrainNs = 30'000'000'000ULL;

struct ProducerPlan {
    std::string stream;
    client::ClientOptions client;
    client::ProducerOptions producer;
    RecordSource* source = nullptr;  // Not owned; this thread alone uses it.
    bool loop = false;               // At the source's end begin again.
    uint64_t record_count = 0;       // Stop after so many; 0: no such limit.
    uint64_t duration_ns = 0;        // Stop after so long; 0: no such limit.
    uint64_t rate_per_s = 0;         // 0: as fast as it goes.
    int pin_core = -1;               // OS CPU, -1: not pinned.
    bool spin = false;         // Poll the network instead of sleeping: lower latency, a whole core.
    Ledger* ledger = nullptr;  // Not owned; may be shared by producers.
    const std::atomic<bool>* stop = nullptr;
};

struct ProducerResult {
    uint64_t sent_count = 0;  // Accepted by the client.
    uint64_t acknowledged_count = 0;
    uint64_t failed_count = 0;   // Answered with an error: known not to be stored, unless unknown.
    uint64_t unknown_count = 0;  // Of those: stored or not, nobody knows.
    uint64_t out_of_order_count =
        0;  // Records of a shard that got a lower sequence number than one put before.
    uint64_t late_count = 0;        // Sent more than kLateNs after they were due.
    uint64_t never_sent_count = 0;  // Due within the time, not sent.
    uint64_t blob_bytes = 0;        // Keys and data acknowledged.
    uint64_t payload_bytes = 0;     // Batch bytes acknowledged.
    uint64_t batch_count = 0;
    uint64_t resend_count = 0;
    uint64_t start_ns = 0;     // Monotonic: when the first record was due, ...
    uint64_t last_ack_ns = 0;  // ... and when the last acknowledgement came.
    bool source_ended = false;
    std::map<Errc, uint64_t> errors;  // Records by error.
    Histogram ack_ns;                 // Intended send time -> acknowledgement seen.
};

class ProducerDriver {
  public:
    explicit ProducerDriver(ProducerPlan plan);
    ~ProducerDriver();

    /// Connects, sends, drains. Throws std::runtime_error when the box cannot be reached or the
    /// source cannot be read.
    ProducerResult run();

    uint64_t sent_count() const { return sent_.load(std::memory_order_relaxed); }
    uint64_t acknowledged_count() const { return acknowledged_.load(std::memory_order_relaxed); }

  private:
    struct Run;
    ProducerPlan plan_;
    std::atomic<uint64_t> sent_{0};
    std::atomic<uint64_t> acknowledged_{0};
};

/// Pins the calling thread; throws std::runtime_error when the CPU is not there. Does nothing for
/// -1.
void pin_thread(int os_cpu);

}  // namespace eagre::load
