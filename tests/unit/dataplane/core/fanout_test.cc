// Subscriptions that share a connection: one whose frame the socket took in part holds the others up only until the frame's
// end, whether or not the socket fills up again.
#include <algorithm>

#include <gtest/gtest.h>

#include "tests/unit/dataplane/core/core_rig.h"

namespace eagre {
namespace {

using frame::FrameHeader;
using frame::FrameKind;
using test::CoreRig;
using test::FrameClient;

constexpr size_t kRecordBytes = 100'000;
constexpr uint64_t kRecordsPerShard = 12;

uint64_t append(FrameClient& client, uint64_t shard, const std::string& key) {
    const std::vector<std::byte> data(kRecordBytes, std::byte{'x'});
    frame::BatchBuilder builder;
    EXPECT_TRUE(builder.add({key, data, {}, 0, 0}).has_value());
    FrameHeader header;
    header.kind = FrameKind::kAppend;
    header.shard = shard;
    header.sequence = 1;
    header.record_count = 1;
    return client.push(header, builder.finish());
}

TEST(Fanout, AFrameCutByAFullSocketHoldsNobodyUpForEver) {
    constexpr uint32_t kShards = 4;
    CoreRig rig(1);
    FrameClient& control = rig.connect_control();
    ASSERT_EQ(rig.open_stream(control, kShards), Errc::kOk);
    FrameClient& producer = rig.connect(0);
    for (uint64_t i = 0; i < kRecordsPerShard; ++i) {
        for (uint32_t shard = 0; shard < kShards; ++shard) {
            const uint64_t sent = append(producer, shard + 1, CoreRig::key_of(shard, kShards));
            rig.turn(40);
            ASSERT_EQ(producer.code(sent), Errc::kOk);
        }
    }
    // The pipe takes a frame and a half: every delivery is cut. The reader asks for all it wants at once and never again.
    rig.world.faults().pipe_bytes_max = kRecordBytes * 3 / 2;
    FrameClient& reader = rig.connect(0);
    for (uint64_t shard = 1; shard <= kShards; ++shard) {
        FrameHeader header;
        header.kind = FrameKind::kSubscribe;
        header.shard = shard;
        header.sequence = 1;
        header.number = 64 * kMiB;
        reader.push(header);
    }
    const auto delivered = [&reader](uint64_t shard) {
        return static_cast<uint64_t>(std::count_if(reader.frames.begin(), reader.frames.end(), [shard](const FrameHeader& header) {
            return header.kind == FrameKind::kDeliver && header.shard == shard;
        }));
    };
    rig.turn(2000);
    for (uint64_t shard = 1; shard <= kShards; ++shard) EXPECT_EQ(delivered(shard), kRecordsPerShard) << shard;
    EXPECT_EQ(reader.lost, 0);
}

uint64_t subscribe(FrameClient& client, uint64_t shard, uint64_t owner) {
    FrameHeader header;
    header.kind = FrameKind::kSubscribe;
    header.shard = shard;
    header.detail = owner;
    header.sequence = 1;
    header.number = 64 * kMiB;
    return client.push(header);
}

bool ended(const FrameClient& client, uint64_t correlation, Errc code) {
    const FrameHeader* last = client.answer(correlation);
    return last != nullptr && last->kind == FrameKind::kDeliverEnd && frame::errc_of(*last) == code;
}

TEST(Fanout, AnOwnerHasOneSubscriptionAndTakesItOverWhenItIsFiveSecondsOld) {
    CoreRig rig(1);
    FrameClient& control = rig.connect_control();
    ASSERT_EQ(rig.open_stream(control, 2), Errc::kOk);
    FrameClient& one = rig.connect(0);
    FrameClient& other = rig.connect(0);
    const uint64_t first = subscribe(one, 1, 7);
    rig.turn(20);
    ASSERT_NE(one.answer(first), nullptr);
    EXPECT_EQ(one.answer(first)->kind, FrameKind::kSubscribed);
    EXPECT_EQ(one.answer(first)->sequence, 1U);
    // Another shard, another owner, nobody: none of them is in the way.
    const uint64_t beside[] = {subscribe(other, 2, 7), subscribe(other, 1, 8), subscribe(other, 1, 0), subscribe(other, 1, 0)};
    const uint64_t refused = subscribe(other, 1, 7);
    rig.turn(20);
    EXPECT_TRUE(ended(other, refused, Errc::kSubscribed));
    EXPECT_GT(other.answer(refused)->detail, fanout::kTakeOverNs / 2);
    EXPECT_LE(other.answer(refused)->detail, fanout::kTakeOverNs);
    rig.world.advance(fanout::kTakeOverNs);
    rig.turn(1);
    const uint64_t taken = subscribe(other, 1, 7);
    rig.turn(20);
    EXPECT_EQ(other.answer(taken)->kind, FrameKind::kSubscribed);
    EXPECT_TRUE(ended(one, first, Errc::kSubscriptionTaken));
    const uint64_t sent = append(one, 1, CoreRig::key_of(0, 2));
    rig.turn(40);
    EXPECT_EQ(one.code(sent), Errc::kOk);
    EXPECT_EQ(other.answer(taken)->kind, FrameKind::kDeliver);
    for (const uint64_t each : {beside[1], beside[2], beside[3]}) EXPECT_EQ(other.answer(each)->kind, FrameKind::kDeliver);
    EXPECT_EQ(other.answer(beside[0])->kind, FrameKind::kSubscribed);
    // One that was given up is in nobody's way.
    FrameHeader stop;
    stop.kind = FrameKind::kUnsubscribe;
    other.push_as(taken, stop);
    rig.turn(20);
    const uint64_t anew = subscribe(one, 1, 7);
    rig.turn(20);
    EXPECT_EQ(one.answer(anew)->kind, FrameKind::kDeliver);
}

TEST(Fanout, WhatIsTakenOverInTheMiddleOfAFrameEndsBehindIt) {
    CoreRig rig(1);
    FrameClient& control = rig.connect_control();
    ASSERT_EQ(rig.open_stream(control, 1), Errc::kOk);
    FrameClient& producer = rig.connect(0);
    const uint64_t sent = append(producer, 1, CoreRig::key_of(0, 1));
    rig.turn(40);
    ASSERT_EQ(producer.code(sent), Errc::kOk);
    rig.world.faults().pipe_bytes_max = kRecordBytes / 2;
    FrameClient& one = rig.connect(0);
    FrameClient& other = rig.connect(0);
    const uint64_t first = subscribe(one, 1, 7);
    // It reads nothing: the box turns alone.
    one.poll();
    for (int i = 0; i < 20; ++i) {
        rig.world.advance(20'000);
        rig.cores[0]->turn();
    }
    rig.world.advance(fanout::kTakeOverNs);
    const uint64_t taken = subscribe(other, 1, 7);
    rig.turn(400);
    EXPECT_EQ(other.answer(taken)->kind, FrameKind::kDeliver);
    EXPECT_TRUE(ended(one, first, Errc::kSubscriptionTaken));
    EXPECT_EQ(std::count_if(one.frames.begin(), one.frames.end(), [](const FrameHeader& header) { return header.kind == FrameKind::kDeliver; }), 1);
    EXPECT_EQ(one.lost + other.lost, 0);
}

}  // namespace
}  // namespace eagre
