#include "dataplane/journal/retention.h"

#include <algorithm>

#include "dataplane/journal/journal_core.h"
#include "wire/base/assert.h"

namespace eagre::journal {
namespace {

constexpr uint64_t kNsPerMs = 1'000'000;
// Directory entries looked at in one turn of the reactor.
constexpr uint32_t kEntriesPerPoll = 256;

uint64_t retention_ns(const ShardState& state) {
    return state.facts.retention_ms * kNsPerMs;
}
// What cannot be indexed is looked at so often.
constexpr uint64_t kUnindexedPauseNs = 10'000'000'000;

uint64_t horizon_of(const ShardState& state) {
    return std::max(state.facts.trim_horizon.value, state.pending_horizon);
}

}  // namespace

Retention::Retention(Context& context, ShardTable& shards, SegmentChain& chain,
                     const ExtentIndex& live_extents, SegmentPool& pool)
    : context_(context), shards_(shards), chain_(chain), live_extents_(live_extents), pool_(pool) {
    pending_.reserve(context.options.shard_count_max);
}

void Retention::reconsider() {
    for (Segment* segment : chain_.segments()) segment->retention_due_ns = 0;
}

void Retention::retain(JournalCore& journal, uint64_t retention_now_ns) {
    now_ns_ = std::max(now_ns_, retention_now_ns);
    if (context_.failed()) return;
    raise_recent(journal);
    if (active_) return;
    active_ = true;
    pass_counted_ = false;
    // What is alive changes with horizons that other segments raised, too: one segment a call is looked at for that.
    if (!chain_.segments().empty())
        chain_.segments()[review_index_++ % chain_.segments().size()]->retention_due_ns = 0;
    pass_number_ = 0;
    begin_segment();
}

void Retention::begin_segment() {
    entry_index_ = 0;
    alive_ = false;
    due_ns_ = UINT64_MAX;
    alive_count_.reset();
}

bool Retention::raise(JournalCore& journal, ShardState& state, uint64_t horizon) {
    if (horizon <= horizon_of(state)) return true;
    const auto commit = journal.append_horizon(state, horizon);
    if (!commit) return false;
    // No more entries than shards: one that waits already is raised in place.
    if (state.pending_horizon == 0) pending_.push_back(state.slot);
    state.pending_horizon = horizon;
    state.pending_commit = commit->value;
    return true;
}

// Shards of which everything is too old, and what lies in the live segment.
void Retention::raise_recent(JournalCore& journal) {
    for (uint32_t slot = 0; slot < shards_.slot_count(); ++slot) {
        if (!shards_.used(slot)) continue;
        ShardState& state = shards_.at_slot(slot);
        const uint64_t kept_ns = retention_ns(state);
        if (kept_ns == 0 || state.facts.deleted || now_ns_ <= kept_ns) continue;
        const uint64_t limit_ns = now_ns_ - kept_ns;
        uint64_t horizon = 0;
        if (state.last_arrival_ns < limit_ns) {
            horizon = state.durable_next;
        } else {
            const uint32_t index = live_extents_.find_time(slot, limit_ns);
            if (index != ExtentIndex::kNone)
                horizon = live_extents_.at(index).extent.first_sequence;
        }
        if (!raise(journal, state, std::min(horizon, state.durable_next))) return;
    }
}

Retention::Outcome Retention::examine(JournalCore& journal, Segment& segment) {
    const uint32_t end = std::min(segment.trailer.shard_count, entry_index_ + kEntriesPerPoll);
    for (; entry_index_ < end; ++entry_index_) {
        const auto entry = chain_.directory_at(segment, entry_index_);
        if (!entry && entry.error().code == Errc::kDamaged) {
            segment.state = Segment::State::kUnindexed;
            return Outcome::kDone;
        }
        if (!entry || examine_shard(journal, segment, *entry) == Outcome::kWait)
            return Outcome::kWait;
        const ShardState* state = shards_.find(entry->shard);
        alive_count_.add(*entry, state, state == nullptr ? 0 : horizon_of(*state));
    }
    if (entry_index_ < segment.trailer.shard_count) return Outcome::kWait;
    segment.retention_due_ns = due_ns_;
    segment.alive_bytes = alive_count_.bytes(segment);
    segment.dies_ns = alive_count_.dies_ns();
    if (!alive_) mark_dying(segment, journal.last_commit());
    return Outcome::kDone;
}

Retention::Outcome Retention::examine_shard(JournalCore& journal, Segment& segment,
                                            const DirectoryEntry& entry) {
    ShardState* state = shards_.find(entry.shard);
    // A shard that is not known any more was deleted, and its facts dropped with its last segment.
    if (entry.extent_count == 0 || state == nullptr || state->facts.deleted) return Outcome::kDone;
    if (horizon_of(*state) >= entry.next_sequence) return Outcome::kDone;
    const uint64_t kept_ns = retention_ns(*state);
    if (kept_ns == 0) {
        alive_ = true;
        return Outcome::kDone;
    }
    const uint64_t limit_ns = now_ns_ > kept_ns ? now_ns_ - kept_ns : 0;
    if (entry.last_arrival_ns < limit_ns) {
        return raise(journal, *state, entry.next_sequence) ? Outcome::kDone : Outcome::kWait;
    }
    // The last extent that began before the limit: all in front of it is older still.
    uint32_t low = entry.extent_index;
    uint32_t high = low + entry.extent_count;
    uint64_t horizon = 0;
    uint64_t next_ns = entry.last_arrival_ns;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const auto extent = chain_.extent(segment, middle);
        if (!extent) {
            if (extent.error().code == Errc::kBusy) return Outcome::kWait;
            alive_ = true;
            return Outcome::kDone;
        }
        if (extent->arrival_ns < limit_ns) {
            horizon = extent->first_sequence;
            low = middle + 1;
        } else {
            next_ns = std::min(next_ns, extent->arrival_ns);
            high = middle;
        }
    }
    if (!raise(journal, *state, horizon)) return Outcome::kWait;
    alive_ = true;
    due_ns_ = std::min(due_ns_, next_ns + kept_ns + 1);
    return Outcome::kDone;
}

