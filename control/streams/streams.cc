#include "control/streams/streams.h"

#include <algorithm>

#include "control/streams/hash_ranges.h"
#include "control/streams/placement.h"
#include "wire/base/limits.h"

namespace eagre::streams {
namespace {

using catalog::Change;
using catalog::StreamState;

uint64_t retention_of(const CreateRequest& request) {
    return request.retention_ms == 0 ? kRetentionMsDefault : request.retention_ms;
}
uint64_t record_bytes_of(const CreateRequest& request) {
    return request.record_bytes_max == 0 ? kRecordDataBytesDefault : request.record_bytes_max;
}

Status check_room(const StreamTable& table, const CreateRequest& request) {
    if (table.find(request.name) != nullptr) return Errc::kStreamExists;
    if (table.streams().size() >= kBoxStreamCountMax)
        return error_of(Errc::kLimitExceeded, kBoxStreamCountMax);
    if (table.shard_count() + request.shard_count > kBoxShardCountMax)
        return error_of(Errc::kLimitExceeded, kBoxShardCountMax);
    return {};
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

Status check_arguments(const CreateRequest& request) {
    if (!valid_name(request.name) || request.shard_count == 0) return Errc::kBadArgument;
    if (retention_of(request) > kRetentionMsMax)
        return error_of(Errc::kBadArgument, kRetentionMsMax);
    if (record_bytes_of(request) > kRecordDataBytesMax)
        return error_of(Errc::kBadArgument, kRecordDataBytesMax);
    if (request.shard_count > kStreamShardCountMax)
        return error_of(Errc::kLimitExceeded, kStreamShardCountMax);
    return {};
}

Result<Change> plan_create(const StreamTable& table, const Facts& facts,
                           const CreateRequest& request, uint64_t now_ns) {
    if (const auto checked = check_arguments(request); !checked) return checked.error();
    if (const auto room = check_room(table, request); !room) return room.error();
    Placement placement(table, facts);
    if (placement.empty()) return Errc::kUnavailable;

    Change change;
    catalog::MetaRow meta = table.meta();
    meta.stream_id_max = StreamId(std::max(meta.stream_id_max, facts.stream_id_max).value + 1);
    uint64_t shard_id = std::max(meta.shard_id_max, facts.shard_id_max).value;
    for (const HashKeyRange& range : divide_hash_keys(request.shard_count)) {
        catalog::ShardRow shard;
        shard.id = ShardId(++shard_id);
        shard.stream = meta.stream_id_max;
        shard.range = range;
        shard.journal = placement.next();
        shard.first_sequence = SequenceNumber(1);
        change.put_shards.push_back(shard);
    }
    meta.shard_id_max = ShardId(shard_id);

    catalog::StreamRow row;
    row.id = meta.stream_id_max;
    row.name = request.name;
    row.retention_ms = retention_of(request);
    row.record_bytes_max = record_bytes_of(request);
    row.created_ns = now_ns;
    row.map_version = 1;
    change.put_streams.push_back(std::move(row));
    change.put_meta = meta;
    return change;
}

bool is_repeat_of(const Stream& stream, const CreateRequest& request) {
    return stream.row.state == StreamState::kCreating && stream.row.name == request.name &&
           stream.shards.size() == request.shard_count &&
           stream.row.retention_ms == retention_of(request) &&
           stream.row.record_bytes_max == record_bytes_of(request);
}

Result<Change> plan_delete(const StreamTable& table, std::string_view name) {
    const Stream* stream = table.find(name);
    if (stream == nullptr) return Errc::kUnknownStream;
    if (stream->row.state == StreamState::kDeleting) return Change{};
    return with_state(*stream, StreamState::kDeleting);
}

Result<Change> plan_set_retention(const StreamTable& table, std::string_view name,
                                  uint64_t retention_ms) {
    if (retention_ms == 0 || retention_ms > kRetentionMsMax)
        return error_of(Errc::kBadArgument, kRetentionMsMax);
    const Stream* stream = table.find(name);
    if (stream == nullptr || stream->row.state == StreamState::kDeleting)
        return Errc::kUnknownStream;
    if (stream->row.state == StreamState::kCreating) return Errc::kBusy;
    Change change = with_state(*stream, StreamState::kChanging);
    change.put_streams.back().retention_ms = retention_ms;
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
