// The Reshard command at the box itself: parents are closed, durably, before a child opens; whoever was sending is answered
// the first result or ShardClosed; whoever reads is told the children; and a command that was cut short goes on.
#include <gtest/gtest.h>

#include "dataplane/core.h"
#include "tests/unit/dataplane/core/core_rig.h"
#include "wire/shards/shard_info.h"

namespace eagre {
namespace {

using frame::FrameHeader;
using frame::FrameKind;
using test::CoreRig;
using test::FrameClient;

struct Child {
    uint64_t id;
    HashKeyRange range;
    uint64_t parent;
    uint64_t adjacent_parent = 0;
    uint32_t journal = 0;
};

constexpr HashKeyRange kLowHalf{{0, 0}, {UINT64_MAX / 2, UINT64_MAX}};
constexpr HashKeyRange kHighHalf{{UINT64_MAX / 2 + 1, 0}, kHashKeyMax};
constexpr HashKeyRange kAll{{0, 0}, kHashKeyMax};

Errc reshard(CoreRig& rig, FrameClient& control, const std::vector<Child>& children, uint64_t epoch = 1, uint64_t stream = 1) {
    shards::StreamDescription description;
    description.id = StreamId{stream};
    description.name = "ticks";
    for (const Child& child : children) {
        shards::ShardDescription shard;
        shard.id = ShardId{child.id};
        shard.range = child.range;
        shard.parent = ShardId{child.parent};
        shard.adjacent_parent = ShardId{child.adjacent_parent};
        shard.journal = JournalId{child.journal};
        description.shards.push_back(shard);
    }
    flatbuffers::FlatBufferBuilder builder;
    const auto info = shards::encode_stream(builder, description, 0);
    builder.Finish(wire::CreateCommand(builder, ++rig.command_id, epoch, wire::CommandOp::Reshard, info));
    return rig.command(control, builder);
}

FrameHeader subscribe(ShardId shard, FrameKind kind = FrameKind::kSubscribe) {
    FrameHeader header;
    header.kind = kind;
    header.shard = shard.value;
    header.sequence = 1;
    header.number = 1 << 20U;
    return header;
}

TEST(Reshard, ChildrenBeginAboveTheirParentAndReadersAreToldThem) {
    CoreRig rig(2);
    FrameClient& control = rig.connect_control();
    ASSERT_EQ(rig.open_stream(control, 1), Errc::kOk);
    FrameClient& client = rig.connect(0);
    const uint64_t stored = client.append(ShardId{1}, "k", 77, 0);
    rig.turn(100);
    ASSERT_EQ(client.code(stored), Errc::kOk);
    FrameClient& reader = rig.connect(0);
    const uint64_t subscription = reader.push(subscribe(ShardId{1}));
    rig.turn(40);
    ASSERT_EQ(reshard(rig, control, {{2, kLowHalf, 1, 0, 0}, {3, kHighHalf, 1, 0, 1}}), Errc::kOk);
    rig.turn(40);
    const shard::Shard* parent = rig.cores[0]->shard(ShardId{1});
    const shard::Shard* low = rig.cores[0]->shard(ShardId{2});
    const shard::Shard* high = rig.cores[1]->shard(ShardId{3});
    ASSERT_NE(low, nullptr);
    ASSERT_NE(high, nullptr);
    EXPECT_FALSE(parent->facts.open);
    EXPECT_GT(low->appended, parent->appended);
    EXPECT_GE(high->last_arrival_ns, parent->last_arrival_ns);
    // The end of the parent, with its children.
    ASSERT_NE(reader.answer(subscription), nullptr);
    EXPECT_EQ(reader.answer(subscription)->kind, FrameKind::kDeliverEnd);
    EXPECT_EQ(reader.code(subscription), Errc::kShardClosed);
    EXPECT_EQ(reader.last_payload, (std::vector<uint64_t>{2, 3}));
    // A lost acknowledgement: the first answer. Anything new: never stored. An old map for a child: stale.
    const uint64_t again = client.append(ShardId{1}, "k", 77, 0);
    const uint64_t next = client.append(ShardId{1}, "k", 77, 1);
    const uint64_t stranger = client.append(ShardId{1}, "k", 78, 0);
    const uint64_t stale = client.append(ShardId{2}, CoreRig::key_of(0, 2), 79, 0);
    rig.turn(100);
    EXPECT_EQ(client.code(again), Errc::kOk);
    EXPECT_EQ(client.answer(again)->sequence, 1U);
    EXPECT_EQ(client.code(next), Errc::kShardClosed);
    EXPECT_EQ(client.code(stranger), Errc::kShardClosed);
    EXPECT_EQ(client.code(stale), Errc::kStaleMap);
    EXPECT_EQ(client.answer(stale)->detail, 2U);
    const uint64_t read = reader.push(subscribe(ShardId{1}, FrameKind::kRead));
    rig.turn(60);
    EXPECT_EQ(reader.code(read), Errc::kShardClosed);
    EXPECT_EQ(reader.last_payload, (std::vector<uint64_t>{2, 3}));
}

TEST(Reshard, BatchesWaitForTheMapAndAreThenRefused) {
    CoreRig rig(1);
    FrameClient& control = rig.connect_control();
    ASSERT_EQ(rig.open_stream(control, 1), Errc::kOk);
    FrameClient& client = rig.connect(0);
    // Together with the command: some are stored before the closing, all others are refused, none in between.
    std::vector<uint64_t> sent;
    for (uint64_t i = 0; i < 12; ++i) sent.push_back(client.append(ShardId{1}, "k", 5, i));
    ASSERT_EQ(reshard(rig, control, {{2, kLowHalf, 1}, {3, kHighHalf, 1}}), Errc::kOk);
    for (uint64_t i = 12; i < 16; ++i) sent.push_back(client.append(ShardId{1}, "k", 5, i));
    rig.turn(200);
    uint64_t stored = 0;
    while (stored < sent.size() && client.code(sent[stored]) == Errc::kOk) ++stored;
    for (uint64_t i = stored; i < sent.size(); ++i) EXPECT_EQ(client.code(sent[i]), Errc::kShardClosed) << i;
    EXPECT_LT(stored, sent.size());
    EXPECT_EQ(rig.cores[0]->shard(ShardId{1})->appended.value, stored + 1);
}

TEST(Reshard, AMergeBeginsAboveBothParentsAndARepeatIsOk) {
    CoreRig rig(2);
    FrameClient& control = rig.connect_control();
    ASSERT_EQ(rig.simple(control, wire::CommandOp::TakeEpoch, 1), Errc::kOk);
    ASSERT_EQ(rig.open_stream(control, 2), Errc::kOk);
    FrameClient& client = rig.connect(1);
    for (int i = 0; i < 5; ++i) client.append(ShardId{2}, CoreRig::key_of(1, 2));
    rig.turn(100);
    ASSERT_EQ(reshard(rig, control, {{3, kAll, 1, 2, 0}}), Errc::kOk);
    EXPECT_GT(rig.cores[0]->shard(ShardId{3})->appended.value, 6U);
    const auto before = rig.cores[0]->shard(ShardId{3})->facts.first_sequence;
    EXPECT_EQ(reshard(rig, control, {{3, kAll, 1, 2, 0}}), Errc::kOk) << "a repeated command";
    EXPECT_EQ(rig.cores[0]->shard(ShardId{3})->facts.first_sequence, before);
    EXPECT_EQ(reshard(rig, control, {{3, kAll, 1, 2, 0}}, 0), Errc::kStaleEpoch);
}

TEST(Reshard, AShardMovesToAnotherJournal) {
    CoreRig rig(2);
    FrameClient& control = rig.connect_control();
    ASSERT_EQ(rig.open_stream(control, 1), Errc::kOk);
    ASSERT_EQ(reshard(rig, control, {{2, kAll, 1, 0, 1}}), Errc::kOk);
    FrameClient& client = rig.connect(0);
    const uint64_t sent = client.append(ShardId{1}, "k", 0, 0, frame::kAppendRouteForMe);  // Of stream 1.
    rig.turn(100);
    EXPECT_EQ(client.code(sent), Errc::kOk);
    EXPECT_EQ(rig.cores[1]->shard(ShardId{2})->durable.value, rig.cores[1]->shard(ShardId{2})->facts.first_sequence.value + 1);
}

TEST(Reshard, WhatDoesNotFitIsRefusedAndChangesNothing) {
    CoreRig rig(1);
    FrameClient& control = rig.connect_control();
    ASSERT_EQ(rig.open_stream(control, 2), Errc::kOk);
    EXPECT_EQ(reshard(rig, control, {{3, kLowHalf, 1}}, 1, 9), Errc::kUnknownStream);
    EXPECT_EQ(reshard(rig, control, {{3, kLowHalf, 9}}), Errc::kUnknownShard);
    EXPECT_EQ(reshard(rig, control, {{3, kLowHalf, 2}}), Errc::kBadArgument) << "a hole, and an overlap";
    EXPECT_EQ(reshard(rig, control, {{3, kLowHalf, 1}, {4, kLowHalf, 1}}), Errc::kBadArgument);
    EXPECT_EQ(reshard(rig, control, {{2, kLowHalf, 1}}), Errc::kBadArgument) << "another shard's id";
    EXPECT_EQ(reshard(rig, control, {{3, kLowHalf, 1, 0, 7}}), Errc::kUnavailable);
    EXPECT_EQ(reshard(rig, control, {}), Errc::kBadArgument);
    FrameClient& client = rig.connect(0);
    const uint64_t sent = client.append(ShardId{1}, CoreRig::key_of(0, 2));
    rig.turn(100);
    EXPECT_EQ(client.code(sent), Errc::kOk);
    ASSERT_EQ(reshard(rig, control, {{3, kLowHalf, 1}}), Errc::kOk);
    EXPECT_EQ(reshard(rig, control, {{1, kLowHalf, 3}}), Errc::kBadArgument) << "ids are never used twice";
}

TEST(Reshard, ParentsAndChildrenAreFactsAfterAKill) {
    io::sim::SimDisk disk;
    {
        CoreRig rig(2, 1, {}, {}, &disk);
        FrameClient& control = rig.connect_control();
        ASSERT_EQ(rig.open_stream(control, 2), Errc::kOk);
        ASSERT_EQ(reshard(rig, control, {{3, kLowHalf, 1, 0, 1}}), Errc::kOk);
        rig.stop(true);
    }
    CoreRig rig(2, 1, {}, {}, &disk);
    FrameClient& control = rig.connect_control();
    ASSERT_NE(rig.cores[0]->shard(ShardId{1}), nullptr);
    EXPECT_FALSE(rig.cores[0]->shard(ShardId{1})->facts.open);
    ASSERT_NE(rig.cores[1]->shard(ShardId{3}), nullptr);
    EXPECT_TRUE(rig.cores[1]->shard(ShardId{3})->facts.open);
    EXPECT_EQ(rig.cores[1]->shard(ShardId{3})->facts.parent, ShardId{1});
    // Busy as long as the parent, in which nothing was stored, is being forgotten.
    Errc merged = Errc::kBusy;
    for (int i = 0; i < 100 && merged == Errc::kBusy; ++i) {
        merged = reshard(rig, control, {{4, kAll, 3, 2, 0}});
        rig.turn(20);
    }
    ASSERT_EQ(merged, Errc::kOk);
    EXPECT_GE(rig.cores[0]->shard(ShardId{4})->facts.map_version, 3U);
}

// The closing is durable, the opening fails: batches are told so, and the command, repeated, goes on from there.
TEST(Reshard, ClosedParentsAreFinishedByARepeatedCommand) {
    CoreRig rig(2, 1, {true, false});
    rig.box.journal_available[1] = true;  // Asked for, and not there: opening a child there fails.
    FrameClient& control = rig.connect_control();
    ASSERT_EQ(rig.simple(control, wire::CommandOp::TakeEpoch, 1), Errc::kOk);
    {
        flatbuffers::FlatBufferBuilder builder;
        const std::vector<flatbuffers::Offset<wire::ShardInfo>> list{
            wire::CreateShardInfo(builder, 1, 0, 0, UINT64_MAX, UINT64_MAX, 0, 0, true, true, 0)};
        const auto stream = wire::CreateStreamInfo(builder, 1, builder.CreateString("ticks"), 1, 0, 0, 0, builder.CreateVector(list));
        builder.Finish(wire::CreateCommand(builder, ++rig.command_id, 1, wire::CommandOp::OpenStream, stream));
        ASSERT_EQ(rig.command(control, builder), Errc::kOk);
    }
    FrameClient& reader = rig.connect(0);
    const uint64_t subscription = reader.push(subscribe(ShardId{1}));
    EXPECT_EQ(reshard(rig, control, {{2, kLowHalf, 1, 0, 0}, {3, kHighHalf, 1, 0, 1}}), Errc::kUnavailable);
    EXPECT_FALSE(rig.cores[0]->shard(ShardId{1})->facts.open);
    FrameClient& client = rig.connect(0);
    const uint64_t sent = client.append(ShardId{1}, "k", 5, 0);
    rig.turn(60);
    EXPECT_EQ(client.code(sent), Errc::kShardClosed);
    EXPECT_EQ(reader.answer(subscription), nullptr) << "without children there is nothing to tell yet";
    // Now both on journal 0: shard 2 is open since the first attempt.
    EXPECT_EQ(reshard(rig, control, {{2, kLowHalf, 1, 0, 0}, {3, kHighHalf, 1, 0, 0}}), Errc::kOk);
    rig.turn(60);
    EXPECT_EQ(reader.code(subscription), Errc::kShardClosed);
    EXPECT_EQ(reader.last_payload, (std::vector<uint64_t>{2, 3}));
}

// A closed shard stays a whole retention after its closing, then its id means nothing any more; its child goes on.
TEST(Reshard, AClosedShardIsForgottenWhenRetentionHasTakenAllOfIt) {
    CoreRig rig(2);
    FrameClient& control = rig.connect_control();
    constexpr uint64_t kRetentionMs = 3000;
    {
        flatbuffers::FlatBufferBuilder builder;
        const std::vector<flatbuffers::Offset<wire::ShardInfo>> list{
            wire::CreateShardInfo(builder, 1, 0, 0, UINT64_MAX, UINT64_MAX, 0, 0, true, true, 1)};
        const auto stream =
            wire::CreateStreamInfo(builder, 1, builder.CreateString("ticks"), 1, kRetentionMs, 0, 0, builder.CreateVector(list));
        builder.Finish(wire::CreateCommand(builder, ++rig.command_id, 1, wire::CommandOp::OpenStream, stream));
        ASSERT_EQ(rig.command(control, builder), Errc::kOk);
    }
    FrameClient& client = rig.connect(1);
    const uint64_t sent = client.append(ShardId{1}, "k");
    rig.turn(100);
    ASSERT_EQ(client.code(sent), Errc::kOk);
    ASSERT_EQ(reshard(rig, control, {{2, kAll, 1, 0, 0}}), Errc::kOk);
    const auto live_for = [&rig](uint64_t ms) {
        for (uint64_t i = 0; i < ms / 50; ++i) {
            rig.world.advance(50'000'000);
            rig.turn(2);
        }
    };
    live_for(kRetentionMs / 2);
    ASSERT_NE(rig.cores[1]->shard(ShardId{1}), nullptr) << "too early";
    live_for(kRetentionMs * 2);
    EXPECT_EQ(rig.cores[1]->shard(ShardId{1}), nullptr);
    FrameClient& reader = rig.connect(0);
    const uint64_t gone = reader.push(subscribe(ShardId{1}));
    const uint64_t child = reader.push(subscribe(ShardId{2}, FrameKind::kRead));
    rig.turn(60);
    EXPECT_EQ(reader.code(gone), Errc::kUnknownShard);
    EXPECT_NE(reader.code(child), Errc::kUnknownShard);
    EXPECT_EQ(reshard(rig, control, {{3, kLowHalf, 2, 0, 0}, {4, kHighHalf, 2, 0, 1}}), Errc::kOk);
}

TEST(Reshard, ShardsThatWereMergedAreForgottenTogether) {
    CoreRig rig(2);
    FrameClient& control = rig.connect_control();
    constexpr uint64_t kRetentionMs = 3000;
    {
        flatbuffers::FlatBufferBuilder builder;
        const std::vector<flatbuffers::Offset<wire::ShardInfo>> list{
            wire::CreateShardInfo(builder, 1, 0, 0, kLowHalf.ending.high, kLowHalf.ending.low, 0, 0, true, true, 0),
            wire::CreateShardInfo(builder, 2, kHighHalf.starting.high, 0, UINT64_MAX, UINT64_MAX, 0, 0, true, true, 1)};
        const auto stream =
            wire::CreateStreamInfo(builder, 1, builder.CreateString("ticks"), 1, kRetentionMs, 0, 0, builder.CreateVector(list));
        builder.Finish(wire::CreateCommand(builder, ++rig.command_id, 1, wire::CommandOp::OpenStream, stream));
        ASSERT_EQ(rig.command(control, builder), Errc::kOk);
    }
    ASSERT_EQ(reshard(rig, control, {{3, kAll, 1, 2, 0}}), Errc::kOk);
    rig.turn(100);
    const auto live_for = [&rig](uint64_t ms, const std::vector<uint32_t>& cores) {
        for (uint64_t i = 0; i < ms / 50; ++i) {
            rig.world.advance(50'000'000);
            rig.turn(2, cores);
        }
    };
    // The core of one of them does not say that it is spent.
    live_for(kRetentionMs * 3, {0});
    ASSERT_NE(rig.cores[0]->shard(ShardId{1}), nullptr);
    ASSERT_NE(rig.cores[1]->shard(ShardId{2}), nullptr);
    live_for(kRetentionMs, {});
    EXPECT_EQ(rig.cores[0]->shard(ShardId{1}), nullptr);
    EXPECT_EQ(rig.cores[1]->shard(ShardId{2}), nullptr);
}

}  // namespace
}  // namespace eagre
