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

}  // namespace
}  // namespace eagre
