#include "control/streams/streams.h"

#include <algorithm>

#include <fmt/core.h>

#include "control/streams/hash_ranges.h"
#include "control/streams/placement.h"
#include "wire/base/limits.h"

namespace eagre::streams {
namespace {

using catalog::Change;
using catalog::StreamState;

Limits wanted_limits(const CreateRequest& request) {
    Limits limits = request.limits;
    if (limits.retention_ms == 0) limits.retention_ms = kRetentionMsDefault;
    if (limits.record_bytes_max == 0) limits.record_bytes_max = kRecordDataBytesDefault;
    return limits;
}

Status check_room(const StreamTable& table, const CreateRequest& request) {
    if (table.find(request.name) != nullptr) return Errc::kStreamExists;
    if (table.streams().size() >= kBoxStreamCountMax)
        return error_of(Errc::kLimitExceeded, kBoxStreamCountMax);
    if (table.shard_count() + request.shard_count > kBoxShardCountMax)
        return error_of(Errc::kLimitExceeded, kBoxShardCountMax);
    return {};
}

/// Null: there is none, or it is on its way out.
const Stream* find_living(const StreamTable& table, std::string_view name) {
    const Stream* stream = table.find(name);
    return stream == nullptr || stream->row.state == StreamState::kDeleting ? nullptr : stream;
}

Change with_state(const Stream& stream, StreamState state) {
    Change change;
    change.put_streams.push_back(stream.row);
    change.put_streams.back().state = state;
    return change;
}

}  // namespace

bool valid_name(std::string_view name) {
    if (name.empty() || name.size() > kStreamNameBytesMax || name == "." || name == "..")
        return false;
    return std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '.' || c == '-';
    });
}

std::optional<Complaint> find_fault(const CreateRequest& request) {
    if (!valid_name(request.name)) {
        return Complaint{error_of(Errc::kBadArgument),
                         fmt::format("a stream's name has 1 to {} characters of a-z, A-Z, 0-9, '_', "
                                     "'.', '-'.",
                                     kStreamNameBytesMax)};
    }
    if (request.shard_count == 0)
        return Complaint{error_of(Errc::kBadArgument), "a stream has at least 1 shard."};
    if (request.shard_count > kStreamShardCountMax) {
        return Complaint{error_of(Errc::kLimitExceeded, kStreamShardCountMax),
                         fmt::format("a stream has at most {} shards.", kStreamShardCountMax)};
    }
    if (auto fault = find_fault(wanted_limits(request))) return fault;
    return find_fault(request.tags);
}

Result<Change> plan_create(const StreamTable& table, const Facts& facts,
                           const CreateRequest& request, uint64_t now_ns) {
    if (const auto fault = find_fault(request)) return fault->error;
    if (const auto room = check_room(table, request); !room) return room.error();
    Placement placement(table, facts);
    if (placement.empty()) return Errc::kUnavailable;

    Change change;
    catalog::MetaRow meta = table.meta();
    meta.stream_id_max = StreamId(std::max(meta.stream_id_max, facts.stream_id_max).value + 1);
    uint64_t shard_id = std::max(meta.shard_id_max, facts.shard_id_max).value;
    uint32_t ordinal = 0;
    for (const HashKeyRange& range : divide_hash_keys(request.shard_count)) {
        catalog::ShardRow shard;
        shard.id = ShardId(++shard_id);
        shard.stream = meta.stream_id_max;
        shard.range = range;
        shard.journal = placement.next();
        shard.first_sequence = SequenceNumber(1);
        shard.ordinal = ++ordinal;
        change.put_shards.push_back(shard);
    }
    meta.shard_id_max = ShardId(shard_id);

    catalog::StreamRow row;
    row.id = meta.stream_id_max;
    row.name = request.name;
    put_limits(row, wanted_limits(request));
    row.tags = request.tags;
    row.created_ns = now_ns;
    row.map_version = 1;
    change.put_streams.push_back(std::move(row));
    change.put_meta = meta;
    return change;
}

bool is_repeat_of(const Stream& stream, const CreateRequest& request) {
    return stream.row.state == StreamState::kCreating && stream.row.name == request.name &&
           stream.shards.size() == request.shard_count &&
           limits_of(stream.row) == wanted_limits(request) && stream.row.tags == request.tags;
}

Result<Change> plan_delete(const StreamTable& table, std::string_view name) {
    const Stream* stream = table.find(name);
    if (stream == nullptr) return Errc::kUnknownStream;
    if (stream->row.state == StreamState::kDeleting) return Change{};
    return with_state(*stream, StreamState::kDeleting);
}

Result<Change> plan_set(const StreamTable& table, std::string_view name,
                        const LimitsChange& wanted) {
    const Stream* stream = find_living(table, name);
    if (stream == nullptr) return Errc::kUnknownStream;
    const Limits limits = wanted.applied_to(limits_of(stream->row));
    if (const auto fault = find_fault(limits)) return fault->error;
    if (stream->row.state == StreamState::kCreating || stream->row.state == StreamState::kResharding) return Errc::kBusy;
    Change change = with_state(*stream, StreamState::kChanging);
    catalog::StreamRow& row = change.put_streams.back();
    if (limits.record_bytes_max != row.record_bytes_max) ++row.map_version;
    put_limits(row, limits);
    return change;
}

Result<Change> plan_tag(const StreamTable& table, std::string_view name,
                        const catalog::Tags& tags) {
    const Stream* stream = find_living(table, name);
    if (stream == nullptr) return Errc::kUnknownStream;
    Change change = with_state(*stream, stream->row.state);
    catalog::Tags& all = change.put_streams.back().tags;
    for (const auto& [key, value] : tags) all[key] = value;
    if (const auto fault = find_fault(all)) return fault->error;
    return change;
}

Result<Change> plan_untag(const StreamTable& table, std::string_view name,
                          const catalog::Tags& keys) {
    const Stream* stream = find_living(table, name);
    if (stream == nullptr) return Errc::kUnknownStream;
    Change change = with_state(*stream, stream->row.state);
    for (const auto& [key, value] : keys) change.put_streams.back().tags.erase(key);
    return change;
}

Change plan_done(const Stream& stream) {
    if (stream.row.state != StreamState::kDeleting) return with_state(stream, StreamState::kActive);
    Change change;
    change.delete_streams.push_back({stream.row.id, stream.row.revision});
    return change;
}

Change plan_undo(const Stream& stream) {
    return with_state(stream, StreamState::kDeleting);
}

}  // namespace eagre::streams
