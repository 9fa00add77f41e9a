// Limits of a stream at work in a core: quotas, the record limit and what a change of either does to those who are connected;
// and that they outlive a restart.
#include <gtest/gtest.h>

#include "tests/unit/dataplane/core/core_rig.h"

namespace eagre {
namespace {

using frame::FrameHeader;
using frame::FrameKind;
using test::CoreRig;
using test::FrameClient;

constexpr uint64_t kSecond = 1'000'000'000;

struct Wanted {
    uint64_t map_version = 1;
    uint64_t record_bytes_max = 0;
    uint64_t quota_bytes_per_s = 0;
    uint64_t quota_records_per_s = 0;
};

Errc set_stream(CoreRig& rig, FrameClient& control, const Wanted& wanted) {
    flatbuffers::FlatBufferBuilder builder;
    const auto stream = wire::CreateStreamInfo(builder, 1, builder.CreateString("ticks"), wanted.map_version, 0, wanted.record_bytes_max,
                                               0, 0, 0, 0, wanted.quota_bytes_per_s, wanted.quota_records_per_s);
    builder.Finish(wire::CreateCommand(builder, ++rig.command_id, 1, wire::CommandOp::SetStream, stream));
    return rig.command(control, builder);
}

/// `bytes` of data under one key, as a producer at `map_version` sends it.
uint64_t append(FrameClient& client, size_t bytes, uint64_t map_version = 1) {
    const std::vector<std::byte> data(bytes, std::byte{'x'});
    frame::BatchBuilder builder;
    EXPECT_TRUE(builder.add({"key", data, {}, 0, 0}).has_value());
    FrameHeader header;
    header.kind = FrameKind::kAppend;
    header.shard = 1;
    header.sequence = map_version;
    header.record_count = 1;
    return client.push(header, builder.finish());
}

TEST(Limits, AShardsQuotaSaysHowLongToWait) {
    CoreRig rig(1);
    FrameClient& control = rig.connect_control();
    ASSERT_EQ(rig.open_stream(control, 1), Errc::kOk);
    ASSERT_EQ(set_stream(rig, control, {.quota_records_per_s = 10}), Errc::kOk);
    FrameClient& client = rig.connect(0);
    std::vector<uint64_t> sent;
    for (int i = 0; i < 13; ++i) sent.push_back(append(client, 10));
    rig.turn(60);
    for (size_t i = 0; i < 10; ++i) EXPECT_EQ(client.code(sent[i]), Errc::kOk) << i;
    // The eleventh may find what came in since the first.
    ASSERT_EQ(client.code(sent[11]), Errc::kThrottled);
    ASSERT_EQ(client.code(sent[12]), Errc::kThrottled);
    const uint64_t wait_ns = client.answer(sent[11])->detail;
    EXPECT_GT(wait_ns, 0U);
    EXPECT_LE(wait_ns, kSecond / 10);
    EXPECT_GE(rig.cores[0]->stats().errors[static_cast<size_t>(Errc::kThrottled)], 2U);
    EXPECT_EQ(rig.cores[0]->shard(ShardId{1})->stats->throttled,
              rig.cores[0]->stats().errors[static_cast<size_t>(Errc::kThrottled)]);
    rig.world.advance(wait_ns);
    const uint64_t later = append(client, 10);
    rig.turn(60);
    EXPECT_EQ(client.code(later), Errc::kOk);
    // Taken away, nobody waits.
    ASSERT_EQ(set_stream(rig, control, {}), Errc::kOk);
    for (int i = 0; i < 30; ++i) sent.push_back(append(client, 10));
    rig.turn(100);
    EXPECT_EQ(client.code(sent.back()), Errc::kOk);
}

TEST(Limits, QuotasAndRecordLimitOutliveARestart) {
    io::sim::SimDisk disk;
    for (const bool killed : {true, false}) {
        {
            CoreRig rig(1, 1, {}, {}, &disk);
            FrameClient& control = rig.connect_control();
            if (killed) {
                ASSERT_EQ(rig.open_stream(control, 1), Errc::kOk);
                ASSERT_EQ(set_stream(rig, control, {.map_version = 2, .record_bytes_max = 777, .quota_records_per_s = 5}), Errc::kOk);
            }
            rig.turn(50);
            rig.stop(killed);
        }
        CoreRig rig(1, 2, {}, {}, &disk);
        FrameClient& client = rig.connect(0);
        const uint64_t old_map = append(client, 10, 1);
        const uint64_t large = append(client, 778, 2);
        std::vector<uint64_t> sent;
        for (int i = 0; i < 7; ++i) sent.push_back(append(client, 777, 2));
        rig.turn(60);
        EXPECT_EQ(client.code(old_map), Errc::kStaleMap);
        EXPECT_EQ(client.code(large), Errc::kRecordTooLarge);
        EXPECT_EQ(client.answer(large)->detail, 777U);
        for (size_t i = 0; i < 5; ++i) EXPECT_EQ(client.code(sent[i]), Errc::kOk) << i;
        EXPECT_EQ(client.code(sent[6]), Errc::kThrottled);
        rig.stop(false);
    }
}

TEST(Limits, AnotherRecordLimitIsToldWhoIsConnected) {
    CoreRig rig(1);
    FrameClient& control = rig.connect_control();
    ASSERT_EQ(rig.open_stream(control, 1), Errc::kOk);
    FrameClient& client = rig.connect(0);
    const uint64_t too_large = append(client, kRecordDataBytesDefault + 1);
    rig.turn(60);
    EXPECT_EQ(client.code(too_large), Errc::kRecordTooLarge);
    EXPECT_EQ(client.answer(too_large)->detail, kRecordDataBytesDefault);
    ASSERT_EQ(set_stream(rig, control, {.map_version = 2, .record_bytes_max = kRecordDataBytesDefault + 1}), Errc::kOk);
    const uint64_t stale = append(client, 10, 1);
    const uint64_t fits = append(client, kRecordDataBytesDefault + 1, 2);
    rig.turn(100);
    EXPECT_EQ(client.code(stale), Errc::kStaleMap);
    EXPECT_EQ(client.answer(stale)->detail, 2U);
    EXPECT_EQ(client.code(fits), Errc::kOk);
}

TEST(Limits, ARecordLimitThatTheJournalCannotStoreIsRefused) {
    CoreRig rig(1);  // Segments of 4 MiB.
    FrameClient& control = rig.connect_control();
    ASSERT_EQ(rig.open_stream(control, 1), Errc::kOk);
    EXPECT_EQ(set_stream(rig, control, {.map_version = 2, .record_bytes_max = kRecordDataBytesMax}), Errc::kRecordTooLarge);
    FrameClient& client = rig.connect(0);
    const uint64_t sent = append(client, 10, 1);
    rig.turn(60);
    EXPECT_EQ(client.code(sent), Errc::kOk) << "nothing has changed";
}

}  // namespace
}  // namespace eagre
