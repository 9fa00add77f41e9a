// A box of one or two cores, frame by frame: hand-over and its quota, routing, what control may and may not do, what happens to
// those who wait when a device fails. Cores turn only when the test says so.
#include "dataplane/core.h"

#include <gtest/gtest.h>

#include "tests/unit/dataplane/core/core_rig.h"

namespace eagre {
namespace {

using frame::FrameHeader;
using frame::FrameKind;
using test::CoreRig;
using test::FrameClient;

FrameHeader request(FrameKind kind, ShardId shard, uint64_t sequence = 0, uint64_t number = 0, uint16_t flags = 0) {
    FrameHeader header;
    header.kind = kind;
    header.shard = shard.value;
    header.sequence = sequence;
    header.number = number;
    header.flags = flags;
    return header;
}

TEST(Core, BatchForAnotherCoreIsHandedOverAndAcknowledged) {
    CoreRig rig(2);
    FrameClient& control = rig.connect_control();
    ASSERT_EQ(rig.open_stream(control, 2), Errc::kOk);
    FrameClient& client = rig.connect(0);
    const uint64_t sent = client.append(ShardId{2}, CoreRig::key_of(1, 2));
    rig.turn(60);
    ASSERT_EQ(client.code(sent), Errc::kOk);
    EXPECT_EQ(client.answer(sent)->sequence, 1U);
    EXPECT_EQ(rig.cores[0]->stats().handed_over, 1U);
    EXPECT_EQ(rig.cores[1]->stats().records_appended, 1U);
    EXPECT_EQ(rig.cores[1]->shard(ShardId{2})->durable.value, 2U);
}

TEST(Core, HandOverHasAQuotaAndAnswersHaveTheirPlace) {
    CoreRig rig(2);
    FrameClient& control = rig.connect_control();
    ASSERT_EQ(rig.open_stream(control, 2), Errc::kOk);
    FrameClient& client = rig.connect(0);
    std::vector<uint64_t> sent;
    for (uint32_t i = 0; i < kHandoverQuota + 40; ++i) sent.push_back(client.append(ShardId{2}, CoreRig::key_of(1, 2)));
    const uint64_t own = client.append(ShardId{1}, CoreRig::key_of(0, 2));
    rig.turn(100, {0});  // Core 1 stands still.
    uint32_t busy = 0;
    for (const uint64_t each : sent) busy += client.answer(each) != nullptr && client.code(each) == Errc::kBusy ? 1U : 0U;
    EXPECT_EQ(busy, 40U);
    EXPECT_EQ(client.code(own), Errc::kOk);  // Nobody else is disturbed.
    rig.turn(100);
    uint32_t stored = 0;
    for (const uint64_t each : sent) stored += client.code(each) == Errc::kOk ? 1U : 0U;
    EXPECT_EQ(stored, kHandoverQuota);
    // The places are free again.
    const uint64_t later = client.append(ShardId{2}, CoreRig::key_of(1, 2));
    rig.turn(100);
    EXPECT_EQ(client.code(later), Errc::kOk);
}

TEST(Core, SubscribersAreSentToTheOwningCore) {
    CoreRig rig(2);
    FrameClient& control = rig.connect_control();
    ASSERT_EQ(rig.open_stream(control, 2), Errc::kOk);
    FrameClient& client = rig.connect(0);
    const uint64_t wrong = client.push(request(FrameKind::kSubscribe, ShardId{2}, 1, 1 << 20));
    rig.turn(50);
    EXPECT_EQ(client.code(wrong), Errc::kNotOwner);
    EXPECT_EQ(client.answer(wrong)->detail, 5001U);
    const uint64_t unknown = client.push(request(FrameKind::kSubscribe, ShardId{9}, 1, 1 << 20));
    rig.turn(50);
    EXPECT_EQ(client.code(unknown), Errc::kUnknownShard);
}

TEST(Core, LocateIsHandedOver) {
    CoreRig rig(2);
    FrameClient& control = rig.connect_control();
    ASSERT_EQ(rig.open_stream(control, 2), Errc::kOk);
    FrameClient& client = rig.connect(0);
    client.append(ShardId{2}, CoreRig::key_of(1, 2));
    rig.turn(60);
    const auto latest = static_cast<uint16_t>(frame::Position::kLatest);
    const auto at = static_cast<uint16_t>(frame::Position::kAtSequenceNumber);
    const uint64_t tail = client.push(request(FrameKind::kLocate, ShardId{2}, 0, 0, latest));
    const uint64_t future = client.push(request(FrameKind::kLocate, ShardId{2}, 77, 0, at));
    rig.turn(60);
    EXPECT_EQ(client.answer(tail)->sequence, 2U);
    EXPECT_EQ(client.code(future), Errc::kSequenceInFuture);
    EXPECT_EQ(client.answer(future)->detail, 2U);
}

TEST(Core, BoxRoutesForThoseWhoDoNotKnowTheMap) {
    CoreRig rig(2);
    FrameClient& control = rig.connect_control();
    ASSERT_EQ(rig.open_stream(control, 4), Errc::kOk);
    FrameClient& client = rig.connect(0);
    for (uint32_t index = 0; index < 4; ++index) {
        const uint64_t sent = client.append(ShardId{1}, CoreRig::key_of(index, 4), 0, 0, frame::kAppendRouteForMe);
        rig.turn(60);
        ASSERT_EQ(client.code(sent), Errc::kOk);
        EXPECT_EQ(client.answer(sent)->shard, index + 1);
    }
    const uint64_t nowhere = client.append(ShardId{55}, "k", 0, 0, frame::kAppendRouteForMe);
    rig.turn(60);
    EXPECT_EQ(client.code(nowhere), Errc::kUnknownStream);
}

TEST(Core, ProducerThatLiesAboutTheShardIsRefused) {
    CoreRig rig(1);
    FrameClient& control = rig.connect_control();
    ASSERT_EQ(rig.open_stream(control, 2), Errc::kOk);
    FrameClient& client = rig.connect(0);
    const uint64_t lie = client.append(ShardId{1}, CoreRig::key_of(1, 2));
    rig.turn(60);
    EXPECT_EQ(client.code(lie), Errc::kWrongShard);
    EXPECT_EQ(rig.cores[0]->shard(ShardId{1})->appended.value, 1U);
}

TEST(Core, StaleMapIsToldBeforeAnythingIsStored) {
    CoreRig rig(1);
    FrameClient& control = rig.connect_control();
    ASSERT_EQ(rig.open_stream(control, 1), Errc::kOk);
    FrameClient& client = rig.connect(0);
    frame::BatchBuilder builder;
    ASSERT_TRUE(builder.add({"k", {}, {}, 0, 0}).has_value());
    FrameHeader header = request(FrameKind::kAppend, ShardId{1}, 7);
    header.record_count = 1;
    const uint64_t sent = client.push(header, builder.finish());
    rig.turn(60);
    EXPECT_EQ(client.code(sent), Errc::kStaleMap);
    EXPECT_EQ(client.answer(sent)->detail, 1U);
}

TEST(Core, RepeatedBatchGetsTheFirstAnswer) {
    CoreRig rig(1);
    FrameClient& control = rig.connect_control();
    ASSERT_EQ(rig.open_stream(control, 1), Errc::kOk);
    FrameClient& client = rig.connect(0);
    const uint64_t first = client.append(ShardId{1}, "k", 42, 0);
    const uint64_t at_once = client.append(ShardId{1}, "k", 42, 0);
    rig.turn(60);
    const uint64_t later = client.append(ShardId{1}, "k", 42, 0);
    const uint64_t skipped = client.append(ShardId{1}, "k", 42, 5);
    const uint64_t unknown = client.append(ShardId{1}, "k", 43, 5);
    rig.turn(60);
    for (const uint64_t each : {first, at_once, later}) {
        ASSERT_EQ(client.code(each), Errc::kOk);
        EXPECT_EQ(client.answer(each)->sequence, 1U);
    }
    EXPECT_EQ(client.code(skipped), Errc::kBatchOutOfOrder);
    EXPECT_EQ(client.answer(skipped)->detail, 1U);
    EXPECT_EQ(client.code(unknown), Errc::kUnknownProducer);
    EXPECT_EQ(rig.cores[0]->shard(ShardId{1})->durable.value, 2U);
}

TEST(Core, WallClockThatJumpsDoesNotMakeTheBoxForgetAProducer) {
    CoreRig rig(1);
    FrameClient& control = rig.connect_control();
    ASSERT_EQ(rig.open_stream(control, 1), Errc::kOk);
    FrameClient& client = rig.connect(0);
    const uint64_t first = client.append(ShardId{1}, "k", 42, 0);
    rig.turn(60);
    ASSERT_EQ(client.code(first), Errc::kOk);
    rig.node->jump_wall(48LL * 3600 * 1'000'000'000LL);
    rig.world.advance(3'000'000'000ULL);  // Past the next housekeeping.
    rig.turn(60);
    const uint64_t again = client.append(ShardId{1}, "k", 42, 0);
    rig.turn(60);
    ASSERT_EQ(client.code(again), Errc::kOk);
    EXPECT_EQ(client.answer(again)->sequence, 1U);
    EXPECT_EQ(rig.cores[0]->shard(ShardId{1})->durable.value, 2U);
}

TEST(Core, NothingIsAcknowledgedOrShownBeforeItIsDurable) {
    CoreRig rig(1);
    FrameClient& control = rig.connect_control();
    ASSERT_EQ(rig.open_stream(control, 1), Errc::kOk);
    FrameClient& client = rig.connect(0);
    FrameClient& reader = rig.connect(0);
    rig.turn(100);
    rig.world.faults().sync_latency_ns_min = rig.world.faults().sync_latency_ns_max = 50'000'000;
    const uint64_t subscription = reader.push(request(FrameKind::kSubscribe, ShardId{1}, 1, 1 << 20));
    const uint64_t sent = client.append(ShardId{1}, "k");
    const uint64_t appended = client.append(ShardId{1}, "k", 0, 0, static_cast<uint16_t>(frame::AckMode::kAppended));
    rig.turn(100);  // 2 ms: written, not synced.
    EXPECT_EQ(client.answer(sent), nullptr);
    EXPECT_EQ(reader.answer(subscription), nullptr);
    EXPECT_EQ(client.code(appended), Errc::kOk);  // It asked for less.
    rig.world.advance(200'000'000);
    rig.turn(100);
    EXPECT_EQ(client.code(sent), Errc::kOk);
    ASSERT_NE(reader.answer(subscription), nullptr);
    EXPECT_EQ(reader.answer(subscription)->kind, FrameKind::kDeliver);
}

TEST(Core, FailedDeviceLeavesOutcomeUnknownAndReadsGoOn) {
    CoreRig rig(2);
    FrameClient& control = rig.connect_control();
    ASSERT_EQ(rig.open_stream(control, 2), Errc::kOk);
    FrameClient& client = rig.connect(0);
    const uint64_t good = client.append(ShardId{1}, CoreRig::key_of(0, 2));
    rig.turn(200);
    ASSERT_EQ(client.code(good), Errc::kOk);
    rig.world.faults().sync_error_nth = 1;
    const uint64_t hit = client.append(ShardId{1}, CoreRig::key_of(0, 2));
    rig.turn(200);
    EXPECT_EQ(client.code(hit), Errc::kOutcomeUnknown);
    const uint64_t after = client.append(ShardId{1}, CoreRig::key_of(0, 2));
    const uint64_t neighbour = client.append(ShardId{2}, CoreRig::key_of(1, 2));
    const uint64_t read = client.push(request(FrameKind::kRead, ShardId{1}, 1, 1 << 20));
    rig.turn(200);
    EXPECT_EQ(client.code(after), Errc::kJournalFailed);
    EXPECT_EQ(client.code(neighbour), Errc::kOk);  // Another core's journal.
    EXPECT_EQ(client.answer(read)->kind, FrameKind::kReadEnd);
    EXPECT_EQ(client.answer(read)->record_count, 1U);
    EXPECT_EQ(client.answer(read)->number, 2U);
}

TEST(Core, OlderEpochIsRefusedAndCommandsRepeatSafely) {
    CoreRig rig(2);
    FrameClient& control = rig.connect_control();
    EXPECT_EQ(rig.simple(control, wire::CommandOp::TakeEpoch, 7), Errc::kOk);
    EXPECT_EQ(rig.open_stream(control, 4, 1, 1, "ticks", 6), Errc::kStaleEpoch);
    EXPECT_EQ(rig.open_stream(control, 4, 1, 1, "ticks", 7), Errc::kOk);
    EXPECT_EQ(rig.open_stream(control, 4, 1, 1, "ticks", 7), Errc::kOk);
    EXPECT_EQ(rig.simple(control, wire::CommandOp::TakeEpoch, 3), Errc::kStaleEpoch);
    EXPECT_EQ(rig.open_stream(control, 1, 2, 5, "ticks", 7), Errc::kStreamExists);
    EXPECT_EQ(rig.simple(control, wire::CommandOp::DeleteStream, 7, 1), Errc::kOk);
    EXPECT_EQ(rig.simple(control, wire::CommandOp::DeleteStream, 7, 1), Errc::kOk);
    // An old copy of the catalogue would give the same ids again.
    EXPECT_EQ(rig.open_stream(control, 4, 1, 1, "ticks", 7), Errc::kBadArgument);
    EXPECT_EQ(rig.open_stream(control, 4, 2, 3, "ticks", 7), Errc::kBadArgument);
    EXPECT_EQ(rig.open_stream(control, 4, 2, 5, "ticks", 7), Errc::kOk);
}

TEST(Core, CommandsComeByTheControlSocketOnly) {
    CoreRig rig(1);
    FrameClient& client = rig.connect(0);
    flatbuffers::FlatBufferBuilder builder;
    builder.Finish(wire::CreateCommand(builder, 1, 1, wire::CommandOp::Stop));
    std::vector<std::byte> payload((builder.GetSize() + 7) / 8 * 8);
    std::memcpy(payload.data(), builder.GetBufferPointer(), builder.GetSize());
    client.push(request(FrameKind::kCommand, {}), payload);
    rig.turn(60);
    EXPECT_EQ(client.lost, 1);
    EXPECT_FALSE(rig.box.stop.load());
}

TEST(Core, DeletedStreamEndsItsSubscriptions) {
    CoreRig rig(2);
    FrameClient& control = rig.connect_control();
    ASSERT_EQ(rig.open_stream(control, 2), Errc::kOk);
    FrameClient& client = rig.connect(1);
    const uint64_t subscription = client.push(request(FrameKind::kSubscribe, ShardId{2}, 1, 1 << 20));
    rig.turn(60);
    EXPECT_EQ(client.answer(subscription), nullptr);
    ASSERT_EQ(rig.simple(control, wire::CommandOp::DeleteStream, 1, 1), Errc::kOk);
    rig.turn(60);
    ASSERT_NE(client.answer(subscription), nullptr);
    EXPECT_EQ(client.answer(subscription)->kind, FrameKind::kDeliverEnd);
    EXPECT_EQ(client.code(subscription), Errc::kUnknownShard);
    const uint64_t sent = client.append(ShardId{2}, CoreRig::key_of(1, 2));
    rig.turn(60);
    EXPECT_EQ(client.code(sent), Errc::kUnknownShard);
}

TEST(Core, CreditBoundsWhatIsSent) {
    CoreRig rig(1);
    FrameClient& control = rig.connect_control();
    ASSERT_EQ(rig.open_stream(control, 1), Errc::kOk);
    FrameClient& client = rig.connect(0);
    for (int i = 0; i < 50; ++i) client.append(ShardId{1}, "k");
    rig.turn(200);
    FrameClient& reader = rig.connect(0);
    const uint64_t subscription = reader.push(request(FrameKind::kSubscribe, ShardId{1}, 1, 500));
    rig.turn(100);
    const size_t before = reader.frames.size();
    EXPECT_GE(before, 2U);
    EXPECT_LT(before, 10U);
    rig.turn(20);
    EXPECT_EQ(reader.frames.size(), before);
    reader.push_as(subscription, request(FrameKind::kCredit, ShardId{1}, 0, 1 << 20));
    rig.turn(100);
    EXPECT_EQ(reader.frames.size(), 50U);
    reader.push_as(subscription, request(FrameKind::kUnsubscribe, ShardId{1}));
    rig.turn(60);
    EXPECT_EQ(reader.frames.back().kind, FrameKind::kDeliverEnd);
    EXPECT_EQ(reader.code(subscription), Errc::kOk);
}

TEST(CoreCommands, DeletingForgetsWhatAFailedOpeningLeftBehind) {
    CoreRig rig(2, 1, {true, false});
    rig.box.journal_available[1] = true;  // Asked for, and not there: the opening fails on core 1 only.
    FrameClient& control = rig.connect_control();
    ASSERT_EQ(rig.simple(control, wire::CommandOp::TakeEpoch, 1), Errc::kOk);
    ASSERT_EQ(rig.open_stream(control, 2), Errc::kUnavailable);
    ASSERT_NE(rig.cores[0]->shard(ShardId{1}), nullptr);
    EXPECT_EQ(rig.simple(control, wire::CommandOp::DeleteStream, 1, 1), Errc::kOk);
    EXPECT_EQ(rig.cores[0]->shard(ShardId{1}), nullptr);
    EXPECT_EQ(rig.simple(control, wire::CommandOp::DeleteStream, 1, 1), Errc::kOk) << "a repeated command";
}

}  // namespace
}  // namespace eagre
