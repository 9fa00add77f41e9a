#pragma once
// Answer memory of idempotent producers: the last results of each (producer, shard). Bounded; what
// idled out makes room.

#include <cstdint>
#include <memory>
#include <vector>

#include "dataplane/journal/raw_array.h"
#include "dataplane/journal/segment_format.h"

namespace eagre::journal {

class ProducerTable {
  public:
    ProducerTable(uint32_t count_max, uint64_t idle_ns_max);

    /// Stores or replaces. False: the table is full and nobody in it has idled out by
    /// `facts.last_arrival_ns`.
    bool remember(const ProducerFacts& facts);
    /// The same from a run that is replayed: its result becomes the last one of its producer.
    bool replay(const RunHeader& header);
    const ProducerFacts* find(ProducerId producer, ShardId shard) const;
    uint32_t count() const { return count_; }
    const ProducerFacts& at(uint32_t index) const { return entries_[index]; }
    /// Drops those of a shard that was deleted.
    void drop_shard(ShardId shard);

  private:
    size_t bucket_of(ProducerId producer, ShardId shard) const;
    ProducerFacts* take(ProducerId producer, ShardId shard, uint64_t now_ns);
    template <class Keep>
    void keep_if(Keep keep);

    RawArray<ProducerFacts> entries_;
    std::vector<uint32_t> buckets_;  // Index + 1; 0: empty.
    uint32_t count_ = 0;
    uint32_t count_max_;
    uint64_t idle_ns_max_;
    uint64_t oldest_arrival_ns_ =
        0;  // No entry is older: spares the search when nobody can have idled out.
};

ProducerRecord to_record(const ProducerFacts& facts);
/// False: not a record that we wrote.
bool from_record(const ProducerRecord& record, ProducerFacts& facts);

}  // namespace eagre::journal
