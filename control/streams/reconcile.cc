#include "control/streams/reconcile.h"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/core.h>

#include "control/streams/hash_ranges.h"
#include "control/streams/placement.h"
#include "control/streams/reshard.h"
#include "wire/base/limits.h"

namespace eagre::streams {
namespace {

using catalog::ShardRow;
using catalog::StreamRow;
using catalog::StreamState;

template <class Other>
bool same_limits(const StreamRow& row, const Other& other) {
    return row.retention_ms == other.retention_ms && row.retention_bytes == other.retention_bytes &&
           row.record_bytes_max == other.record_bytes_max &&
           row.quota_bytes_per_s == other.quota_bytes_per_s &&
           row.quota_records_per_s == other.quota_records_per_s;
}

void take_limits(StreamRow& row, const StreamFact& fact) {
    row.retention_ms = fact.retention_ms;
    row.retention_bytes = fact.retention_bytes;
    row.record_bytes_max = fact.record_bytes_max;
    row.quota_bytes_per_s = fact.quota_bytes_per_s;
    row.quota_records_per_s = fact.quota_records_per_s;
}

class Reconciler {
  public:
    Reconciler(const StreamTable& table, const Facts& facts)
        : table_(table), facts_(facts), meta_(table.meta()), placement_(table, facts) {
        for (const StreamFact& fact : facts.streams) facts_by_id_[fact.id] = &fact;
    }

    Reconciliation run() {
        raise_maxima();
        // Known streams first: what they give up (names above all) is then free for the ones that
        // are found.
        for (const auto& [id, stream] : table_.streams()) reconcile_known(stream);
        for (const StreamFact& fact : facts_.streams) {
            if (table_.find(fact.id) == nullptr) add_unknown(fact);
        }
        if (meta_.stream_id_max != table_.meta().stream_id_max ||
            meta_.shard_id_max != table_.meta().shard_id_max) {
            result_.change.put_meta = meta_;
        }
        return std::move(result_);
    }

  private:
    template <class... Args>
    void note(fmt::format_string<Args...> text, Args&&... args) {
        result_.notes.push_back(fmt::format(text, std::forward<Args>(args)...));
    }

    void raise_maxima() {
        meta_.stream_id_max = std::max(meta_.stream_id_max, facts_.stream_id_max);
        meta_.shard_id_max = std::max(meta_.shard_id_max, facts_.shard_id_max);
        for (const StreamFact& stream : facts_.streams) {
            meta_.stream_id_max = std::max(meta_.stream_id_max, stream.id);
            for (const ShardFact& shard : stream.shards)
                meta_.shard_id_max = std::max(meta_.shard_id_max, shard.id);
        }
    }

    void reconcile_known(const Stream& stream) {
        const auto found = facts_by_id_.find(stream.row.id);
        const StreamFact* fact = found == facts_by_id_.end() ? nullptr : found->second;
        switch (stream.row.state) {
            case StreamState::kCreating:
                return reconcile_creating(stream, fact);
            case StreamState::kActive:
            case StreamState::kChanging:
            case StreamState::kResharding:
                return reconcile_active(stream, fact);
            case StreamState::kDeleting:
                if (fact == nullptr && journals_complete(stream))
                    return drop(stream, "deleted, as was intended");
                return keep_name(stream.row);
        }
    }

    bool journals_complete(const Stream& stream) const {
        return std::all_of(stream.shards.begin(), stream.shards.end(), [&](const ShardRow& shard) {
            return facts_.journal_available(shard.journal);
        });
    }

    void drop(const Stream& stream, const char* why) {
        note("stream dropped: {} name={} id={}", why, stream.row.name, stream.row.id.value);
        result_.change.delete_streams.push_back({stream.row.id, stream.row.revision});
    }

