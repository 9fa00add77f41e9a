// Who gets past a core's gate: the unproven, the wrong, the replayed and the revoked do not, and policies hold on every core. Frames
// are made by hand, so that a test can say what no client of ours would.
#include "tests/unit/dataplane/core/core_rig.h"
#include "wire/identity/box_key.h"
#include "wire/identity/proof.h"
#include "wire/identity/secret.h"
#include "wire/schema/request_generated.h"

namespace eagre::test {
namespace {

using frame::FrameHeader;
using frame::FrameKind;

constexpr const char* kFeed = "ek-0000000000000001";

identity::Bytes32 filled(uint8_t value) {
    identity::Bytes32 bytes;
    bytes.fill(static_cast<std::byte>(value));
    return bytes;
}

std::vector<std::byte> padded(const flatbuffers::FlatBufferBuilder& builder) {
    std::vector<std::byte> payload((builder.GetSize() + 7) / 8 * 8);
    std::memcpy(payload.data(), builder.GetBufferPointer(), builder.GetSize());
    return payload;
}

/// A connection that says what it is told to.
class RawClient {
  public:
    RawClient(CoreRig& rig, uint16_t port) : rig_(rig), transport_(rig.world), pipe_(*transport_.connect("127.0.0.1", port)) {}

    void send(FrameKind kind, const std::vector<std::byte>& content) {
        FrameHeader header;
        header.kind = kind;
        header.correlation = 7;
        frame::seal_frame(header, content);
        const client::Slice slices[] = {{reinterpret_cast<const std::byte*>(&header), sizeof(header)}, {content.data(), content.size()}};
        for (int i = 0; i < 100; ++i) {  // Until it is connected.
            const auto taken = transport_.send(pipe_, std::span(slices).first(content.empty() ? 1 : 2));
            ASSERT_TRUE(taken.has_value());
            if (*taken > 0) return;
            rig_.turn(1);
        }
        FAIL() << "nothing was taken";
    }
    /// The next frame; its payload in `payload`.
    FrameHeader receive() {
        for (int i = 0; i < 400; ++i) {
            if (bytes_.size() >= frame::kHeaderBytes) {
                const auto header = frame::decode_header(bytes_);
                EXPECT_TRUE(header.has_value());
                const size_t whole = frame::kHeaderBytes + header->payload_bytes;
                if (bytes_.size() >= whole) {
                    payload.assign(bytes_.begin() + frame::kHeaderBytes, bytes_.begin() + static_cast<ptrdiff_t>(whole));
                    bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<ptrdiff_t>(whole));
                    return *header;
                }
            }
            std::byte more[4096];
            const auto got = transport_.receive(pipe_, more);
            if (!got) {
                ended = true;
                return {};
            }
            bytes_.insert(bytes_.end(), more, more + *got);
            if (*got == 0) rig_.turn(1);
        }
        return {};
    }
    void hello(const char* key_id) {
        flatbuffers::FlatBufferBuilder builder;
        const auto nonce = builder.CreateVector(reinterpret_cast<const uint8_t*>(client_nonce.data()), client_nonce.size());
        const auto name = builder.CreateString("raw");
        const auto id = key_id == nullptr ? flatbuffers::Offset<flatbuffers::String>() : builder.CreateString(key_id);
        wire::HelloBuilder table(builder);
        table.add_client_name(name);
        if (key_id != nullptr) table.add_key_id(id);
        table.add_client_nonce(nonce);
        table.add_purpose(1);
        builder.Finish(table.Finish());
        send(FrameKind::kHello, padded(builder));
    }
    std::vector<std::byte> proof_for(const identity::Bytes32& secret, const char* key_id) const {
        const auto* table = flatbuffers::GetRoot<wire::Challenge>(payload.data());
        identity::Challenge challenge;
        challenge.box_id_high = table->box_id_high();
        challenge.box_id_low = table->box_id_low();
        challenge.incarnation = table->incarnation();
        challenge.core = table->core();
        challenge.client_nonce = client_nonce;
        std::memcpy(challenge.server_nonce.data(), table->server_nonce()->data(), 32);
        challenge.key_id = key_id;
        const auto proof = identity::client_proof(identity::verifier_of(secret), challenge);
        flatbuffers::FlatBufferBuilder builder;
        builder.Finish(
            wire::CreateProof(builder, builder.CreateVector(reinterpret_cast<const uint8_t*>(proof.data()), proof.size())));
        return padded(builder);
    }
    /// What the box said in the end: kOk is a HelloReply.
    Errc verdict() {
        const FrameHeader header = receive();
        if (ended) return Errc::kDisconnected;
        EXPECT_TRUE(header.kind == FrameKind::kHelloReply || header.kind == FrameKind::kError);
        return frame::errc_of(header);
    }
    Errc prove(const identity::Bytes32& secret, const char* key_id) {
        hello(key_id);
        EXPECT_EQ(receive().kind, FrameKind::kChallenge);
        send(FrameKind::kProof, proof_for(secret, key_id));
        return verdict();
    }

    std::vector<std::byte> payload;
    identity::Bytes32 client_nonce = filled(0xC1);
    bool ended = false;

