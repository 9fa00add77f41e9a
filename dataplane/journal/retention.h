#pragma once
// Retention: horizons rise by time, first in the journal, then for readers, and only then segments
// are recycled.
//
// One segment is looked at, at a time: its directory and extents say how far each shard's horizon
// may rise and whether anything in it is alive. What was found says when to look again, so that a
// call has as a rule nothing to do.

#include <cstdint>
#include <vector>

#include "dataplane/journal/alive_count.h"
#include "dataplane/journal/context.h"
#include "dataplane/journal/facts.h"
#include "dataplane/journal/segment_chain.h"

namespace eagre::journal {

class JournalCore;

/// Sealed segments that are kept whatever is in them: the footers of the newest ones are what
/// recovery starts from, the second in case that the first cannot be read.
inline constexpr size_t kSealedKeptMin = 2;

class Retention {
  public:
    Retention(Context& context, ShardTable& shards, SegmentChain& chain,
              const ExtentIndex& live_extents, SegmentPool& pool);

    /// Takes a new time and goes over all segments that are due. Facts are appended through
    /// `journal`.
    void retain(JournalCore& journal, uint64_t retention_now_ns);
    /// Goes on with what waited for the device; lets horizons take effect that are durable;
    /// recycles.
    void poll(JournalCore& journal, uint64_t durable_number);
    /// Only about `bytes` of the stream may stay: decides from when on, for the next pass.
    void limit(StreamUsage& usage, uint64_t bytes);
    /// Retention or life of a shard has changed: everything is due again.
    void reconsider();
    /// The segments in the chain are others now: the one that was being looked at is looked at from its beginning.
    void restart_segment() { begin_segment(); }
    /// Passes finished.
    uint64_t pass_count() const { return pass_count_; }
    uint64_t now_ns() const { return now_ns_; }
    /// The newest sealed segments stay: recovery starts from their footers.
    bool kept(const Segment& segment) const;

  private:
    enum class Outcome : uint8_t { kDone, kWait };
    void begin_segment();
    uint64_t limit_ns(const ShardState& state) const;
    void note_usage(const Segment& segment, const DirectoryEntry& entry);
    void make_room();
    void raise_recent(JournalCore& journal);
    bool raise(JournalCore& journal, ShardState& state, uint64_t horizon);
    Outcome examine(JournalCore& journal, Segment& segment);
    Outcome examine_unindexed(JournalCore& journal, size_t index);
    Result<bool> alive_between(Segment* before, const DirectoryEntry& entry);
    Outcome examine_shard(JournalCore& journal, Segment& segment, const DirectoryEntry& entry);
    void mark_dying(Segment& segment, uint64_t commit);
    bool has_dying() const;
    bool recycle_dead(uint64_t durable_number);
    void drop_deleted();

    Context& context_;
    ShardTable& shards_;
    SegmentChain& chain_;
    const ExtentIndex& live_extents_;
    SegmentPool& pool_;
    std::vector<uint32_t> pending_;  // Slots of shards whose horizon is journaled and not durable.
    uint64_t now_ns_ = 0;
    bool active_ = false;       // A pass is under way.
    uint64_t pass_number_ = 0;  // Segment that it is at, or the next one.
    uint32_t entry_index_ = 0;  // Directory entry of that segment that is next.
    bool alive_ = false;        // Something in it is above a horizon.
    AliveCount alive_count_;
    uint64_t pass_count_ = 0;
    bool pass_counted_ = true;
    size_t review_index_ = 0;   // Of the segment that is due again next, whatever happens.
    uint32_t noted_index_ = 0;  // Directory entries before this one have been counted as used.
    uint64_t given_up_number_ = 0;  // Segment that goes, whatever is in it, to make room; 0: none.
    uint64_t due_ns_ = 0;       // Earliest time at which something in it can go.
};

}  // namespace eagre::journal
