#include "control/streams/reshard.h"

#include <algorithm>

#include <fmt/core.h>

#include "control/streams/hash_ranges.h"
#include "wire/base/assert.h"
#include "wire/base/limits.h"

namespace eagre::streams {
namespace {

using catalog::Change;
using catalog::ShardRow;
using catalog::StreamState;

HashKey before(const HashKey& key) {
    return {key.low == 0 ? key.high - 1 : key.high, key.low - 1};
}
HashKey after(const HashKey& key) {
    return {key.low == UINT64_MAX ? key.high + 1 : key.high, key.low + 1};
}
bool are_neighbours(const ShardRow& lower, const ShardRow& upper) {
    return lower.range.ending != kHashKeyMax && after(lower.range.ending) == upper.range.starting;
}

std::string text_of(const HashKey& key) {
    return fmt::format("{:016x}{:016x}", key.high, key.low);
}

bool covers_all_keys(const std::vector<ShardRow>& shards) {
    std::vector<HashKeyRange> ranges;
    for (const ShardRow& row : shards) ranges.push_back(row.range);
    return find_holes(std::move(ranges)).empty();
}

Result<const Stream*> find_idle(const StreamTable& table, std::string_view name) {
    const Stream* stream = table.find(name);
    if (stream == nullptr || stream->row.state == StreamState::kDeleting) return Errc::kUnknownStream;
    if (stream->row.state != StreamState::kActive || stream->row.scale_target != 0) return Errc::kBusy;
    return stream;
}

Result<const ShardRow*> find_open(const Stream& stream, ShardId id) {
    for (const ShardRow& row : stream.shards) {
        if (row.id != id || is_planned(row)) continue;
        if (!row.open) return error_of(Errc::kShardClosed, id.value);
        return &row;
    }
    return error_of(Errc::kUnknownShard, id.value);
}

Status check_room(const StreamTable& table, const Stream& stream, uint64_t children) {
    if (stream.shards.size() + children > kStreamShardCountMax) return error_of(Errc::kLimitExceeded, kStreamShardCountMax);
    if (table.shard_count() + children > kBoxShardCountMax) return error_of(Errc::kLimitExceeded, kBoxShardCountMax);
    return {};
}

Result<Change> plan_children(const StreamTable& table, const Facts& facts, const Stream& stream,
                             const std::vector<PlannedChild>& children) {
    if (const auto room = check_room(table, stream, children.size()); !room) return room.error();
    Placement placement(table, facts);
    if (placement.empty()) return Errc::kUnavailable;
    for (const ShardRow& row : stream.shards) {
        const bool closes = std::any_of(children.begin(), children.end(), [&](const PlannedChild& child) {
            return child.parent == row.id || child.adjacent_parent == row.id;
        });
        if (closes) placement.release(row.journal);
    }
    Change change;
    catalog::MetaRow meta = table.meta();
    uint64_t id = std::max(meta.shard_id_max, facts.shard_id_max).value;
    // The youngest shard of a stream is open, or has younger children: what retention took had lower ones.
    uint32_t ordinal = 0;
    for (const ShardRow& row : stream.shards) ordinal = std::max(ordinal, row.ordinal);
    for (const PlannedChild& child : children) {
        ShardRow row;
        row.id = ShardId(++id);
        row.ordinal = ++ordinal;
        row.stream = stream.row.id;
        row.range = child.range;
        row.parent = child.parent;
        row.adjacent_parent = child.adjacent_parent;
        row.journal = child.journal ? *child.journal : placement.next();
        change.put_shards.push_back(row);
    }
    meta.shard_id_max = ShardId(id);
    change.put_meta = meta;
    change.put_streams.push_back(stream.row);
    change.put_streams.back().state = StreamState::kResharding;
    return change;
}

Change with_target(const Stream& stream, uint32_t target) {
    Change change;
    change.put_streams.push_back(stream.row);
    change.put_streams.back().scale_target = target;
    return change;
}

}  // namespace

uint32_t shard_count(const Stream& stream) {
    return static_cast<uint32_t>(std::count_if(stream.shards.begin(), stream.shards.end(),
                                               [](const ShardRow& row) { return !is_planned(row); }));
}

std::vector<ShardRow> open_shards(const Stream& stream) {
    std::vector<ShardRow> open;
    for (const ShardRow& row : stream.shards) {
        if (row.open && !is_planned(row)) open.push_back(row);
    }
    std::sort(open.begin(), open.end(), [](const auto& a, const auto& b) { return a.range.starting < b.range.starting; });
    return open;
}

bool is_uniform(const Stream& stream, uint32_t count) {
    const auto open = open_shards(stream);
    const auto targets = divide_hash_keys(count);
    return std::equal(open.begin(), open.end(), targets.begin(), targets.end(),
                      [](const ShardRow& row, const HashKeyRange& range) { return row.range == range; });
}

std::vector<PlannedChild> step_towards(const std::vector<ShardRow>& held, const std::vector<HashKeyRange>& targets) {
    std::vector<PlannedChild> children;
    size_t first = 0;
    for (const HashKeyRange& target : targets) {
        while (held[first].range.ending < target.starting) ++first;
        size_t i = first;
        // Two at a time, cut to the target: what remains of it is half as many shards after this step.
        while (i < held.size() && held[i].range.starting <= target.ending) {
            const bool pair = i + 1 < held.size() && held[i + 1].range.starting <= target.ending;
            const ShardRow& last = held[pair ? i + 1 : i];
            const HashKeyRange range{std::max(target.starting, held[i].range.starting),
                                     std::min(target.ending, last.range.ending)};
            if (pair) {
                children.push_back({range, held[i].id, last.id});
            } else if (range != held[i].range) {
                children.push_back({range, held[i].id, ShardId(0)});
            }
            i += pair ? 2 : 1;
        }
    }
    return children;
}

Result<Change> plan_split(const StreamTable& table, const Facts& facts, std::string_view name, ShardId shard,
                          std::optional<HashKey> at) {
    const auto stream = find_idle(table, name);
    if (!stream) return stream.error();
    const auto row = find_open(**stream, shard);
    if (!row) return row.error();
    if (!facts.journal_available((*row)->journal)) return error_of(Errc::kUnavailable, shard.value);
    const HashKeyRange range = (*row)->range;
    const HashKey middle = at ? *at : middle_of(range);
    if (middle <= range.starting || middle > range.ending) return error_of(Errc::kBadArgument, shard.value);
    return plan_children(table, facts, **stream,
                         {{{range.starting, before(middle)}, shard, ShardId(0)}, {{middle, range.ending}, shard, ShardId(0)}});
}

Result<Change> plan_merge(const StreamTable& table, const Facts& facts, std::string_view name, ShardId one, ShardId other) {
    const auto stream = find_idle(table, name);
    if (!stream) return stream.error();
    auto lower = find_open(**stream, one);
    if (!lower) return lower.error();
    auto upper = find_open(**stream, other);
    if (!upper) return upper.error();
    if ((*upper)->range.starting < (*lower)->range.starting) std::swap(lower, upper);
    if (!are_neighbours(**lower, **upper)) return error_of(Errc::kBadArgument, other.value);
    for (const ShardRow* row : {*lower, *upper}) {
        if (!facts.journal_available(row->journal)) return error_of(Errc::kUnavailable, row->id.value);
    }
    return plan_children(table, facts, **stream,
                         {{{(*lower)->range.starting, (*upper)->range.ending}, (*lower)->id, (*upper)->id}});
}

Result<Change> plan_moves(const StreamTable& table, const Facts& facts, std::string_view name,
                          const std::vector<MoveTo>& moves) {
    const auto stream = find_idle(table, name);
    if (!stream) return stream.error();
    if (moves.empty()) return Errc::kBadArgument;
    std::vector<PlannedChild> children;
    for (const MoveTo& move : moves) {
        const auto row = find_open(**stream, move.shard);
        if (!row) return row.error();
        const bool twice = std::any_of(children.begin(), children.end(), [&](const auto& child) { return child.parent == move.shard; });
        if (twice || (*row)->journal == move.journal) return error_of(Errc::kBadArgument, move.shard.value);
        for (const JournalId journal : {(*row)->journal, move.journal}) {
            if (!facts.journal_available(journal)) return error_of(Errc::kUnavailable, journal.value);
        }
        children.push_back({(*row)->range, move.shard, ShardId(0), move.journal});
    }
    return plan_children(table, facts, **stream, children);
}

Result<Change> plan_scale(const StreamTable& table, const Facts& facts, std::string_view name, uint32_t count) {
    const auto stream = find_idle(table, name);
    if (!stream) return stream.error();
    if (count == 0) return Errc::kBadArgument;
    if (count > kStreamShardCountMax) return error_of(Errc::kLimitExceeded, kStreamShardCountMax);
    if (is_uniform(**stream, count)) return Change{};
    // All steps must have room: scaling that stops half way is nobody's wish.
    const auto targets = divide_hash_keys(count);
    std::vector<ShardRow> held = open_shards(**stream);
    if (!covers_all_keys(held)) return Errc::kUnavailable;  // Shards in a journal that is missing.
    uint64_t children_of_all_steps = 0;
    for (auto children = step_towards(held, targets); !children.empty(); children = step_towards(held, targets)) {
        children_of_all_steps += children.size();
        std::erase_if(held, [&](const ShardRow& row) {
            return std::any_of(children.begin(), children.end(),
                               [&](const auto& child) { return child.range.contains(row.range.starting) || row.range.contains(child.range.starting); });
        });
        for (const PlannedChild& child : children) {
            ShardRow row;
            row.range = child.range;
            held.push_back(row);
        }
        std::sort(held.begin(), held.end(), [](const auto& a, const auto& b) { return a.range.starting < b.range.starting; });
    }
    if (const auto room = check_room(table, **stream, children_of_all_steps); !room) return room.error();
    Stream scaling = **stream;
    scaling.row.scale_target = count;
    return plan_next_step(table, facts, scaling);
}

Result<Change> plan_next_step(const StreamTable& table, const Facts& facts, const Stream& stream) {
    const auto held = open_shards(stream);
    if (!covers_all_keys(held)) return Errc::kUnavailable;
    const auto children = step_towards(held, divide_hash_keys(stream.row.scale_target));
    if (children.empty()) return plan_stop_scaling(stream);
    return plan_children(table, facts, stream, children);
}

Change plan_stop_scaling(const Stream& stream) {
    return with_target(stream, 0);
}

Change plan_resharded(const Stream& stream, const StreamFact& fact) {
    Change change;
    change.put_streams.push_back(stream.row);
    catalog::StreamRow& row = change.put_streams.back();
    row.state = StreamState::kActive;
    row.map_version = std::max(row.map_version, fact.map_version);
    for (const ShardFact& shard : fact.shards) {
        const ShardRow told = row_from(fact, shard);
        const auto known = std::find_if(stream.shards.begin(), stream.shards.end(),
                                        [&](const ShardRow& each) { return each.id == told.id; });
        if (known == stream.shards.end() || !(*known == told)) change.put_shards.push_back(told);
    }
    return change;
}

std::string explain_reshard(const Stream* stream, const std::vector<ShardId>& shards, Error error) {
    if (stream == nullptr) return {};
    const std::string& name = stream->row.name;
    const auto row_of = [&](ShardId id) -> const ShardRow* {
        for (const ShardRow& row : stream->shards) {
            if (row.id == id && !is_planned(row)) return &row;
        }
        return nullptr;
    };
    if (error.code == Errc::kShardClosed) {
        std::string children;
        for (const ShardRow& row : stream->shards) {
            if (row.parent.value != error.detail && row.adjacent_parent.value != error.detail) continue;
            children += fmt::format("{}{}", children.empty() ? "" : ", ", row.id.value);
        }
        return fmt::format("shard {} was closed by an earlier split or merge; its children are {}. Nothing was changed.",
                           error.detail, children);
    }
    if (error.code == Errc::kUnknownShard) {
        return fmt::format("stream '{}' has no shard {}: see 'eagre stream describe {}'. Nothing was changed.", name,
                           error.detail, name);
    }
    if (error.code == Errc::kBusy) {
        return fmt::format("another change of '{}' is under way; ask again when it is done.", name);
    }
    if (error.code == Errc::kUnavailable && row_of(ShardId(error.detail)) != nullptr) {
        return fmt::format("shard {} lies in a data directory that is missing; start eagred with it, or wait until it is back. Nothing was "
                           "changed.", error.detail);
    }
    if (error.code == Errc::kLimitExceeded) {
        return fmt::format(
            "that would be more than the limit of {} shards, closed ones included, which count until retention has taken "
            "them. Nothing was changed.",
            error.detail);
    }
    if (error.code != Errc::kBadArgument || shards.empty()) return {};
    const ShardRow* row = row_of(shards.front());
    if (row == nullptr) return {};
    if (shards.size() == 1) {
        return fmt::format(
            "the split point must be above the shard's first hash key {} and not above its last, {}. Nothing was changed.",
            text_of(row->range.starting), text_of(row->range.ending));
    }
    std::string neighbours;
    for (const ShardRow& other : open_shards(*stream)) {
        if (!are_neighbours(*row, other) && !are_neighbours(other, *row)) continue;
        neighbours += fmt::format("{}{}", neighbours.empty() ? "" : " and ", other.id.value);
    }
    return fmt::format("shards {} and {} are not neighbours; the neighbours of {} are {}. Nothing was changed.",
                       shards.front().value, shards.back().value, row->id.value, neighbours.empty() ? "none" : neighbours);
}

}  // namespace eagre::streams