// True when the shard of `entry`, of the next segment that has an index, has records above its horizon between that one
// and `before`, the last one with an index (null: none). Errors: kBusy, kDamaged.
Result<bool> Retention::alive_between(Segment* before, const DirectoryEntry& entry) {
    const ShardState* state = shards_.find(entry.shard);
    if (state == nullptr || state->facts.deleted) return false;
    const uint64_t end = entry.extent_count > 0 ? entry.first_sequence : entry.next_sequence;
    if (horizon_of(*state) >= end) return false;
    if (before == nullptr) return true;
    const auto earlier = chain_.directory_entry(*before, entry.shard);
    if (!earlier) return earlier.error();
    return earlier->shard == 0 || earlier->next_sequence < end;
}

// What is in a segment without an index is known from its neighbours: for each shard the records between the last that the
// one before has and the first that the one behind has. It stays until none of them is above a horizon.
Retention::Outcome Retention::examine_unindexed(JournalCore& journal, size_t index) {
    const auto& segments = chain_.segments();
    Segment& segment = *segments[index];
    segment.retention_due_ns = now_ns_ + kUnindexedPauseNs;
    Segment* before = nullptr;
    Segment* behind = nullptr;
    for (size_t i = index; i-- > 0 && before == nullptr;) {
        if (segments[i]->state == Segment::State::kSealed) before = segments[i];
    }
    for (size_t i = index + 1; i < segments.size() && behind == nullptr; ++i) {
        if (segments[i]->state == Segment::State::kSealed) behind = segments[i];
    }
    if (behind == nullptr) return Outcome::kDone;
    const uint32_t end = std::min(behind->trailer.shard_count, entry_index_ + kEntriesPerPoll);
    for (; entry_index_ < end; ++entry_index_) {
        const auto entry = chain_.directory_at(*behind, entry_index_);
        const auto alive = entry ? alive_between(before, *entry) : Result<bool>(entry.error());
        if (!alive && alive.error().code == Errc::kBusy) {
            segment.retention_due_ns = 0;
            return Outcome::kWait;
        }
        if (!alive || *alive) return Outcome::kDone;
    }
    if (entry_index_ == behind->trailer.shard_count) {
        mark_dying(segment, journal.last_commit());
        return Outcome::kDone;
    }
    segment.retention_due_ns = 0;
    return Outcome::kWait;
}

