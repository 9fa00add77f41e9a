#include "control/admin/admin_codec.h"

#include <cstring>

#include <flatbuffers/flatbuffers.h>

#include "wire/base/limits.h"

namespace eagre::admin {
namespace {

// One flat table: anything deeper is a lie.
constexpr flatbuffers::uoffset_t kDepthMax = 4;
constexpr flatbuffers::uoffset_t kTablesMax = 4;

using ShardOffsets = std::vector<flatbuffers::Offset<wire::ShardInfo>>;

ShardOffsets encode_shards(flatbuffers::FlatBufferBuilder& builder,
                           const std::vector<streams::ShardFact>& shards) {
    ShardOffsets offsets;
    offsets.reserve(shards.size());
    for (const streams::ShardFact& shard : shards) {
        wire::ShardInfoBuilder info(builder);
        info.add_id(shard.id.value);
        info.add_starting_hash_high(shard.range.starting.high);
        info.add_starting_hash_low(shard.range.starting.low);
        info.add_ending_hash_high(shard.range.ending.high);
        info.add_ending_hash_low(shard.range.ending.low);
        info.add_parent(shard.parent.value);
        info.add_adjacent_parent(shard.adjacent_parent.value);
        info.add_open(shard.open);
        info.add_available(shard.available);
        info.add_journal(shard.journal.value);
        info.add_core(shard.core.value);
        info.add_port(shard.port);
        info.add_trim_horizon(shard.trim_horizon.value);
        info.add_next_sequence(shard.next_sequence.value);
        info.add_first_sequence(shard.first_sequence.value);
        info.add_opened_ns(shard.opened_ns);
        offsets.push_back(info.Finish());
    }
    return offsets;
}

flatbuffers::Offset<wire::StreamInfo> encode_stream(flatbuffers::FlatBufferBuilder& builder,
                                                    const StreamAnswer& answer) {
    const streams::StreamFact& stream = answer.stream;
    const auto name = builder.CreateString(stream.name);
    const auto shards = builder.CreateVector(encode_shards(builder, stream.shards));
    wire::StreamInfoBuilder info(builder);
    info.add_id(stream.id.value);
    info.add_name(name);
    info.add_map_version(stream.map_version);
    info.add_retention_ms(stream.retention_ms);
    info.add_record_bytes_max(stream.record_bytes_max);
    info.add_created_ns(stream.created_ns);
    info.add_shards(shards);
    info.add_shard_count(answer.shard_count);
    return info.Finish();
}

}  // namespace

Result<Request> decode_request(std::span<const std::byte> payload) {
    flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t*>(payload.data()), payload.size(),
                                   kDepthMax, kTablesMax);
    if (!verifier.VerifyBuffer<wire::AdminRequest>(nullptr)) return Errc::kBadSchema;
    const auto* table = flatbuffers::GetRoot<wire::AdminRequest>(payload.data());
    Request request;
    request.op = table->op();
    if (table->name() != nullptr) request.name = table->name()->str();
    request.shard_count = table->shard_count();
    request.retention_ms = table->retention_ms();
    request.record_bytes_max = table->record_bytes_max();
    if (table->allow() != nullptr) request.allow = table->allow()->str();
    request.expires_ns = table->expires_ns();
    return request;
}

std::vector<std::byte> encode_answer(const Answer& answer) {
    flatbuffers::FlatBufferBuilder builder;
    std::vector<flatbuffers::Offset<wire::StreamInfo>> offsets;
    offsets.reserve(answer.streams.size());
    for (const StreamAnswer& stream : answer.streams)
        offsets.push_back(encode_stream(builder, stream));
    const auto streams = builder.CreateVector(offsets);
    const auto message = builder.CreateString(answer.message);
    std::vector<flatbuffers::Offset<wire::KeyAnswer>> key_offsets;
    for (const catalog::KeyRow& row : answer.keys) {
        const auto id = builder.CreateString(row.id);
        const auto name = builder.CreateString(row.name);
        const auto allow = builder.CreateString(row.allow);
        key_offsets.push_back(wire::CreateKeyAnswer(builder, id, name, allow, row.created_ns,
                                                    row.expires_ns, row.revoked_ns,
                                                    row.generation));
    }
    const auto keys = builder.CreateVector(key_offsets);
    const auto secret = builder.CreateString(answer.secret);
    builder.Finish(wire::CreateAdminReply(builder, static_cast<uint16_t>(answer.error.code),
                                          answer.error.detail, message, streams, keys, secret));
    std::vector<std::byte> bytes(builder.GetSize());
    std::memcpy(bytes.data(), builder.GetBufferPointer(), bytes.size());
    return bytes;
}

}  // namespace eagre::admin