    void reconcile_creating(const Stream& stream, const StreamFact* fact) {
        if (fact == nullptr) {
            const bool ids_used =
                std::any_of(stream.shards.begin(), stream.shards.end(),
                            [&](const ShardRow& shard) { return shard.id <= facts_.shard_id_max; });
            if (ids_used || stream.row.id <= facts_.stream_id_max)
                return drop(stream, "never acknowledged, and its ids are used up");
            return keep_name(stream.row);
        }
        std::set<ShardId> known;
        for (const ShardFact& shard : fact->shards) known.insert(shard.id);
        const bool complete =
            std::all_of(stream.shards.begin(), stream.shards.end(),
                        [&](const ShardRow& shard) { return known.count(shard.id) == 1; });
        if (!complete) return keep_name(stream.row);
        note("stream created, as was intended name={} id={}", stream.row.name, stream.row.id.value);
        StreamRow row = stream.row;
        row.state = StreamState::kActive;
        take_attributes(row, *fact);
        put_row(row);
    }

    void reconcile_active(const Stream& stream, const StreamFact* fact) {
        const size_t kept = reconcile_shards(stream, fact);
        if (kept == 0) return drop(stream, "no journal knows it");
        StreamRow row = stream.row;
        if (fact != nullptr) take_attributes(row, *fact);
        if (fact != nullptr && !some_unavailable(stream, *fact)) settle_reshard(stream, *fact, row);
        const StreamRow& old = stream.row;
        if (row.state == old.state && same_limits(row, old) && row.map_version == old.map_version) {
            return keep_name(row);
        }
        put_row(row);
    }

    /// Returns how many shards the stream has afterwards.
    size_t reconcile_shards(const Stream& stream, const StreamFact* fact) {
        std::map<ShardId, ShardRow> facts;
        if (fact != nullptr) {
            for (const ShardFact& shard : fact->shards) facts[shard.id] = row_from(*fact, shard);
        }
        size_t kept = facts.size();
        std::vector<ShardId> dropped;
        for (const ShardRow& shard : stream.shards) {
            const auto found = facts.find(shard.id);
            if (found != facts.end()) {
                if (!(found->second == shard)) result_.change.put_shards.push_back(found->second);
                facts.erase(found);
            } else if (is_planned(shard)) {
                continue;  // settle_reshard's.
            } else if (facts_.journal_available(shard.journal)) {
                dropped.push_back(shard.id);
            } else {
                note("shard unavailable: its journal is missing stream={} shard={} journal={}",
                     stream.row.name, shard.id.value, shard.journal.value);
                ++kept;
            }
        }
        if (kept == 0) return 0;  // The whole stream goes, and its shards with it.
        for (const ShardId shard : dropped) {
            note("shard dropped: no journal knows it stream={} shard={}", stream.row.name,
                 shard.value);
            result_.change.delete_shards.push_back(shard);
        }
        for (const auto& [id, row] : facts) {
            note("shard found in a journal stream={} shard={} journal={}", stream.row.name,
                 id.value, row.journal.value);
            result_.change.put_shards.push_back(row);
        }
        return kept;
    }

    bool some_unavailable(const Stream& stream, const StreamFact& fact) const {
        return !facts_.journals_missing.empty() &&
               std::any_of(stream.shards.begin(), stream.shards.end(), [&](const ShardRow& shard) {
                   const bool known = std::any_of(fact.shards.begin(), fact.shards.end(),
                                                  [&](const ShardFact& each) { return each.id == shard.id; });
                   return !known && !is_planned(shard) && !facts_.journal_available(shard.journal);
               });
    }

