#pragma once
// The memory that makes producers idempotent: per (producer, shard) the last kProducerWindow answers. Bounded; expires by
// idle time only; a full table refuses new ids and never forgets a live one.

#include <cstdint>
#include <span>
#include <unordered_map>

#include "dataplane/journal/journal.h"
#include "wire/base/limits.h"
#include "wire/base/result.h"
#include "wire/base/types.h"

namespace eagre::shard {

static_assert(sizeof(journal::ProducerFacts::results) / sizeof(journal::BatchResult) == kProducerWindow);

class ProducerTable {
  public:
    explicit ProducerTable(uint32_t count_max, uint64_t idle_ns_max) : count_max_(count_max), idle_ns_max_(idle_ns_max) {
        table_.reserve(count_max);
    }

    /// What to do with a batch.
    struct Verdict {
        bool repeated = false;          // True: `first` is the answer that the batch got before.
        journal::BatchResult first;
    };
    /// Errors: kUnknownProducer (unknown id, number not 0), kBatchOutOfOrder (detail = expected number),
    /// kBatchMismatch (same number, other bytes), kBatchForgotten, kLimitExceeded (table full).
    Result<Verdict> check(ProducerId producer, ShardId shard, BatchNumber number, uint32_t payload_crc,
                          uint32_t record_count) const;
    /// Takes in the answer of a new batch (the last number + 1, or 0 for a new id); returns the state to be stored.
    const journal::ProducerFacts& record(ProducerId producer, ShardId shard, const journal::BatchResult& result,
                                         uint64_t arrival_ns);
    void restore(const journal::ProducerFacts& facts);
    /// Drops all of a deleted shard, and what has been idle for too long by `arrival_now_ns`.
    void forget_shard(ShardId shard);
    /// Takes back a new id whose first batch was not stored after all.
    void forget(ProducerId producer, ShardId shard) { table_.erase(Key{producer.value, shard.value}); }
    void expire(uint64_t arrival_now_ns);
    size_t count() const { return table_.size(); }

  private:
    struct Key {
        uint64_t producer;
        uint64_t shard;
        friend bool operator==(const Key&, const Key&) = default;
    };
    struct KeyHash {
        size_t operator()(const Key& key) const {
            return static_cast<size_t>((key.producer ^ (key.shard * 0x9E3779B97F4A7C15ULL)) * 0xD6E8FEB86659FD93ULL);
        }
    };
    uint32_t count_max_;
    uint64_t idle_ns_max_;
    std::unordered_map<Key, journal::ProducerFacts, KeyHash> table_;
};

}  // namespace eagre::shard
