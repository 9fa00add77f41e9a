#include "control/consumers/group_codec.h"

#include <cstring>

#include <flatbuffers/flatbuffers.h>

#include "wire/frame/aligned.h"

namespace eagre::consumers {
namespace {

// One table with strings and one vector of structs: anything deeper is a lie.
constexpr flatbuffers::uoffset_t kDepthMax = 4;
constexpr flatbuffers::uoffset_t kTablesMax = 2;

constexpr uint64_t kMarkEnded = 1;
constexpr uint64_t kMarkRelease = 2;
constexpr uint64_t kLeaseRelease = 1;

std::string text_of(const flatbuffers::String* text) {
    return text == nullptr ? std::string() : text->str();
}

}  // namespace

Result<Ask> decode_ask(std::span<const std::byte> payload) {
    flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t*>(payload.data()), payload.size(),
                                   kDepthMax, kTablesMax);
    if (!verifier.VerifyBuffer<wire::GroupRequest>(nullptr)) return Errc::kBadSchema;
    const auto* table = flatbuffers::GetRoot<wire::GroupRequest>(payload.data());
    Ask ask;
    ask.op = table->op();
    ask.stream = text_of(table->stream());
    ask.group = text_of(table->group());
    ask.member = text_of(table->member());
    ask.session = table->session();
    ask.version = table->version();
    ask.wait_ms = table->wait_ms();
    ask.heartbeat_ms = table->heartbeat_ms();
    ask.start_position = table->start_position();
    ask.start_value = table->start_value();
    if (table->marks() == nullptr) return ask;
    if (!frame::lies_aligned(table->marks())) return Errc::kBadSchema;
    ask.marks.reserve(table->marks()->size());
    for (const wire::GroupMark* mark : *table->marks()) {
        ask.marks.push_back({ShardId(mark->shard()), mark->token(), SequenceNumber(mark->next()),
                             (mark->flags() & kMarkEnded) != 0,
                             (mark->flags() & kMarkRelease) != 0});
    }
    return ask;
}

std::vector<std::byte> encode_answer(const Answer& answer, std::string_view message) {
    flatbuffers::FlatBufferBuilder builder;
    std::vector<wire::GroupLease> leases;
    leases.reserve(answer.leases.size());
    for (const Held& held : answer.leases) {
        leases.emplace_back(held.shard.value, held.token, held.next.value,
                            held.release ? kLeaseRelease : 0);
    }
    std::vector<wire::GroupRefusal> refusals;
    for (const Refusal& refusal : answer.refusals) {
        refusals.emplace_back(refusal.shard.value, refusal.token,
                              static_cast<uint64_t>(refusal.error.code), refusal.error.detail);
    }
    const auto lease_vector = builder.CreateVectorOfStructs(leases);
    const auto refusal_vector = builder.CreateVectorOfStructs(refusals);
    const auto text = builder.CreateString(message.data(), message.size());
    builder.Finish(wire::CreateGroupReply(builder, answer.session, answer.version,
                                          static_cast<uint32_t>(answer.heartbeat_ms), lease_vector,
                                          refusal_vector, text));
    std::vector<std::byte> bytes(builder.GetSize());
    std::memcpy(bytes.data(), builder.GetBufferPointer(), bytes.size());
    return bytes;
}

}  // namespace eagre::consumers