    /// Finishes or undoes a reshard that was cut short. All shards of the stream are facts here, but the planned ones that
    /// are not open yet.
    void settle_reshard(const Stream& stream, const StreamFact& fact, StreamRow& row) {
        std::set<ShardId> known;
        std::vector<HashKeyRange> open_ranges;
        for (const ShardFact& shard : fact.shards) {
            known.insert(shard.id);
            if (shard.open) open_ranges.push_back(shard.range);
        }
        std::vector<ShardRow> missing;
        for (const ShardRow& shard : stream.shards) {
            if (is_planned(shard) && known.count(shard.id) == 0) missing.push_back(shard);
        }
        const std::vector<HashKeyRange> holes = find_holes(open_ranges);
        if (holes.empty()) {
            // Nothing was closed that is not replaced: what is still planned never began.
            for (const ShardRow& shard : missing) result_.change.delete_shards.push_back(shard.id);
            if (!missing.empty())
                note("reshard undone, it had not begun stream={} id={}", row.name, row.id.value);
            if (row.state == StreamState::kResharding) row.state = StreamState::kActive;
            return;
        }
        if (missing.empty()) {
            // The intention is lost, or an old copy of the catalogue never had it.
            if (row.state == StreamState::kActive && finish_holes(row, fact, holes)) row.state = StreamState::kResharding;
            return;
        }
        note("reshard half done, to be finished stream={} id={} children_missing={}", row.name, row.id.value, missing.size());
        row.state = StreamState::kResharding;
        for (const ShardRow& shard : missing) {
            const bool stale = shard.id <= facts_.shard_id_max;
            if ((!stale && facts_.journal_available(shard.journal)) || placement_.empty()) continue;
            // An id that the journals have passed may have been another shard's; a journal may have gone meanwhile.
            result_.change.delete_shards.push_back(shard.id);
            plan_child(row, shard.range, shard.parent, shard.adjacent_parent);
        }
    }

    /// Above all that the catalogue, the journals and this change have of the stream.
    uint32_t next_ordinal(StreamId stream) const {
        uint32_t highest = 0;
        const auto known = table_.streams().find(stream);
        if (known != table_.streams().end()) {
            for (const ShardRow& shard : known->second.shards) highest = std::max(highest, shard.ordinal);
        }
        for (const StreamFact& fact : facts_.streams) {
            if (fact.id != stream) continue;
            for (const ShardFact& shard : fact.shards) highest = std::max(highest, shard.ordinal);
        }
        for (const ShardRow& shard : result_.change.put_shards) {
            if (shard.stream == stream) highest = std::max(highest, shard.ordinal);
        }
        return highest + 1;
    }

    void plan_child(const StreamRow& stream, const HashKeyRange& range, ShardId parent, ShardId adjacent_parent) {
        meta_.shard_id_max = ShardId(meta_.shard_id_max.value + 1);
        ShardRow child;
        child.id = meta_.shard_id_max;
        child.stream = stream.id;
        child.range = range;
        child.parent = parent;
        child.adjacent_parent = adjacent_parent;
        child.journal = placement_.next();
        child.ordinal = next_ordinal(stream.id);
        result_.change.put_shards.push_back(child);
    }

    /// Plans children for `holes`, of the closed shards whose keys they are. False: no closed shard is there to have left
    /// them.
    bool finish_holes(const StreamRow& row, const StreamFact& fact, const std::vector<HashKeyRange>& holes) {
        if (placement_.empty() || !facts_.journals_missing.empty()) return false;
        const auto overlaps = [](const HashKeyRange& a, const HashKeyRange& b) {
            return a.starting <= b.ending && b.starting <= a.ending;
        };
        std::vector<const ShardFact*> closed;
        for (const ShardFact& shard : fact.shards) {
            if (!shard.open) closed.push_back(&shard);
        }
        std::sort(closed.begin(), closed.end(), [](const auto* a, const auto* b) { return a->range.starting < b->range.starting; });
        std::vector<std::pair<HashKeyRange, ShardId>> pieces;
        for (const HashKeyRange& hole : holes) {
            for (const ShardFact* shard : closed) {
                if (!overlaps(shard->range, hole)) continue;
                const HashKeyRange piece{std::max(shard->range.starting, hole.starting), std::min(shard->range.ending, hole.ending)};
                // Its own children have these keys, closed as they may be.
                const bool replaced = std::any_of(fact.shards.begin(), fact.shards.end(), [&](const ShardFact& child) {
                    return (child.parent == shard->id || child.adjacent_parent == shard->id) && overlaps(child.range, piece);
                });
                if (!replaced) pieces.emplace_back(piece, shard->id);
            }
        }
        if (pieces.empty()) return false;
        note("reshard found half done in the journals, to be finished stream={} id={}", row.name, row.id.value);
        std::vector<HashKeyRange> covered;
        for (const ShardFact& shard : fact.shards) {
            if (shard.open) covered.push_back(shard.range);
        }
        for (const auto& [range, parent] : pieces) {
            plan_child(row, range, parent, ShardId(0));
            covered.push_back(range);
        }
        for (const HashKeyRange& hole : find_holes(covered)) plan_child(row, hole, ShardId(0), ShardId(0));
        return true;
    }

