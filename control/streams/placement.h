#pragma once
// Which journal a shard goes to, and which shards should go elsewhere when cores or data directories have come or gone.
// Shard -> journal is durable; which core serves a journal is decided by the dataplane at each start, and counted with here:
// open shards are spread evenly over cores first, then over the journals of each core, which lie in different directories.

#include <cstdint>
#include <string>
#include <vector>

#include "control/streams/facts.h"
#include "control/streams/stream_table.h"

namespace eagre::streams {

/// Hands out journals: of the core with the fewest open shards the journal with the fewest, the lowest ids among equals.
class Placement {
  public:
    /// Counts the open shards of `table`. Journals that `facts` calls missing get nothing.
    Placement(const StreamTable& table, const Facts& facts);
    bool empty() const { return journals_.empty(); }
    /// A shard of `journal` that counts here is about to be closed.
    void release(JournalId journal);
    /// Not to be called when empty().
    JournalId next();

  private:
    friend class Rebalancing;
    struct Load {
        JournalId journal;
        CoreIndex core;
        uint64_t shard_count = 0;
    };
    Load& least();

    std::vector<Load> journals_;
};

/// A shard that is to go on in another journal: it is closed, and a child with its hash keys is opened there.
struct Move {
    std::string stream;
    ShardId shard;
    JournalId from;
    JournalId to;
};

/// Planned at once; when that is not all, the next plan goes on.
inline constexpr size_t kRebalanceMovesMax = 1024;

/// Moves after which no core has two open shards more than another, nor a journal two more than another of its core. Of the
/// shards that could go, those of the stream that is most unevenly spread go. Streams with another change under way stay as
/// they are, as do shards in journals that are missing. Empty: all is even.
std::vector<Move> plan_rebalance(const StreamTable& table, const Facts& facts, size_t moves_max = kRebalanceMovesMax);

}  // namespace eagre::streams
