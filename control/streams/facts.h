#pragma once
// What the journals know of streams and shards, as the dataplane tells it: plain data, made by
// channel/ from CommandReply.

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "control/catalog/catalog.h"
#include "wire/base/types.h"
#include "wire/shards/shard_info.h"

namespace eagre::streams {

using ShardFact = shards::ShardDescription;
using StreamFact = shards::StreamDescription;

/// As the catalogue keeps it.
inline catalog::ShardRow row_from(const StreamFact& stream, const ShardFact& fact) {
    catalog::ShardRow row;
    row.id = fact.id;
    row.stream = stream.id;
    row.range = fact.range;
    row.parent = fact.parent;
    row.adjacent_parent = fact.adjacent_parent;
    row.journal = fact.journal;
    row.first_sequence = fact.first_sequence;
    row.open = fact.open;
    return row;
}

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
