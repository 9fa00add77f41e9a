// The journal as its users see it: what is appended becomes durable and is read back byte for byte,
// from memory and from the device, across segments and restarts. On a simulated disk.
#include "dataplane/journal/journal.h"

#include "tests/unit/dataplane/journal/journal_rig.h"

namespace eagre::journal {
namespace {

TEST(Journal, AppendedBecomesDurableAndIsReadBackFromMemory) {
    JournalRig rig;
    ASSERT_TRUE(rig.start());
    ASSERT_TRUE(rig.open_shard(1));
    const auto commit = rig.append({.shard = 1, .bytes = 4096});
    ASSERT_TRUE(commit);
    EXPECT_LT(rig.journal->durable(), *commit);
    EXPECT_EQ(rig.read_shard(1).runs.size(), 0U) << "only what is durable is shown";
    ASSERT_TRUE(rig.run_until([&] { return rig.journal->durable() >= *commit; }));
    const auto back = rig.read_shard(1);
    EXPECT_EQ(back.memory_count, 1U);
    rig.expect_all(1, "from memory");
    EXPECT_EQ(rig.journal->durable_tail(ShardId{1}), SequenceNumber{5});
}

TEST(Journal, OldRunsAreReadFromTheDevice) {
    JournalRig rig;
    ASSERT_TRUE(rig.start());
    for (uint64_t shard = 1; shard <= 4; ++shard) ASSERT_TRUE(rig.open_shard(shard));
    for (uint32_t i = 0; i < 400; ++i) ASSERT_TRUE(rig.append({.shard = 1 + i % 4, .bytes = 4096}));
    ASSERT_TRUE(rig.settle());
    for (uint64_t shard = 1; shard <= 4; ++shard) rig.expect_all(shard, "both");
    const auto back = rig.read_shard(2);
    EXPECT_GT(back.device_count, 0U);
    EXPECT_GT(back.memory_count, 0U);
    EXPECT_GT(rig.journal->stats().segments_live, 3U);
}

TEST(Journal, EverythingIsThereAfterACleanRestart) {
    JournalRig rig;
    ASSERT_TRUE(rig.start());
    ASSERT_TRUE(rig.open_shard(1));
    ASSERT_TRUE(rig.open_shard(2));
    for (uint32_t i = 0; i < 300; ++i)
        ASSERT_TRUE(rig.append({.shard = 1 + i % 2, .bytes = 1024 + 8 * (i % 100)}));
    ASSERT_TRUE(rig.journal->close());
    ASSERT_TRUE(rig.start());
    EXPECT_EQ(rig.journal->recovery().scanned_bytes, 0U);
    ASSERT_EQ(rig.journal->recovered_shards().size(), 2U);
    EXPECT_EQ(rig.journal->recovered_shards()[0].stream_name, "stream");
    rig.expect_all(1, "after restart");
    rig.expect_all(2, "after restart");
    ASSERT_TRUE(rig.append({.shard = 1}));
    ASSERT_TRUE(rig.settle());
    rig.expect_all(1, "written on");
}

// Nothing may conclude from a stored record that its key lies in the shard's range: the range may be another one by now.
TEST(Journal, RunsStoredUnderAnOlderRangeAreServedIndexedAndRecovered) {
    JournalRig rig;
    ASSERT_TRUE(rig.start());
    ASSERT_TRUE(rig.open_shard(1));
    for (uint32_t i = 0; i < 100; ++i) ASSERT_TRUE(rig.append({.shard = 1, .bytes = 4096}));
    ShardFacts narrow;
    narrow.shard = ShardId{1};
    narrow.stream = StreamId{7};
    narrow.stream_name = "stream";
    narrow.range = {{0, 0}, {0, 0}};
    narrow.map_version = 2;
    narrow.first_sequence = SequenceNumber{1};
    ASSERT_TRUE(rig.write_fact(narrow));
    for (uint32_t i = 0; i < 100; ++i) ASSERT_TRUE(rig.append({.shard = 1, .bytes = 4096}));
    ASSERT_TRUE(rig.settle());
    rig.expect_all(1, "under the newer range");
    for (const bool killed : {false, true}) {
        if (!killed) {
            ASSERT_TRUE(rig.journal->close());
        } else {
            rig.crash({});
        }
        ASSERT_TRUE(rig.start());
        rig.expect_all(1, killed ? "after a kill" : "after a clean restart");
        ASSERT_EQ(rig.journal->recovered_shards().size(), 1U);
        EXPECT_EQ(rig.journal->recovered_shards()[0].range.ending, (HashKey{0, 0}));
        Result<SequenceNumber> found = Errc::kBusy;
        const ModelRun& old = rig.model[1][50];
        rig.run_until([&] {
            found = rig.journal->locate_time(ShardId{1}, old.arrival_ns);
            if (!found) rig.turn();
            return found.has_value();
        });
        ASSERT_TRUE(found);
        EXPECT_EQ(found->value, old.first_sequence);
        ASSERT_TRUE(rig.append({.shard = 1}));
        ASSERT_TRUE(rig.settle());
    }
}

TEST(Journal, EverythingAcknowledgedIsThereAfterAKill) {
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        JournalRig rig(small_options(), seed);
        ASSERT_TRUE(rig.start());
        ASSERT_TRUE(rig.open_shard(1));
        ASSERT_TRUE(rig.open_shard(2));
        for (uint32_t i = 0; i < 20 * seed; ++i)
            ASSERT_TRUE(rig.append({.shard = 1 + i % 2, .bytes = 2048}));
        const uint64_t durable = rig.journal->durable().value;
        rig.crash(seed % 2 == 0 ? io::sim::CrashPlan::killed()
                                : io::sim::CrashPlan::power_lost_seeded(*rig.disk, seed));
        ASSERT_TRUE(rig.start());
        if (durable == 0) continue;
        rig.expect_prefix(1, durable, "after the kill");
        rig.expect_prefix(2, durable, "after the kill");
    }
}

TEST(Journal, RunsLargerThanACommitAndThanAReadBuffer) {
    JournalOptions options = small_options();
    options.segment_bytes = 1024 * 1024;
    options.window_bytes = 1024 * 1024;
    JournalRig rig(options);
    ASSERT_TRUE(rig.start());
    ASSERT_TRUE(rig.open_shard(1));
    for (uint32_t i = 0; i < 12; ++i)
        ASSERT_TRUE(rig.append({.shard = 1, .bytes = 300'000 + 8 * i, .record_count = 1}));
    ASSERT_TRUE(rig.settle());
    rig.expect_all(1, "large runs");
}

TEST(Journal, AbandonedRunsLeaveNothing) {
    JournalRig rig;
    ASSERT_TRUE(rig.start());
    ASSERT_TRUE(rig.open_shard(1));
    ASSERT_TRUE(rig.journal->begin_run(512));
    rig.journal->abandon_run();
    ASSERT_TRUE(rig.append({.shard = 1}));
    ASSERT_TRUE(rig.journal->begin_run(512));
    rig.journal->abandon_run();
    ASSERT_TRUE(rig.settle());
    rig.expect_all(1, "abandoned");
}

// Whatever stands in the open commit before it, whatever segment it falls into: a group lies in one commit.
TEST(Journal, AGroupOfRunsComesIntoOneCommit) {
    JournalRig rig;
    ASSERT_TRUE(rig.start());
    for (uint64_t shard = 1; shard <= 8; ++shard) ASSERT_TRUE(rig.open_shard(shard));
    Prng prng(7);
    for (int round = 0; round < 300; ++round) {
        const auto run_count = static_cast<uint32_t>(1 + prng.below(8));
        const auto run_bytes = static_cast<uint32_t>(8 * (1 + prng.below(rig.journal->group_bytes_max() / 8 / run_count)));
        if (prng.chance(500'000)) {
            ASSERT_TRUE(rig.append({.shard = 1, .bytes = static_cast<uint32_t>(8 * (1 + prng.below(2000)))}));
        }
        ASSERT_TRUE(rig.run_until([&] { return bool{rig.journal->begin_group(run_count, uint64_t{run_count} * run_bytes)}; }));
        std::set<uint64_t> commits;
        for (uint64_t shard = 1; shard <= run_count; ++shard) {
            ASSERT_TRUE(rig.append({.shard = shard, .bytes = run_bytes}));
            commits.insert(rig.journal->open_commit().value);
        }
        EXPECT_EQ(commits.size(), 1U) << "round " << round;
        if (prng.chance(300'000)) rig.turn();
    }
    ASSERT_TRUE(rig.settle());
    for (uint64_t shard = 1; shard <= 8; ++shard) rig.expect_all(shard, "groups");
}

TEST(Journal, UnknownShardAndFutureAreTypedErrors) {
    JournalRig rig;
    ASSERT_TRUE(rig.start());
    EXPECT_EQ(rig.journal->open_reader(ShardId{9}, SequenceNumber{1}).error().code,
              Errc::kUnknownShard);
    ASSERT_TRUE(rig.open_shard(1));
    EXPECT_EQ(rig.read_shard(1, 99).error, Errc::kSequenceInFuture);
    EXPECT_EQ(rig.read_shard(1, 0).error, Errc::kSequenceTrimmed);
}

TEST(Journal, AForeignBoxAndANewerFormatAreRefused) {
    JournalRig rig;
    ASSERT_TRUE(rig.start());
    ASSERT_TRUE(rig.journal->close());
    rig.options.box_id_low = 2;
    EXPECT_EQ(rig.start().error().code, Errc::kForeignBox);
}

}  // namespace
}  // namespace eagre::journal
