#pragma once
// One shard on the core that owns it: its facts, its sequence counter and its watermarks.
//
// Invariant: appended >= durable, both only grow; arrival times never fall.

#include <cstdint>
#include <vector>

#include "dataplane/journal/journal.h"
#include "dataplane/shard/quota.h"
#include "wire/base/assert.h"
#include "wire/base/types.h"
#include "wire/shm/stats.h"

namespace eagre::shard {

struct Shard {
    journal::ShardFacts facts;
    journal::Journal* journal = nullptr;
    SequenceNumber appended;            // Next sequence number to be given.
    SequenceNumber durable;             // Next durable one: what consumers may see ends before it.
    uint64_t last_arrival_ns = 0;
    journal::CommitNumber last_commit;  // Of its newest run in this incarnation; 0: none, all of it is durable.
    bool closing = false;               // To be closed, or closed and the map with its children not there yet: batches wait.
    shm::ShardStats* stats = nullptr;   // Never null: spare slot when the board is full.
    Quota quota;                        // As facts say.
    std::vector<uint32_t> watchers;     // Subscriptions (fanout/) to be told when `durable` moves.

    uint64_t stamp(uint64_t wall_ns) {
        if (wall_ns > last_arrival_ns) last_arrival_ns = wall_ns;
        return last_arrival_ns;
    }
    void advance_durable(SequenceNumber to) {
        EAGRE_ASSERT_GE(to.value, durable.value);
        EAGRE_ASSERT_LE(to.value, appended.value);
        durable = to;
        stats->durable_sequence = to.value;
    }
    SequenceNumber trim_horizon() const { return journal->trim_horizon(facts.shard); }
};

}  // namespace eagre::shard
