#pragma once
// What a core knows of all streams of the box: names, ranges, owners. Each core has its own copy, changed by messages
// from core 0, so that metadata is answered and frames are routed without a lock. Cold but for find_shard and route.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "dataplane/journal/journal.h"
#include "wire/base/result.h"
#include "wire/base/types.h"
#include "wire/shm/stats.h"

namespace eagre::shard {

struct ShardEntry {
    ShardId id;
    HashKeyRange range;
    ShardId parent;
    ShardId adjacent_parent;
    SequenceNumber first_sequence;
    uint64_t opened_ns = 0;
    uint32_t ordinal = 0;  // Among all shards that the stream ever had, from 1; 0: made by an older Eagre.
    JournalId journal;
    CoreIndex core;
    bool open = true;
    bool available = true;
    const shm::ShardStats* stats = nullptr;  // The owner's slot: tail and horizon. Null when not available.
};

struct StreamEntry {
    StreamId id;
    std::string name;
    uint64_t map_version = 0;
    uint64_t retention_ms = 0;
    uint64_t record_bytes_max = 0;
    uint64_t retention_bytes = 0;
    uint64_t quota_bytes_per_s = 0;
    uint64_t quota_records_per_s = 0;
    uint64_t created_ns = 0;
    std::vector<ShardEntry> shards;       // By id.
    std::vector<uint32_t> open_by_range;  // Indices of open shards, by starting hash key.

    /// Sorts shards and fills open_by_range. Call after every change.
    void index();
    /// The open shard whose range holds `key`; null when the ranges have a hole there. O(log n).
    const ShardEntry* route(const HashKey& key) const;
};

using StreamPointer = std::shared_ptr<const StreamEntry>;

class Directory {
  public:
    void put(StreamPointer stream);
    void erase(StreamId stream);
    const StreamEntry* find(StreamId stream) const;
    const StreamEntry* find(std::string_view name) const;
    /// The stream and entry of a shard; nullptr when unknown.
    struct Place {
        const StreamEntry* stream = nullptr;
        const ShardEntry* shard = nullptr;
    };
    Place find_shard(ShardId shard) const;
    /// In order of names.
    const std::map<std::string, StreamPointer, std::less<>>& streams() const { return by_name_; }
    size_t shard_count() const { return shards_.size(); }

  private:
    std::map<std::string, StreamPointer, std::less<>> by_name_;
    std::unordered_map<StreamId, StreamPointer> by_id_;
    std::unordered_map<ShardId, Place> shards_;
};

}  // namespace eagre::shard
