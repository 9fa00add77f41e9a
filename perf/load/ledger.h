#pragma once
// The book-keeping that proves a run: what was acknowledged against what each reader saw, record by
// record.
//
// For every acknowledged record the ledger holds, under (shard, sequence number), its hash and the
// moment it should have been sent; each reader adds the hash and moment of what it saw there. Once
// all have passed a block of sequence numbers it is compared, the latencies are recorded, and it is
// dropped: memory is bounded by how far readers lag behind, and a producer that asks
// outstanding_count() before it goes on bounds that. The records themselves carry nothing for this.
//
// Threading: any thread may call anything; one mutex per shard, taken once per batch.

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "wire/base/histogram.h"
#include "wire/base/types.h"

namespace eagre::load {

inline constexpr uint32_t kReadersMax = 16;

/// What a producer keeps of a record until it is acknowledged.
struct Stamp {
    uint64_t hash = 0;         // hash_record, never 0.
    uint64_t intended_ns = 0;  // Monotonic: when the record was due.
};

struct ReaderVerdict {
    uint64_t read_count = 0;  // Distinct (shard, sequence number) pairs seen.
    uint64_t lost_count = 0;  // Acknowledged, but not seen, or seen with other bytes.
    uint64_t duplicated_count =
        0;  // Seen again, or never acknowledged to anybody ("stored twice").
    uint64_t out_of_order_count =
        0;                 // Seen after a later one of the shard, or in another record's place.
    Histogram latency_ns;  // Intended send time -> seen.
};

class Ledger {
  public:
    /// `reader_count` at most kReadersMax.
    explicit Ledger(uint32_t reader_count);
    ~Ledger();

    /// `stamps` were stored at `first` and up.
    void acknowledged(ShardId shard, SequenceNumber first, std::span<const Stamp> stamps);
    /// `reader` (0-based) saw records with these hashes at `first` and up, at `now_ns`.
    void seen(uint32_t reader, ShardId shard, SequenceNumber first,
              std::span<const uint64_t> hashes, uint64_t now_ns);

    /// Acknowledged, or seen by somebody, and not yet seen by all: what the ledger holds memory
    /// for, in records (a little rough, by whole blocks).
    uint64_t outstanding_count() const { return outstanding_.load(std::memory_order_relaxed); }
    uint64_t acknowledged_count() const { return acknowledged_.load(std::memory_order_relaxed); }
    /// Distinct records that `reader` has seen so far.
    uint64_t seen_count(uint32_t reader) const;

    /// Compares what is left and gives the verdicts, one per reader. Call when producers and
    /// readers have stopped. `unknown_count`: records whose batch failed without a clear answer;
    /// that many unacknowledged ones may be there.
    std::vector<ReaderVerdict> finish(uint64_t unknown_count);

  private:
    static constexpr uint64_t kBlockRecords = 1024;
    struct Block;
    struct Shard;

    Shard& shard_of(ShardId id);
    Block& block_of(Shard& shard, uint64_t index);
    void settle_if_whole(Shard& shard, uint64_t index);
    void compare(const Block& block);
    void compare_reader(const Block& block, uint32_t reader, ReaderVerdict& verdict,
                        uint64_t& extra);

    uint32_t reader_count_;
    std::atomic<uint64_t> outstanding_{0};
    std::atomic<uint64_t> acknowledged_{0};
    std::array<std::atomic<uint64_t>, kReadersMax> seen_{};
    std::mutex shards_mutex_;
    std::map<ShardId, std::unique_ptr<Shard>> shards_;
    std::mutex verdicts_mutex_;
    std::vector<ReaderVerdict> verdicts_;
    std::vector<uint64_t> extra_;  // Per reader: seen, but acknowledged to nobody.
};

}  // namespace eagre::load
