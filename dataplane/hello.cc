// The first frames of a connection, and what they let it do afterwards: hello, challenge, proof, and the bit test for what it asks.
#include <flatbuffers/flatbuffers.h>

#include <algorithm>
#include <cstring>

#include "dataplane/core.h"
#include "wire/identity/proof.h"
#include "wire/schema/request_generated.h"

namespace eagre {

using frame::FrameHeader;
using frame::FrameKind;
using ingress::Handled;
using ingress::Session;

namespace {

constexpr flatbuffers::uoffset_t kHelloDepthMax = 4;
constexpr flatbuffers::uoffset_t kHelloTableMax = 4;
constexpr size_t kClientNameBytesMax = 64;

template <class Table>
const Table* verified(std::span<const std::byte> payload) {
    if (payload.size() < 16) return nullptr;
    const auto* bytes = reinterpret_cast<const uint8_t*>(payload.data());
    flatbuffers::Verifier verifier(bytes, payload.size(), kHelloDepthMax, kHelloTableMax);
    return verifier.VerifyBuffer<Table>(nullptr) ? flatbuffers::GetRoot<Table>(bytes) : nullptr;
}

bool take(const flatbuffers::Vector<uint8_t>* bytes, identity::Bytes32& target) {
    if (bytes == nullptr || bytes->size() != target.size()) return false;
    std::memcpy(target.data(), bytes->data(), target.size());
    return true;
}

flatbuffers::Offset<flatbuffers::Vector<uint8_t>> pack(flatbuffers::FlatBufferBuilder& builder, const identity::Bytes32& bytes) {
    return builder.CreateVector(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
}

}  // namespace

void Core::push_table(Session& session, const FrameHeader& header, const flatbuffers::FlatBufferBuilder& builder) {
    const auto bytes = std::as_bytes(std::span(builder.GetBufferPointer(), builder.GetSize()));
    cold_payload_.assign((bytes.size() + 7) / 8 * 8, std::byte{0});
    std::copy(bytes.begin(), bytes.end(), cold_payload_.begin());
    session.outlet.push(header, cold_payload_);
    sessions_->mark_dirty(session);
}

Handled Core::on_hello(Session& session, const FrameHeader& header, std::span<const std::byte> payload) {
    const auto* hello = verified<wire::Hello>(payload);
    if (hello == nullptr) {
        sessions_->close_bad(session, header, error_of(Errc::kBadSchema));
        return Handled::kClose;
    }
    gate::Grant& grant = session.grant;
    const std::string_view key_id = hello->key_id() != nullptr ? hello->key_id()->string_view() : std::string_view{};
    // Who a connection is does not change while it lives.
    const bool again = grant.unproven != nullptr || (session.greeted && (grant.key != nullptr || !key_id.empty()));
    if (again) {
        sessions_->close_bad(session, header, error_of(Errc::kBadKind, static_cast<uint64_t>(header.kind)));
        return Handled::kClose;
    }
    if (hello->client_name() != nullptr) grant.client_name = gate::printable(hello->client_name()->string_view(), kClientNameBytesMax);
    if (key_id.empty() || session.control) {
        // The control socket lets nobody in but our own user and root: see Core::take_in_events.
        if (gate_.demanded() && !session.control) return refuse_hello(session, header, key_id, "no key");
        grant.everywhere = identity::kAllActions;
        return greet(session, header, nullptr);
    }
    auto unproven = std::make_unique<gate::Unproven>();
    if (key_id.size() > identity::kKeyIdBytes || !take(hello->client_nonce(), unproven->client_nonce) ||
        hello->purpose() != static_cast<uint32_t>(identity::Purpose::kNative)) {
        return refuse_hello(session, header, key_id, "a hello without nonce or purpose");
    }
    unproven->key_id = std::string(key_id);
    unproven->server_nonce = gate_.draw();
    flatbuffers::FlatBufferBuilder builder;
    const auto nonce = pack(builder, unproven->server_nonce);
    builder.Finish(
        wire::CreateChallenge(builder, nonce, box_.box_id_high, box_.box_id_low, box_.incarnation, index_.value));
    push_table(session, frame::reply_to(header, FrameKind::kChallenge), builder);
    grant.unproven = std::move(unproven);
    return Handled::kDone;
}

Handled Core::on_proof(Session& session, const FrameHeader& header, std::span<const std::byte> payload) {
    gate::Grant& grant = session.grant;
    const auto* table = verified<wire::Proof>(payload);
    const std::unique_ptr<gate::Unproven> unproven = std::move(grant.unproven);
    if (table == nullptr || unproven == nullptr) {
        const Errc code = table == nullptr ? Errc::kBadSchema : Errc::kBadKind;
        sessions_->close_bad(session, header, error_of(code, static_cast<uint64_t>(header.kind)));
        return Handled::kClose;
    }
    identity::Challenge challenge;
    challenge.box_id_high = box_.box_id_high;
    challenge.box_id_low = box_.box_id_low;
    challenge.incarnation = box_.incarnation;
    challenge.core = index_.value;
    challenge.purpose = unproven->purpose;
    challenge.client_nonce = unproven->client_nonce;
    challenge.server_nonce = unproven->server_nonce;
    challenge.key_id = unproven->key_id;
    const identity::KeyPointer key = gate_.find_key(unproven->key_id);
    // An unknown key costs the same and fails the same.
    const identity::Bytes32 verifier = key != nullptr ? key->verifier : gate_.draw();
    identity::Bytes32 proof{};
    const bool proven = take(table->proof(), proof) && identity::equal_constant_time(proof, identity::client_proof(verifier, challenge));
    if (!proven || key == nullptr) {
        return refuse_hello(session, header, unproven->key_id, key == nullptr ? "unknown or revoked key" : "wrong secret");
    }
    if (key->expired(wall_ns_)) return refuse_hello(session, header, unproven->key_id, "expired key");
    grant.key = key;
    grant.everywhere = key->policy.actions_everywhere();
    const identity::Bytes32 answer = identity::server_proof(verifier, challenge);
    return greet(session, header, &answer);
}

Handled Core::greet(Session& session, const FrameHeader& header, const identity::Bytes32* server_proof) {
    session.greeted = true;
    flatbuffers::FlatBufferBuilder builder;
    const auto ports = builder.CreateVector(box_.ports);
    flatbuffers::Offset<flatbuffers::Vector<uint8_t>> proof;
    if (server_proof != nullptr) proof = pack(builder, *server_proof);
    wire::HelloReplyBuilder table(builder);
    table.add_box_id_high(box_.box_id_high);
    table.add_box_id_low(box_.box_id_low);
    table.add_core(index_.value);
    table.add_ports(ports);
    table.add_monotonic_ns(now_ns_);
    table.add_incarnation(box_.incarnation);
    table.add_features(door_->is_open() ? frame::kFeatureDatagrams : 0);
    if (server_proof != nullptr) table.add_server_proof(proof);
    builder.Finish(table.Finish());
    push_table(session, frame::reply_to(header, FrameKind::kHelloReply), builder);
    return Handled::kDone;
}

Handled Core::refuse_hello(Session& session, const FrameHeader& header, std::string_view key_id, std::string_view why) {
    gate_.report({Errc::kUnauthenticated, why, {}, key_id, io_.connections.peer_of(session.connection)}, session.grant, now_ns_);
    sessions_->close_bad(session, header, error_of(Errc::kUnauthenticated));
    return Handled::kClose;
}

std::string_view Core::stream_name_of(ShardId id) const {
    const auto place = directory_.find_shard(id);
    if (place.stream != nullptr) return place.stream->name;
    // A stream that is being opened: its shards are here before the directory has them.
    const auto here = shards_.find(id);
    return here != shards_.end() ? std::string_view(here->second->facts.stream_name) : std::string_view{};
}

// What is not there is not denied: it will be answered with what it is, unknown.
bool Core::may_slowly(Session& session, uint8_t action, uint64_t subject, std::string_view stream) {
    if (stream.empty()) return true;
    if ((gate::Gate::actions_on(session.grant, subject, stream) & action) != 0) return true;
    report_denied(session, identity::action_name(action), stream);
    return false;
}

void Core::report_denied(const Session& session, std::string_view what, std::string_view stream) {
    gate_.report({Errc::kAccessDenied, what, stream, {}, io_.connections.peer_of(session.connection)}, session.grant, now_ns_);
}

// Of streams by name; true when the session may do anything at all there. Nobody learns whether a stream exists that is none of theirs.
bool Core::may_see(const Session& session, std::string_view stream) const {
    const gate::Grant& grant = session.grant;
    return grant.everywhere != 0 || (grant.key != nullptr && grant.key->policy.actions_on(stream) != 0);
}

void Core::put_keys(const identity::KeySetPointer& keys) {
    gate_.put_keys(keys);
    close_void_grants();
}

void Core::close_void_grants() {
    sessions_->each([this](Session& session) {
        if (!gate_.is_void(session.grant, wall_ns_)) return;
        (void)refuse_hello(session, FrameHeader{}, {}, "key revoked, rotated or expired: connection closed");
    });
}

}  // namespace eagre
