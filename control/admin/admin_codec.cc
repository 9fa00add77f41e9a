#include "control/admin/admin_codec.h"

#include <cstring>

#include <flatbuffers/flatbuffers.h>

#include "wire/base/limits.h"
#include "wire/shards/shard_info.h"

namespace eagre::admin {
namespace {

// One flat table and its tags: anything deeper is a lie. More tags than a stream may have are refused by name, far more as
// a lie.
constexpr flatbuffers::uoffset_t kDepthMax = 4;
constexpr flatbuffers::uoffset_t kTablesMax = 4 + 4 * kTagCountMax;

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
    request.limits = {static_cast<uint32_t>(table->fields()),
                      {table->retention_ms(), table->retention_bytes(), table->record_bytes_max(),
                       table->quota_bytes_per_s(), table->quota_records_per_s()}};
    if (table->tags() != nullptr) {
        for (const wire::Tag* tag : *table->tags()) {
            if (tag->key() == nullptr) return Errc::kBadSchema;
            request.tags[tag->key()->str()] = tag->value() == nullptr ? "" : tag->value()->str();
        }
    }
    if (table->allow() != nullptr) request.allow = table->allow()->str();
    request.expires_ns = table->expires_ns();
    return request;
}

std::vector<std::byte> encode_answer(const Answer& answer) {
    flatbuffers::FlatBufferBuilder builder;
    std::vector<flatbuffers::Offset<wire::StreamInfo>> offsets;
    offsets.reserve(answer.streams.size());
    for (const StreamAnswer& stream : answer.streams)
        offsets.push_back(shards::encode_stream(builder, stream.stream, stream.shard_count));
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