  private:
    CoreRig& rig_;
    SimTransport transport_;
    client::PipeId pipe_;
    std::vector<std::byte> bytes_;
};

class Identity : public testing::Test {
  protected:
    Errc put_keys(uint64_t number, const std::vector<std::pair<const char*, const char*>>& keys, uint64_t generation = 1) {
        identity::KeySet set;
        set.number = number;
        for (const auto& [id, allow] : keys) {
            auto key = std::make_shared<identity::Key>();
            key->id = id;
            key->name = "name";
            key->generation = generation;
            key->verifier = identity::verifier_of(filled(static_cast<uint8_t>(generation)));
            key->policy = identity::Policy::parse(allow).value();
            set.keys.emplace(id, std::move(key));
        }
        flatbuffers::FlatBufferBuilder builder;
        const auto packed = identity::pack_key_set(builder, set);
        builder.Finish(wire::CreateCommand(builder, ++rig.command_id, 1, wire::CommandOp::PutKeys, 0, packed));
        return rig.command(control, builder);
    }
    CoreRig rig{2, 1, {}, {}, nullptr, true};
    FrameClient& control = rig.connect_control();
};

TEST_F(Identity, LetsInWhoProvesAKey) {
    ASSERT_EQ(put_keys(1, {{kFeed, "all:*"}}), Errc::kOk);
    for (const uint16_t port : {uint16_t{5000}, uint16_t{5001}}) {
        RawClient client(rig, port);
        EXPECT_EQ(client.prove(filled(1), kFeed), Errc::kOk);
        const auto* reply = flatbuffers::GetRoot<wire::HelloReply>(client.payload.data());
        ASSERT_NE(reply->server_proof(), nullptr);
        EXPECT_EQ(reply->server_proof()->size(), 32U);
    }
}

TEST_F(Identity, LetsInTheBoxItselfWhateverKeysThereAre) {
    const identity::Bytes32 secret = identity::box_secret(rig.box.master_key);
    const std::string id(identity::kBoxKeyId);
    RawClient client(rig, 5000);
    EXPECT_EQ(client.prove(secret, id.c_str()), Errc::kOk);
    // No set of keys takes it away, and none brings another under its id.
    ASSERT_EQ(put_keys(1, {{id.c_str(), "get:*"}}), Errc::kOk);
    rig.turn(20);
    RawClient again(rig, 5001);
    EXPECT_EQ(again.prove(secret, id.c_str()), Errc::kOk);
    RawClient wrong(rig, 5000);
    EXPECT_EQ(wrong.prove(filled(1), id.c_str()), Errc::kUnauthenticated);
    EXPECT_FALSE(client.ended);
}

TEST_F(Identity, RefusesEverybodyElse) {
    ASSERT_EQ(put_keys(1, {{kFeed, "all:*"}}), Errc::kOk);
    EXPECT_EQ(RawClient(rig, 5000).prove(filled(2), kFeed), Errc::kUnauthenticated);
    EXPECT_EQ(RawClient(rig, 5000).prove(filled(1), "ek-0000000000000002"), Errc::kUnauthenticated);
    RawClient nobody(rig, 5000);
    nobody.hello(nullptr);
    EXPECT_EQ(nobody.verdict(), Errc::kUnauthenticated);
    EXPECT_EQ(nobody.verdict(), Errc::kDisconnected);
    RawClient eager(rig, 5000);
    eager.hello(kFeed);
    EXPECT_EQ(eager.receive().kind, FrameKind::kChallenge);
    eager.send(FrameKind::kMetadata, {});
    EXPECT_EQ(eager.verdict(), Errc::kBadKind);
    EXPECT_GE(rig.cores[0]->stats().errors[static_cast<size_t>(Errc::kUnauthenticated)], 3U);
}

TEST_F(Identity, TakesNoProofTwice) {
    ASSERT_EQ(put_keys(1, {{kFeed, "all:*"}}), Errc::kOk);
    RawClient first(rig, 5000);
    first.hello(kFeed);
    ASSERT_EQ(first.receive().kind, FrameKind::kChallenge);
    const auto proof = first.proof_for(filled(1), kFeed);
    first.send(FrameKind::kProof, proof);
    ASSERT_EQ(first.verdict(), Errc::kOk);
    // The same bytes again, on the same core and on the other.
    for (const uint16_t port : {uint16_t{5000}, uint16_t{5001}}) {
        RawClient again(rig, port);
        again.hello(kFeed);
        ASSERT_EQ(again.receive().kind, FrameKind::kChallenge);
        again.send(FrameKind::kProof, proof);
        EXPECT_EQ(again.verdict(), Errc::kUnauthenticated);
    }
    first.send(FrameKind::kProof, proof);
    EXPECT_EQ(first.verdict(), Errc::kBadKind);
}

TEST_F(Identity, ClosesTheConnectionsOfKeysThatAreGone) {
    ASSERT_EQ(put_keys(1, {{kFeed, "all:*"}}), Errc::kOk);
    RawClient live(rig, 5001);
    ASSERT_EQ(live.prove(filled(1), kFeed), Errc::kOk);
    ASSERT_EQ(put_keys(2, {{kFeed, "all:*"}}, 2), Errc::kOk);  // Rotated.
    EXPECT_EQ(live.verdict(), Errc::kUnauthenticated);
    EXPECT_EQ(live.verdict(), Errc::kDisconnected);
    EXPECT_EQ(RawClient(rig, 5001).prove(filled(1), kFeed), Errc::kUnauthenticated);
    RawClient rotated(rig, 5000);
    ASSERT_EQ(rotated.prove(filled(2), kFeed), Errc::kOk);
    ASSERT_EQ(put_keys(3, {}), Errc::kOk);  // Revoked.
    EXPECT_EQ(rotated.verdict(), Errc::kUnauthenticated);
}

TEST_F(Identity, RefusesAnOlderSetOfKeys) {
    ASSERT_EQ(put_keys(5, {}), Errc::kOk);
    EXPECT_EQ(put_keys(4, {{kFeed, "all:*"}}), Errc::kStaleKeys);
    EXPECT_EQ(RawClient(rig, 5000).prove(filled(1), kFeed), Errc::kUnauthenticated);
    EXPECT_EQ(put_keys(5, {}), Errc::kOk) << "a repeated command";
}

}  // namespace
}  // namespace eagre::test