    static void take_attributes(StreamRow& row, const StreamFact& fact) {
        row.map_version = std::max(row.map_version, fact.map_version);
        if (row.state == StreamState::kChanging) {
            if (same_limits(row, fact)) row.state = StreamState::kActive;
            return;
        }
        take_limits(row, fact);
    }

    void add_unknown(const StreamFact& fact) {
        if (fact.shards.empty()) return;
        StreamRow row;
        row.id = fact.id;
        row.name = fact.name;
        row.state = StreamState::kActive;
        take_limits(row, fact);
        row.created_ns = fact.created_ns;
        row.map_version = fact.map_version;
        std::vector<HashKeyRange> open_ranges;
        bool all_open = true;
        for (const ShardFact& shard : fact.shards) {
            result_.change.put_shards.push_back(row_from(fact, shard));
            if (shard.open) open_ranges.push_back(shard.range);
            all_open = all_open && shard.open;
        }
        note("stream found in the journals name={} id={} shards={}", row.name, row.id.value,
             fact.shards.size());
        if (facts_.journals_missing.empty() && !placement_.empty()) {
            const auto holes = find_holes(std::move(open_ranges));
            if (all_open && fill_holes(row, holes)) row.state = StreamState::kCreating;
            if (!all_open && finish_holes(row, fact, holes)) row.state = StreamState::kResharding;
        }
        put_row(row);
    }

    bool fill_holes(const StreamRow& row, const std::vector<HashKeyRange>& holes) {
        for (const HashKeyRange& hole : holes) {
            meta_.shard_id_max = ShardId(meta_.shard_id_max.value + 1);
            ShardRow shard;
            shard.id = meta_.shard_id_max;
            shard.stream = row.id;
            shard.range = hole;
            shard.journal = placement_.next();
            shard.first_sequence = SequenceNumber(1);
            shard.ordinal = next_ordinal(row.id);
            result_.change.put_shards.push_back(shard);
            note("shard added where the stream's creation never ended stream={} shard={}", row.name,
                 shard.id.value);
        }
        return !holes.empty();
    }

    /// Puts the row under its name, or under a name that says which it is when another stream has
    /// that name already (only possible when a stream was made while the journal of its namesake
    /// was missing).
    void put_row(StreamRow row) {
        if (names_.count(row.name) != 0) {
            const std::string suffix = "." + std::to_string(row.id.value);
            const std::string renamed =
                row.name.substr(0, kStreamNameBytesMax - suffix.size()) + suffix;
            note(
                "two streams have one name: this one is listed under another name={} id={} "
                "listed_as={}",
                row.name, row.id.value, renamed);
            row.name = renamed;
        }
        names_.insert(row.name);
        result_.change.put_streams.push_back(std::move(row));
    }
    void keep_name(const StreamRow& row) { names_.insert(row.name); }

    const StreamTable& table_;
    const Facts& facts_;
    catalog::MetaRow meta_;
    Placement placement_;
    std::map<StreamId, const StreamFact*> facts_by_id_;
    std::set<std::string> names_;  // Taken after this change.
    Reconciliation result_;
};

}  // namespace

Reconciliation reconcile(const StreamTable& table, const Facts& facts) {
    return Reconciler(table, facts).run();
}

}  // namespace eagre::streams
