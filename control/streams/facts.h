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
    row.ordinal = fact.ordinal;
    row.open = fact.open;
    return row;
}

/// A journal: the data directory that it lies in (0: the main one), and the core that serves it since
/// this start of the dataplane.
struct JournalFact {
    JournalId id;
    uint32_t directory = 0;
    CoreIndex core;
    bool available = true;
};
struct DirectoryFact {
    uint32_t number = 0;
    std::string path;  // Where it is, or was when last seen.
    bool available = true;
};

struct Facts {
    std::vector<StreamFact> streams;
    uint32_t journal_count = 0;               // Journals 0..journal_count-1 belong to the box.
    std::vector<JournalId> journals_missing;  // Of these, the ones that could not be opened: what
                                              // they know is not in `streams`.
    StreamId stream_id_max;                   // Highest ever used in any journal, deleted ones too.
    ShardId shard_id_max;
    bool clock_waits = false;  // Retention waits for AcceptClock.
    std::vector<JournalFact> journals = {};
    std::vector<DirectoryFact> directories = {};

    /// A journal that was not told of is taken for one of the main directory, on a core of its own.
    JournalFact place_of(JournalId journal) const {
        const auto same = [journal](const JournalFact& each) { return each.id == journal; };
        const auto found = std::find_if(journals.begin(), journals.end(), same);
        if (found != journals.end()) return *found;
        return {journal, 0, CoreIndex(journal.value), journal_available(journal)};
    }
    bool journal_available(JournalId journal) const {
        return journal.value < journal_count &&
               std::find(journals_missing.begin(), journals_missing.end(), journal) ==
                   journals_missing.end();
    }
};

}  // namespace eagre::streams
