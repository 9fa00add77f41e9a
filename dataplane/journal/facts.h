#pragma once
// What the journal knows of each shard: facts, watermarks, where its youngest runs are. Found by id
// in O(1); bounded.

#include <cstdint>
#include <memory>
#include <vector>

#include "dataplane/journal/segment_format.h"
#include "dataplane/journal/stream_usage.h"

namespace eagre::journal {

struct ShardState {
    ShardFacts facts;              // facts.trim_horizon is durable and what readers see.
    uint32_t slot = 0;             // Index in tables by shard.
    uint64_t appended_next = 0;    // Sequence number that the next run appended gets.
    uint64_t durable_next = 0;     // The same for what is durable. durable_next <= appended_next.
    uint64_t last_arrival_ns = 0;  // Of the last run appended; never falls.
    uint64_t last_serial = 0;      // Its last run in the run index; 0: none.
    uint64_t segment_first_sequence = 0;  // Of its first run in the live segment; 0: none yet.
    uint64_t segment_first_arrival_ns = 0;
    uint64_t deleted_segment = 0;  // Segment that was live when it was deleted.
    uint64_t pending_horizon = 0;  // Journaled, durable with commit `pending_commit`; 0: none.
    uint64_t pending_commit = 0;
    StreamUsage* usage = nullptr;  // Of its stream; null: deleted, or not known yet.
};

class ShardTable {
  public:
    explicit ShardTable(uint32_t shard_count_max);

    ShardState* find(uint64_t shard) const;
    /// Finds or adds. Null: the table is full.
    ShardState* take(uint64_t shard);
    /// Forgets a shard of which nothing is left; its id stays in shard_id_max.
    void drop(uint64_t shard);
    ShardState& at_slot(uint32_t slot) { return *slots_[slot]; }
    bool used(uint32_t slot) const { return slots_[slot] != nullptr; }
    /// Slots 0..slot_count()-1 may be used.
    uint32_t slot_count() const { return static_cast<uint32_t>(slots_.size()); }
    uint32_t count() const { return count_; }
    /// Slots of all shards by rising id; valid until the next take or drop.
    const std::vector<uint32_t>& sorted();
    void note_ids(uint64_t shard, uint64_t stream);

    uint64_t shard_id_max = 0;
    uint64_t stream_id_max = 0;
    StreamUsageTable usages;  // Of the streams of these shards.

  private:
    struct Bucket {
        uint64_t shard = 0;  // 0: empty.
        ShardState* state = nullptr;
    };
    size_t bucket_of(uint64_t shard) const;
    void rebuild();

    std::vector<Bucket> buckets_;
    std::vector<std::unique_ptr<ShardState>> slots_;
    std::vector<uint32_t> free_;
    std::vector<uint32_t> sorted_;
    bool sorted_valid_ = false;
    uint32_t count_ = 0;
    uint32_t shard_count_max_;
};

/// Facts as the FlatBuffers payload of a system run, zero-padded to 8 bytes.
std::vector<std::byte> encode_fact(const ShardFacts& facts);
/// Errors: kBadSchema.
Result<ShardFacts> decode_fact(std::span<const std::byte> payload);

FactRecord to_record(const ShardState& state);
/// False: not a record that we wrote.
bool from_record(const FactRecord& record, ShardState& state);

/// Facts may come from anybody's memory: what only grows is kept from falling, what the journal
/// knows better is kept.
void merge_facts(ShardState& state, const ShardFacts& facts);

}  // namespace eagre::journal
