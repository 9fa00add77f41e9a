// Nothing may conclude from a stored record that its key lies in the shard's range. Records get there by an explicit hash key,
// by a producer that one sampled record did not give away, or under a map that is no longer the current one: whatever their
// keys say, they are acknowledged, delivered, found by time, answered when repeated, and there after a restart.
#include <gtest/gtest.h>

#include "dataplane/core.h"
#include "tests/unit/dataplane/core/core_rig.h"

namespace eagre {
namespace {

using frame::FrameHeader;
using frame::FrameKind;
using test::CoreRig;
using test::FrameClient;

constexpr uint32_t kShardCount = 4;
constexpr uint64_t kProducer = 9;

/// A batch for shard 1 whose keys fall in the last shard; `explicit_hash`: but for what the records say themselves.
uint64_t append_foreign(FrameClient& client, uint64_t number, bool explicit_hash) {
    frame::BatchBuilder builder;
    const std::string foreign = CoreRig::key_of(kShardCount - 1, kShardCount);
    const std::string own = CoreRig::key_of(0, kShardCount);
    for (const std::string& key : {explicit_hash ? foreign : own, foreign}) {
        frame::RecordView record;
        record.partition_key = key;
        record.data = std::as_bytes(std::span("data", 4));
        if (explicit_hash) record.explicit_hash = HashKey{1, 2};
        EXPECT_TRUE(builder.add(record).has_value());
    }
    FrameHeader header;
    header.kind = FrameKind::kAppend;
    header.shard = 1;
    header.detail = kProducer;
    header.number = number;
    header.sequence = 1;
    header.record_count = 2;
    return client.push(header, builder.finish());
}

struct Stored {
    uint64_t batches = 0;      // Of kProducer.
    uint64_t by_sampling = 0;  // Of these, with a key that has no business there.
};

Stored store(CoreRig& rig, FrameClient& client) {
    Stored stored;
    for (int i = 0; i < 40; ++i) {
        const bool explicit_hash = i % 2 == 0;
        const uint64_t sent = append_foreign(client, stored.batches, explicit_hash);
        rig.turn(40);
        if (client.code(sent) == Errc::kWrongShard && !explicit_hash) continue;  // The sample gave it away.
        EXPECT_EQ(client.code(sent), Errc::kOk);
        EXPECT_EQ(client.answer(sent)->sequence, 1 + 2 * stored.batches);
        ++stored.batches;
        stored.by_sampling += explicit_hash ? 0U : 1U;
    }
    EXPECT_GT(stored.by_sampling, 3U);
    return stored;
}

void expect_served(CoreRig& rig, const Stored& stored) {
    FrameClient& reader = rig.connect(0);
    FrameHeader read;
    read.kind = FrameKind::kRead;
    read.shard = 1;
    read.sequence = 1;
    read.number = 1 << 20U;
    const uint64_t whole = reader.push(read);
    rig.turn(100);
    ASSERT_EQ(reader.code(whole), Errc::kOk);
    EXPECT_EQ(reader.answer(whole)->kind, FrameKind::kReadEnd);
    uint64_t next = 1;
    uint64_t middle_ns = 0;
    for (const FrameHeader& delivery : reader.frames) {
        if (delivery.kind != FrameKind::kDeliver) continue;
        EXPECT_EQ(delivery.sequence, next);
        next += delivery.record_count;
        if (delivery.sequence == 11) middle_ns = delivery.detail;
    }
    EXPECT_EQ(next, 1 + 2 * stored.batches);

    FrameHeader locate;
    locate.kind = FrameKind::kLocate;
    locate.flags = static_cast<uint16_t>(frame::Position::kAtTimestamp);
    locate.shard = 1;
    locate.sequence = middle_ns;
    const uint64_t located = reader.push(locate);
    rig.turn(100);
    ASSERT_EQ(reader.code(located), Errc::kOk);
    EXPECT_EQ(reader.answer(located)->sequence, 11U);
}

TEST(ForeignKeys, AreServedIndexedAndRecoveredLikeAnyOther) {
    CoreRig first(1);
    ASSERT_EQ(first.open_stream(first.connect_control(), kShardCount), Errc::kOk);
    FrameClient& client = first.connect(0);
    const Stored stored = store(first, client);
    expect_served(first, stored);
    first.stop(true);

    CoreRig second(1, 2, {}, {}, &first.disk);
    expect_served(second, stored);
    FrameClient& after = second.connect(0);
    const uint64_t more = append_foreign(after, stored.batches, true);
    second.turn(60);
    ASSERT_EQ(after.code(more), Errc::kOk);
    EXPECT_EQ(after.answer(more)->sequence, 1 + 2 * stored.batches);
    // Repeated: the first answer.
    const uint64_t again = append_foreign(after, stored.batches, true);
    second.turn(60);
    ASSERT_EQ(after.code(again), Errc::kOk);
    EXPECT_EQ(after.answer(again)->sequence, 1 + 2 * stored.batches);
    EXPECT_EQ(second.cores[0]->stats().batches_repeated, 1U);
}

}  // namespace
}  // namespace eagre