void Retention::mark_dying(Segment& segment, uint64_t commit) {
    segment.dying = true;
    segment.dying_commit = commit;
}

void Retention::poll(JournalCore& journal, uint64_t durable_number) {
    for (size_t i = 0; i < pending_.size();) {
        const uint32_t slot = pending_[i];
        if (shards_.used(slot) && shards_.at_slot(slot).pending_commit > durable_number) {
            ++i;
            continue;
        }
        if (shards_.used(slot)) {
            ShardState& state = shards_.at_slot(slot);
            state.facts.trim_horizon = SequenceNumber{horizon_of(state)};
            state.pending_horizon = 0;
        }
        pending_[i] = pending_.back();
        pending_.pop_back();
    }
    if (!active_ || context_.failed()) return;
    for (size_t i = 0; i < chain_.segments().size(); ++i) {
        Segment* segment = chain_.segments()[i];
        if (segment->number() < pass_number_) continue;
        const bool unindexed = segment->state == Segment::State::kUnindexed;
        const bool due = (unindexed || segment->state == Segment::State::kSealed) &&
                         !segment->dying && segment->retention_due_ns <= now_ns_;
        if (due && (unindexed ? examine_unindexed(journal, i) : examine(journal, *segment)) ==
                       Outcome::kWait)
            return;
        pass_number_ = segment->number() + 1;
        begin_segment();
        if (due) return;  // One segment a turn.
    }
    if (!pass_counted_) ++pass_count_;
    pass_counted_ = true;
    if (recycle_dead(durable_number)) drop_deleted();
    active_ = has_dying();
}

bool Retention::has_dying() const {
    const auto& segments = chain_.segments();
    return std::any_of(segments.begin(), segments.end(),
                       [&](const Segment* s) { return s->dying && !kept(*s); });
}

// The newest sealed segments stay: recovery starts from their footers.
bool Retention::kept(const Segment& segment) const {
    size_t newer = 0;
    for (const Segment* other : chain_.segments()) {
        if (other->number() > segment.number() && other->state == Segment::State::kSealed) ++newer;
    }
    return newer < kSealedKeptMin;
}

bool Retention::recycle_dead(uint64_t durable_number) {
    bool any = false;
    for (size_t i = 0; i < chain_.segments().size();) {
        Segment& segment = *chain_.segments()[i];
        if (!segment.dying || segment.dying_commit > durable_number || segment.pins > 0 ||
            kept(segment)) {
            ++i;
            continue;
        }
        chain_.erase(segment);
        pool_.recycle(segment);
        any = true;
    }
    return any;
}

void Retention::drop_deleted() {
    if (chain_.segments().empty()) return;
    const uint64_t oldest = chain_.segments().front()->number();
    for (uint32_t slot = 0; slot < shards_.slot_count(); ++slot) {
        if (!shards_.used(slot)) continue;
        const ShardState& state = shards_.at_slot(slot);
        if (state.facts.deleted && state.deleted_segment < oldest &&
            state.durable_next == state.appended_next) {
            shards_.drop(state.facts.shard.value);
        }
    }
}

}  // namespace eagre::journal
