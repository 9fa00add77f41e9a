#pragma once
// What the journals know of streams and shards, as the dataplane tells it: plain data, made by
// channel/ from CommandReply.

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "wire/base/types.h"

namespace eagre::streams {

struct ShardFact {
    ShardId id;
    HashKeyRange range;
    ShardId parent;
    ShardId adjacent_parent;
    JournalId journal;
    bool open = true;
    bool available = true;
    CoreIndex core;
    uint16_t port = 0;
    SequenceNumber trim_horizon;
    SequenceNumber next_sequence;
    SequenceNumber first_sequence;
    uint64_t opened_ns = 0;
};

struct StreamFact {
    StreamId id;
    std::string name;
    uint64_t map_version = 0;
    uint64_t retention_ms = 0;
    uint64_t record_bytes_max = 0;
    uint64_t created_ns = 0;
    std::vector<ShardFact> shards;
};

struct Facts {
    std::vector<StreamFact> streams;
    uint32_t journal_count = 0;               // Journals 0..journal_count-1 belong to the box.
    std::vector<JournalId> journals_missing;  // Of these, the ones that could not be opened: what
                                              // they know is not in `streams`.
    StreamId stream_id_max;                   // Highest ever used in any journal, deleted ones too.
    ShardId shard_id_max;
    bool clock_waits = false;  // Retention waits for AcceptClock.

    bool journal_available(JournalId journal) const {
        return journal.value < journal_count &&
               std::find(journals_missing.begin(), journals_missing.end(), journal) ==
                   journals_missing.end();
    }
};

}  // namespace eagre::streams
