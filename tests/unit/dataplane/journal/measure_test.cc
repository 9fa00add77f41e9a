// What a reader has before him: the arrival of the first unread record and the bytes behind it, near the tail and far, against the
// model of what was appended.
#include "tests/unit/dataplane/journal/journal_rig.h"

namespace eagre::journal {
namespace {

Result<Unread> measure(JournalRig& rig, uint64_t shard, uint64_t from) {
    Result<Unread> unread = Errc::kBusy;
    rig.run_until([&] {
        unread = rig.journal->measure(ShardId{shard}, SequenceNumber{from});
        return unread || unread.error().code != Errc::kBusy;
    });
    return unread;
}

/// Stored bytes and arrival by the model; a run that is read in part counts in proportion.
Unread told(JournalRig& rig, uint64_t shard, uint64_t from) {
    Unread unread;
    for (const ModelRun& run : rig.model[shard]) {
        const uint64_t end = run.first_sequence + run.record_count;
        if (end <= from) continue;
        if (unread.arrival_ns == 0) unread.arrival_ns = run.arrival_ns;
        unread.bytes += run.payload.size() * (end - std::max(from, run.first_sequence)) / run.record_count;
    }
    return unread;
}

TEST(Measure, IsExactInMemory) {
    JournalRig rig;
    ASSERT_TRUE(rig.start());
    for (uint64_t shard = 1; shard <= 2; ++shard) ASSERT_TRUE(rig.open_shard(shard));
    for (uint32_t i = 0; i < 30; ++i) ASSERT_TRUE(rig.append({.shard = 1 + i % 2, .bytes = 1024 + 8 * i}));
    ASSERT_TRUE(rig.settle());
    const uint64_t tail = rig.journal->durable_tail(ShardId{1}).value;
    ASSERT_EQ(tail, 61U);
    for (uint64_t from = 1; from < tail; ++from) {
        const auto unread = measure(rig, 1, from);
        ASSERT_TRUE(unread);
        EXPECT_EQ(unread->arrival_ns, told(rig, 1, from).arrival_ns) << from;
        EXPECT_EQ(unread->bytes, told(rig, 1, from).bytes) << from;
    }
    const auto nothing = measure(rig, 1, tail);
    ASSERT_TRUE(nothing);
    EXPECT_EQ(nothing->arrival_ns, 0U);
    EXPECT_EQ(nothing->bytes, 0U);
    EXPECT_EQ(measure(rig, 1, tail + 1).error().code, Errc::kSequenceInFuture);
    EXPECT_EQ(measure(rig, 1, 0).error().code, Errc::kSequenceTrimmed);
    EXPECT_EQ(measure(rig, 9, 1).error().code, Errc::kUnknownShard);
}

TEST(Measure, CountsOnlyWhatIsDurable) {
    JournalRig rig;
    ASSERT_TRUE(rig.start());
    ASSERT_TRUE(rig.open_shard(1));
    ASSERT_TRUE(rig.append({.shard = 1}));
    ASSERT_TRUE(rig.settle());
    ASSERT_TRUE(rig.append({.shard = 1}));
    const auto unread = measure(rig, 1, 1);
    ASSERT_TRUE(unread);
    EXPECT_EQ(unread->bytes, 1024U);
}

TEST(Measure, IsABoundFromAboveFarBehind) {
    JournalRig rig;
    ASSERT_TRUE(rig.start());
    for (uint64_t shard = 1; shard <= 4; ++shard) ASSERT_TRUE(rig.open_shard(shard));
    // Ten segments and more, four shards side by side: most of it has left memory.
    for (uint32_t i = 0; i < 700; ++i) ASSERT_TRUE(rig.append({.shard = 1 + i % 4, .bytes = 4096}));
    ASSERT_TRUE(rig.settle());
    ASSERT_GT(rig.journal->stats().segments_live, 8U);
    for (const uint64_t from : {1U, 2U, 100U, 333U, 600U}) {
        const auto unread = measure(rig, 2, from);
        ASSERT_TRUE(unread) << errc_name(unread.error().code);
        const Unread right = told(rig, 2, from);
        EXPECT_EQ(unread->arrival_ns, right.arrival_ns) << from;
        EXPECT_GE(unread->bytes, right.bytes) << from;
        EXPECT_LE(unread->bytes, right.bytes * 5) << from << ": four shards lie side by side";
    }
    // And after a restart, when nothing is in memory.
    ASSERT_TRUE(rig.journal->close());
    ASSERT_TRUE(rig.start());
    const auto unread = measure(rig, 2, 333);
    ASSERT_TRUE(unread);
    EXPECT_EQ(unread->arrival_ns, told(rig, 2, 333).arrival_ns);
    EXPECT_GE(unread->bytes, told(rig, 2, 333).bytes);
}

TEST(Measure, ManyAtOnceAllComeToAnEnd) {
    JournalRig rig;
    ASSERT_TRUE(rig.start());
    for (uint64_t shard = 1; shard <= 20; ++shard) ASSERT_TRUE(rig.open_shard(shard));
    for (uint32_t i = 0; i < 600; ++i) ASSERT_TRUE(rig.append({.shard = 1 + i % 20, .bytes = 4096}));
    ASSERT_TRUE(rig.settle());
    std::vector<bool> done(21);
    uint32_t left = 20;
    EXPECT_TRUE(rig.run_until([&] {
        for (uint64_t shard = 1; shard <= 20; ++shard) {
            if (done[shard]) continue;
            const auto unread = rig.journal->measure(ShardId{shard}, SequenceNumber{1});
            if (!unread) continue;
            EXPECT_EQ(unread->arrival_ns, told(rig, shard, 1).arrival_ns);
            done[shard] = true;
            --left;
        }
        return left == 0;
    }));
}

}  // namespace
}  // namespace eagre::journal
