// Split, merge and scale: parents are closed, durably, before a child opens; then the map with the children is published.
// A command may be repeated at any of its half-done states, and goes on from there. Also the end of a closed shard, when
// retention has taken all of it.
#include <algorithm>

#include "dataplane/core.h"
#include "wire/base/assert.h"
#include "wire/base/crash_point.h"
#include "wire/shards/shard_info.h"

namespace eagre {

namespace {

constexpr size_t kSpentShardsMax = 256;        // Told at once; the rest a second later.
constexpr uint64_t kSpentNs = 10'000'000'000ULL;  // What was called spent so long ago, and not since, may have a new retention.

CrashPoint crash_closing("reshard-closing", "the parents take no more batches, no fact is written");
CrashPoint crash_closed("reshard-parents-closed", "all parents are closed, durably, and no child is open");

const shard::ShardEntry* entry_of(const shard::StreamEntry& stream, ShardId id) {
    const auto found = std::find_if(stream.shards.begin(), stream.shards.end(), [id](const auto& each) { return each.id == id; });
    return found == stream.shards.end() ? nullptr : &*found;
}

bool is_child_of(const shard::ShardEntry& entry, ShardId parent) {
    return entry.parent == parent || entry.adjacent_parent == parent;
}

HashKey next_key(const HashKey& key) { return {key.low == UINT64_MAX ? key.high + 1 : key.high, key.low + 1}; }

// Every hash key lies in exactly one open shard.
bool covers_all_keys(const shard::StreamEntry& stream) {
    if (stream.open_by_range.empty()) return false;
    HashKey next;
    for (size_t i = 0; i < stream.open_by_range.size(); ++i) {
        const HashKeyRange& range = stream.shards[stream.open_by_range[i]].range;
        if (range.starting != next || range.ending < range.starting) return false;
        next = next_key(range.ending);
    }
    return next == HashKey{};  // One behind the last.
}

}  // namespace

void Core::children_of(ShardId id, std::vector<uint64_t>& children) {
    const shard::StreamEntry* stream = stream_of(id);
    if (stream == nullptr) return;
    for (const shard::ShardEntry& entry : stream->shards) {
        if (is_child_of(entry, id)) children.push_back(entry.id.value);
    }
}

// The map to come, in pending.stream, and the parents, in pending.shards. pending.closing stays false when there is nothing
// left to do.
Error Core::plan_reshard(const wire::Command& command, CommandPending& pending) {
    if (command.stream() == nullptr || command.stream()->shards() == nullptr || command.stream()->shards()->size() == 0) {
        return error_of(Errc::kBadArgument);
    }
    if (command.stream()->shards()->size() > kStreamShardCountMax) return error_of(Errc::kLimitExceeded, kStreamShardCountMax);
    const shards::StreamDescription asked = shards::decode_stream(*command.stream());
    const shard::StreamEntry* known = directory_.find(asked.id);
    if (known == nullptr) return error_of(Errc::kUnknownStream);
    pending.stream_id = asked.id;

    auto planned = std::make_shared<shard::StreamEntry>(*known);
    ++planned->map_version;
    size_t new_count = 0;
    for (const shards::ShardDescription& child : asked.shards) {
        for (const ShardId parent : {child.parent, child.adjacent_parent}) {
            if (parent.value == 0) continue;
            const shard::ShardEntry* entry = entry_of(*known, parent);
            if (entry == nullptr) return error_of(Errc::kUnknownShard, parent.value);
            if (!entry->available) return error_of(Errc::kUnavailable, entry->journal.value);
            if (std::find(pending.shards.begin(), pending.shards.end(), parent) == pending.shards.end()) {
                pending.shards.push_back(parent);
            }
        }
        if (const shard::ShardEntry* there = entry_of(*known, child.id)) {
            const bool same = there->range == child.range && there->parent == child.parent &&
                              there->adjacent_parent == child.adjacent_parent;
            if (!same) return error_of(Errc::kBadArgument, child.id.value);
            continue;
        }
        // Ids are never used twice, whatever an old copy of the catalogue believes.
        if (child.id.value <= shard_id_max_) return error_of(Errc::kBadArgument, shard_id_max_);
        if (child.journal.value >= box_.journal_count || !box_.journal_available[child.journal.value]) {
            return error_of(Errc::kUnavailable, child.journal.value);
        }
        shard::ShardEntry entry;
        entry.id = child.id;
        entry.range = child.range;
        entry.parent = child.parent;
        entry.adjacent_parent = child.adjacent_parent;
        entry.ordinal = child.ordinal;
        entry.journal = child.journal;
        entry.core = box_.core_of(child.journal);
        planned->shards.push_back(entry);
        ++new_count;
    }
    if (new_count == 0) return {};
    if (planned->shards.size() > kStreamShardCountMax) return error_of(Errc::kLimitExceeded, kStreamShardCountMax);
    if (directory_.shard_count() + new_count > kBoxShardCountMax) return error_of(Errc::kLimitExceeded, kBoxShardCountMax);
    ShardId replaced;  // A parent that was split or merged before, into others.
    for (const ShardId parent : pending.shards) {
        for (const shard::ShardEntry& entry : known->shards) {
            const bool among = std::any_of(asked.shards.begin(), asked.shards.end(), [&](const auto& c) { return c.id == entry.id; });
            if (is_child_of(entry, parent) && !among) replaced = parent;
        }
        std::find_if(planned->shards.begin(), planned->shards.end(), [&](const auto& e) { return e.id == parent; })->open = false;
    }
    planned->index();
    if (!covers_all_keys(*planned)) {
        // A shard in a missing journal is in no directory: the hole may be its.
        for (uint32_t id = 0; id < box_.journal_count; ++id) {
            if (!box_.journal_available[id]) return error_of(Errc::kUnavailable, id);
        }
        // Of a parent whose children were not all durable when power was lost, the rest may still come: then there is no overlap.
        if (replaced.value != 0) return error_of(Errc::kShardClosed, replaced.value);
        return error_of(Errc::kBadArgument);
    }
    pending.stream = std::move(planned);
    pending.closing = true;
    return {};
}

// From now on nothing is appended behind the closing fact; who tries waits for the map.
void Core::begin_closing(const ColdMessage& message, FactJob& job) {
    for (const ShardId id : message.shards) {
        shard::Shard* const each = shard(id);
        if (each == nullptr) continue;
        each->closing = true;
        if (!each->facts.open) {
            job.closed.push_back({id, each->appended, each->last_arrival_ns});
            continue;
        }
        journal::ShardFacts facts = each->facts;
        facts.open = false;
        facts.next_sequence = each->appended;
        facts.trim_horizon = each->trim_horizon();
        facts.last_arrival_ns = each->stamp(wall_ns_);  // What a child gives its first record is not earlier.
        facts.map_version = message.stream->map_version;
        facts.command_id = message.command_id;
        facts.epoch = message.epoch;
        job.to_append.push_back(std::move(facts));
    }
    if (!job.to_append.empty()) crash_closing.reach();
}

void Core::finish_closing(FactJob& job, ColdMessage& done) {
    for (const journal::ShardFacts& facts : job.appended) {
        shard::Shard* const closed = shard(facts.shard);
        EAGRE_ASSERT(closed != nullptr);
        // In a failed journal nobody knows before recovery; it takes no batches anyway.
        if (closed->journal->failed()) continue;
        EAGRE_ASSERT_EQ(closed->appended.value, facts.next_sequence.value);
        closed->facts = facts;
        closed->stats->open = 0;
        job.closed.push_back({facts.shard, facts.next_sequence, facts.last_arrival_ns});
    }
    done.closed = std::move(job.closed);
}

// A parent that no core has closed lies in a journal that is not there: no child may begin before its end is known.
Error Core::unclosed_parent(const CommandPending& pending) const {
    for (const ShardId parent : pending.shards) {
        const bool closed = std::any_of(pending.closed.begin(), pending.closed.end(), [&](const auto& each) { return each.shard == parent; });
        if (!closed) return error_of(Errc::kUnavailable, parent.value);
    }
    return {};
}

// Each child begins above its parents, in sequence and in time.
void Core::open_children(CommandPending& pending) {
    crash_closed.reach();
    auto planned = std::make_shared<shard::StreamEntry>(*pending.stream);
    for (shard::ShardEntry& entry : planned->shards) {
        if (entry.first_sequence.value != 0 || !entry.available) continue;  // It was there before.
        entry.first_sequence = SequenceNumber{1};
        entry.opened_ns = wall_ns_;
        for (const ClosedShard& parent : pending.closed) {
            if (!is_child_of(entry, parent.shard)) continue;
            entry.first_sequence = std::max(entry.first_sequence, SequenceNumber{parent.next_sequence.value + 1});
            entry.opened_ns = std::max(entry.opened_ns, parent.last_arrival_ns);
        }
    }
    pending.stream = std::move(planned);
    pending.closing = false;
    pending.cores_left = box_.core_count;
    order_all(CommandPending(pending), ColdMessage::Kind::kOpenShards);
}

// The reshard did not come about, or not yet. A parent that is closed says so; one that is still open goes on.
void Core::release_shards(StreamId stream) {
    for (const auto& [id, each] : shards_) {
        if (each->facts.stream == stream) each->closing = false;
    }
}

// A closed shard is kept for a whole retention after its closing, so that whoever followed it finds its end and its children.
void Core::report_spent_shards(uint64_t retention_now_ns) {
    std::vector<const shard::Shard*> spent;
    for (const auto& [id, each] : shards_) {
        const bool over = !each->facts.open && !each->closing && each->durable == each->appended &&
                          each->trim_horizon() >= each->appended &&
                          each->last_arrival_ns + each->facts.retention_ms * 1'000'000ULL < retention_now_ns;
        if (!over) continue;
        children_.clear();
        children_of(id, children_);
        if (!children_.empty()) spent.push_back(each.get());  // Without children it is a reshard half done.
    }
    if (spent.empty()) return;
    std::sort(spent.begin(), spent.end(), [](const auto* a, const auto* b) { return a->facts.shard < b->facts.shard; });
    auto message = std::make_unique<ColdMessage>();
    message->kind = ColdMessage::Kind::kShardsSpent;
    message->stream_id = spent.front()->facts.stream;
    for (const shard::Shard* each : spent) {
        if (each->facts.stream == message->stream_id && message->shards.size() < kSpentShardsMax) {
            message->shards.push_back(each->facts.shard);
        }
    }
    send_cold(CoreIndex{0}, std::move(message));
}

// Of those that their cores have just called spent, whose who were merged with them are spent too or gone: parents of one shard go together,
// so that whoever walks the lineage never sees a hole in the hash range behind it.
std::vector<ShardId> Core::droppable(const shard::StreamEntry& stream, const std::vector<ShardId>& spent) {
    std::erase_if(spent_ns_, [&](const auto& each) { return now_ns_ - each.second > kSpentNs; });
    for (const ShardId id : spent) spent_ns_[id] = now_ns_;
    const auto holds = [&](ShardId id) {
        return std::any_of(stream.shards.begin(), stream.shards.end(), [&](const shard::ShardEntry& child) {
            if (!is_child_of(child, id)) return false;
            const ShardId other = child.parent == id ? child.adjacent_parent : child.parent;
            return other.value != 0 && !spent_ns_.contains(other) && entry_of(stream, other) != nullptr;
        });
    };
    std::vector<ShardId> chosen;
    for (const shard::ShardEntry& entry : stream.shards) {
        if (spent_ns_.contains(entry.id) && !holds(entry.id)) chosen.push_back(entry.id);
    }
    return chosen;
}

// On core 0, which serialises all changes of a stream. A busy stream's shards are reported again.
void Core::begin_dropping(const ColdMessage& message) {
    const shard::StreamEntry* known = directory_.find(message.stream_id);
    if (known == nullptr) return;
    const std::vector<ShardId> chosen = droppable(*known, message.shards);
    if (chosen.empty() || stream_is_changing(message.stream_id) || commands_.size() >= kCommandPendingMax) return;
    CommandPending pending;
    pending.token = next_token_++;
    pending.stream_id = message.stream_id;
    pending.epoch = epoch_;
    pending.shards = chosen;
    auto left = std::make_shared<shard::StreamEntry>(*known);
    std::erase_if(left->shards, [&](const shard::ShardEntry& entry) {
        return std::find(chosen.begin(), chosen.end(), entry.id) != chosen.end();
    });
    left->index();
    pending.stream = std::move(left);
    pending.cores_left = box_.core_count;
    commands_.push_back(pending);
    order_all(pending, ColdMessage::Kind::kDropShards);
}

}  // namespace eagre
