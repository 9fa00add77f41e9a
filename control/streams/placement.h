#pragma once
// Which journal a new shard goes to. Shard -> journal is durable; which core serves a journal is
// the dataplane's business.

#include <cstdint>
#include <vector>

#include "control/streams/facts.h"
#include "control/streams/stream_table.h"

namespace eagre::streams {

/// Hands out journals, always the available one with the fewest open shards, the lowest id among
/// equals.
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
    struct Load {
        JournalId journal;
        uint64_t shard_count = 0;
    };
    std::vector<Load> journals_;
};

}  // namespace eagre::streams
