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

// What arrived before goes: by age, or because newer records need its place.
uint64_t Retention::limit_ns(const ShardState& state) const {
    const uint64_t kept_ns = retention_ns(state);
    const uint64_t by_age_ns = kept_ns == 0 || now_ns_ <= kept_ns ? 0 : now_ns_ - kept_ns;
    return std::max(by_age_ns, state.usage == nullptr ? 0 : state.usage->floor_ns());
}

// Segments that end before the old floor have nothing of the stream any more, those that begin behind the new one keep all.
void Retention::limit(StreamUsage& usage, uint64_t bytes) {
    const uint64_t before_ns = usage.floor_ns();
    if (!usage.raise_floor(usage.floor_for(bytes))) return;
    for (Segment* segment : chain_.segments()) {
        if (segment->state != Segment::State::kSealed) continue;
        const Trailer& trailer = segment->trailer;
        if (trailer.last_arrival_ns >= before_ns && trailer.first_arrival_ns <= usage.floor_ns()) segment->retention_due_ns = 0;
    }
}

// With no room for records and none to be had, the oldest segment goes, whatever is in it.
void Retention::make_room() {
    if (active_ || !context_.options.trim_when_full || !pool_.short_of_room()) return;
    const auto& segments = chain_.segments();
    const auto oldest = std::find_if(segments.begin(), segments.end(), [this](const Segment* segment) {
        return segment->state == Segment::State::kSealed && !segment->dying && segment->pins == 0 && !kept(*segment);
    });
    if (oldest == segments.end()) return;
    given_up_number_ = (*oldest)->number();
    (*oldest)->retention_due_ns = 0;
    ++context_.stats.segments_trimmed;
    active_ = true;
    pass_number_ = given_up_number_;
    begin_segment();
}

// What a segment holds of a stream, the first time that it is looked at: what was appended since the start has been counted
// as it came.
void Retention::note_usage(const Segment& segment, const DirectoryEntry& entry) {
    if (segment.usage_noted || entry_index_ < noted_index_) return;
    noted_index_ = entry_index_ + 1;
    const ShardState* state = shards_.find(entry.shard);
    if (entry.extent_count == 0 || state == nullptr || state->usage == nullptr) return;
    const uint64_t records = entry.next_sequence - std::min(entry.first_sequence, entry.next_sequence);
    if (records == 0) return;
    uint64_t bytes = entry.run_bytes;
    if (bytes == 0) {
        // An older build sealed it: its extents are about as large as those of others.
        bytes = (segment.trailer.end_bytes - kSegmentDataOffset) / std::max(segment.trailer.extent_count, 1U) * entry.extent_count;
    }
    const uint64_t above = entry.next_sequence - std::clamp(horizon_of(*state), entry.first_sequence, entry.next_sequence);
    bytes = static_cast<uint64_t>(static_cast<double>(bytes) * static_cast<double>(above) / static_cast<double>(records));
    state->usage->note(entry.first_arrival_ns, entry.last_arrival_ns, bytes_of_its_own(segment, bytes));
}

void Retention::retain(JournalCore& journal, uint64_t retention_now_ns) {
    now_ns_ = std::max(now_ns_, retention_now_ns);
    if (context_.failed()) return;
    for (const auto& [stream, usage] : shards_.usages.all()) {
        const uint64_t kept_ns = usage->retention_ms * kNsPerMs;
        if (kept_ns != 0 && now_ns_ > kept_ns) usage->forget_before(now_ns_ - kept_ns);
    }
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
    noted_index_ = 0;
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
        const uint64_t oldest_ns = limit_ns(state);
        if (state.facts.deleted || oldest_ns == 0) continue;
        uint64_t horizon = 0;
        if (state.last_arrival_ns < oldest_ns) {
            horizon = state.durable_next;
        } else {
            const uint32_t index = live_extents_.find_time(slot, oldest_ns);
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
        if (!entry) return Outcome::kWait;
        note_usage(segment, *entry);
        if (examine_shard(journal, segment, *entry) == Outcome::kWait) return Outcome::kWait;
        const ShardState* state = shards_.find(entry->shard);
        alive_count_.add(*entry, state, state == nullptr ? 0 : horizon_of(*state));
    }
    if (entry_index_ < segment.trailer.shard_count) return Outcome::kWait;
    segment.usage_noted = true;
    if (segment.number() == given_up_number_) given_up_number_ = 0;
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
    if (segment.number() == given_up_number_) {
        if (!raise(journal, *state, entry.next_sequence)) return Outcome::kWait;
        if (state->usage != nullptr) state->usage->forget_before(entry.last_arrival_ns + 1);
        return Outcome::kDone;
    }
    const uint64_t oldest_ns = limit_ns(*state);
    if (oldest_ns == 0 && retention_ns(*state) == 0) {
        alive_ = true;
        return Outcome::kDone;
    }
    if (entry.last_arrival_ns < oldest_ns) {
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
        if (extent->arrival_ns < oldest_ns) {
            horizon = extent->first_sequence;
            low = middle + 1;
        } else {
            next_ns = std::min(next_ns, extent->arrival_ns);
            high = middle;
        }
    }
    if (!raise(journal, *state, horizon)) return Outcome::kWait;
    alive_ = true;
    if (retention_ns(*state) != 0) due_ns_ = std::min(due_ns_, next_ns + retention_ns(*state) + 1);
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
    make_room();
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
