#pragma once
// One consumer of a load: reads a stream from a position, by subscription or by pulling, and enters
// all it sees in a ledger. It has a thread of its own, so that readers are independent of each
// other and of the producers.

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "perf/load/ledger.h"
#include "wire/client/client.h"

namespace eagre::load {

struct ReaderPlan {
    std::string stream;
    client::ClientOptions client;
    client::ConsumerOptions consumer;
    uint32_t index = 0;  // Of this reader in the ledger.
    int pin_core = -1;   // OS CPU, -1: not pinned.
    bool spin = false;
};

struct ReaderResult {
    std::map<Errc, uint64_t> events;  // What the consumer was told, by error.
    uint64_t reconnect_count = 0;
    uint64_t damaged_count = 0;
    uint64_t trimmed_count = 0;
};

class ReaderDriver {
  public:
    /// Connects and positions before it returns, then reads on in its own thread. `ledger` may be
    /// null: then records are only counted. Throws std::runtime_error when the box cannot be
    /// reached.
    ReaderDriver(ReaderPlan plan, Ledger* ledger);
    ~ReaderDriver();

    /// From now on enters what it sees in another ledger. The caller makes sure that nothing is on
    /// its way.
    void switch_ledger(Ledger* ledger) { ledger_.store(ledger, std::memory_order_release); }

    uint64_t record_count() const { return record_count_.load(std::memory_order_relaxed); }
    uint64_t blob_bytes() const { return blob_bytes_.load(std::memory_order_relaxed); }

    /// Stops the thread and tells what happened. Throws what the thread died of.
    ReaderResult stop();

  private:
    struct Thread;
    std::atomic<Ledger*> ledger_;
    std::atomic<uint64_t> record_count_{0};
    std::atomic<uint64_t> blob_bytes_{0};
    std::unique_ptr<Thread> thread_;
};

}  // namespace eagre::load
