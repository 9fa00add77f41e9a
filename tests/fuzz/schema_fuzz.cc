// Any bytes as a table that is not on the hot path, from either side of a socket. Input: which
// table (1 byte), payload. What the verifier passes, with the limits that the box uses, must be
// readable to the last byte.
#include <span>

#include <flatbuffers/flatbuffers.h>

#include "tests/fuzz/fuzz_input.h"
#include "wire/frame/aligned.h"
#include "wire/base/limits.h"
#include "wire/identity/key_set.h"
#include "wire/schema/admin_generated.h"
#include "wire/schema/control_generated.h"
#include "wire/schema/groups_generated.h"
#include "wire/schema/request_generated.h"

using namespace eagre;

namespace {

uint64_t read(const flatbuffers::String* text) {
    return text == nullptr ? 0
                           : fuzz::touch(std::as_bytes(std::span(text->c_str(), text->size() + 1)));
}

uint64_t read(const flatbuffers::Vector<uint8_t>* bytes) {
    return bytes == nullptr
               ? 0
               : fuzz::touch(std::as_bytes(std::span(bytes->data(), bytes->size())));
}

uint64_t read(const wire::ShardInfo* shard) {
    if (shard == nullptr) return 0;
    return shard->id() + shard->starting_hash_high() + shard->starting_hash_low() +
           shard->ending_hash_high() + shard->ending_hash_low() + shard->parent() +
           shard->adjacent_parent() + shard->open() + shard->available() + shard->journal() +
           shard->core() + shard->port() + shard->trim_horizon() + shard->next_sequence() +
           shard->first_sequence() + shard->opened_ns();
}

template <class Table>
uint64_t read(const flatbuffers::Vector<flatbuffers::Offset<Table>>* tables);

uint64_t read(const wire::StreamInfo* stream) {
    if (stream == nullptr) return 0;
    return stream->id() + read(stream->name()) + stream->map_version() + stream->retention_ms() +
           stream->record_bytes_max() + stream->created_ns() + read(stream->shards());
}

template <class Table>
uint64_t read(const flatbuffers::Vector<flatbuffers::Offset<Table>>* tables) {
    uint64_t sum = 0;
    for (uint32_t i = 0; tables != nullptr && i < tables->size(); ++i) sum += read(tables->Get(i));
    return sum;
}

uint64_t read(const wire::Hello* hello) {
    return read(hello->client_name()) + hello->features() + read(hello->key_id()) +
           read(hello->client_nonce()) + hello->purpose();
}
uint64_t read(const wire::Challenge* challenge) {
    return read(challenge->server_nonce()) + challenge->box_id_low() + challenge->core();
}
uint64_t read(const wire::Proof* proof) {
    return read(proof->proof());
}

uint64_t read(const wire::HelloReply* reply) {
    uint64_t sum = reply->box_id_high() + reply->core() + reply->incarnation();
    for (uint32_t i = 0; reply->ports() != nullptr && i < reply->ports()->size(); ++i)
        sum += reply->ports()->Get(i);
    return sum;
}

uint64_t read(const wire::MetadataRequest* request) {
    return read(request->stream_name());
}
uint64_t read(const wire::MetadataReply* reply) {
    return read(reply->streams());
}
/// As the dataplane takes them: what comes through has sound ids and policies, and both can be used.
uint64_t read_keys(const wire::KeySet* table) {
    const auto keys = identity::key_set_from(table);
    if (!keys) return static_cast<uint64_t>(keys.error().code);
    uint64_t sum = (*keys)->number;
    for (const auto& [id, key] : (*keys)->keys) {
        const auto again = identity::Policy::parse(key->policy.text());
        if (!again || again->actions_everywhere() != key->policy.actions_everywhere()) __builtin_trap();
        if (!identity::valid_key_id(id)) __builtin_trap();
        sum += key->policy.actions_on(key->name) + key->generation;
    }
    return sum;
}
uint64_t read(const wire::Command* command) {
    return command->id() + command->epoch() + static_cast<uint64_t>(command->op()) +
           read(command->stream()) + read_keys(command->key_set());
}
uint64_t read(const wire::CommandReply* reply) {
    return reply->id() + reply->code() + reply->detail() + read(reply->streams()) +
           reply->shard_id_max();
}
uint64_t read(const wire::Fact* fact) {
    return static_cast<uint64_t>(fact->kind()) + read(fact->shard()) + read(fact->stream_name()) +
           fact->command_id();
}
uint64_t read(const wire::AdminRequest* request) {
    const auto policy = identity::Policy::parse(
        request->allow() == nullptr ? std::string_view() : request->allow()->string_view());
    return static_cast<uint64_t>(request->op()) + read(request->name()) + request->shard_count() +
           request->retention_ms() + (policy ? policy->actions_on("ticks-a") : 0);
}
uint64_t read(const wire::AdminReply* reply) {
    return reply->code() + reply->detail() + read(reply->message()) + read(reply->streams());
}

uint64_t read(const wire::GroupRequest* request) {
    uint64_t sum = static_cast<uint64_t>(request->op()) + read(request->stream()) + read(request->group()) +
                   read(request->member()) + request->session() + request->wait_ms();
    if (!frame::lies_aligned(request->marks())) return 0;
    for (uint32_t i = 0; request->marks() != nullptr && i < request->marks()->size(); ++i)
        sum += request->marks()->Get(i)->token() + request->marks()->Get(i)->flags();
    return sum;
}
uint64_t read(const wire::GroupReply* reply) {
    uint64_t sum = reply->session() + reply->version() + read(reply->message());
    if (!frame::lies_aligned(reply->leases()) || !frame::lies_aligned(reply->refusals())) return 0;
    for (uint32_t i = 0; reply->leases() != nullptr && i < reply->leases()->size(); ++i)
        sum += reply->leases()->Get(i)->token() + reply->leases()->Get(i)->flags();
    for (uint32_t i = 0; reply->refusals() != nullptr && i < reply->refusals()->size(); ++i)
        sum += reply->refusals()->Get(i)->code() + reply->refusals()->Get(i)->detail();
    return sum;
}

// Depth: reply -> streams -> shards is 3; one to spare. Tables: every shard of a full box, its
// stream, and the root.
constexpr flatbuffers::uoffset_t kDepthMax = 4;
constexpr flatbuffers::uoffset_t kTableCountMax = kBoxShardCountMax + kBoxStreamCountMax + 1;

template <class Table>
void check(std::span<const std::byte> payload) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(payload.data());
    flatbuffers::Verifier verifier(bytes, payload.size(), kDepthMax, kTableCountMax);
    if (!verifier.VerifyBuffer<Table>(nullptr)) return;
    fuzz::keep(read(flatbuffers::GetRoot<Table>(bytes)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 1) return 0;
    const fuzz::AlignedInput input({data + 1, size - 1});
    switch (data[0] % 13) {
        case 0:
            check<wire::Hello>(input.bytes());
            break;
        case 1:
            check<wire::HelloReply>(input.bytes());
            break;
        case 2:
            check<wire::MetadataRequest>(input.bytes());
            break;
        case 3:
            check<wire::MetadataReply>(input.bytes());
            break;
        case 4:
            check<wire::Command>(input.bytes());
            break;
        case 5:
            check<wire::CommandReply>(input.bytes());
            break;
        case 6:
            check<wire::Fact>(input.bytes());
            break;
        case 7:
            check<wire::AdminRequest>(input.bytes());
            break;
        case 9:
            check<wire::Challenge>(input.bytes());
            break;
        case 10:
            check<wire::Proof>(input.bytes());
            break;
        case 11:
            check<wire::GroupRequest>(input.bytes());
            break;
        case 12:
            check<wire::GroupReply>(input.bytes());
            break;
        default:
            check<wire::AdminReply>(input.bytes());
            break;
    }
    return 0;
}
