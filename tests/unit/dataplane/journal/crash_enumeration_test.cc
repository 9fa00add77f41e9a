// The promise itself. A run of commits is made; after every operation submitted, completed or
// reaped, the machine loses power and any subset of the unsynced 512-byte sectors survives (all
// subsets up to 12 sectors, seeded ones beyond). Then: recover, compare with what was acknowledged,
// write on, crash again, recover again. Or the process is killed and its late writes land at every
// moment after recovery began.
#include "tests/unit/dataplane/journal/crash_everywhere.h"

namespace eagre::journal {
namespace {

using io::sim::CrashPlan;
using io::sim::SimDisk;

JournalOptions tiny_options() {
    JournalOptions options = small_options();
    options.segment_bytes = 96 * 1024;
    options.window_bytes = 128 * 1024;
    options.commit_bytes_max = 4096;
    options.ready_segment_count = 1;
    options.read_buffer_bytes = 16 * 1024;
    return options;
}

TEST(CrashEnumeration, EverySubsetOfUnsyncedSectorsKeepsThePromise) {
    JournalRig rig(tiny_options());
    ASSERT_TRUE(rig.start());
    ASSERT_TRUE(rig.open_shard(1));
    ASSERT_TRUE(rig.open_shard(2));
    ASSERT_TRUE(rig.settle());
    CrashEverywhere everywhere(rig);
    // One at a time (the tail block is rewritten), then several under way.
    for (uint32_t i = 0; i < 4; ++i) {
        ASSERT_TRUE(rig.append({.shard = 1 + i % 2, .bytes = 200 + 8 * i, .record_count = 1}));
        ASSERT_TRUE(rig.settle());
        if (HasFailure()) return;
    }
    for (uint32_t i = 0; i < 5; ++i) {
        ASSERT_TRUE(rig.append({.shard = 1 + i % 2, .bytes = 1200, .record_count = 3}));
        rig.turn();
        if (HasFailure()) return;
    }
    ASSERT_TRUE(rig.settle());
    EXPECT_GT(everywhere.point_count(), 12U);
    EXPECT_GT(everywhere.crash_count(), 1000U);
    RecordProperty("crashes", std::to_string(everywhere.crash_count()));
}

TEST(CrashEnumeration, CrashesAcrossAChangeOfSegment) {
    JournalRig rig(tiny_options(), 3);
    ASSERT_TRUE(rig.start());
    ASSERT_TRUE(rig.open_shard(1));
    ASSERT_TRUE(rig.open_shard(2));
    // Fill the first segment, then look closely at what happens around its end.
    while (rig.journal->stats().journal_bytes < 60 * 1024) {
        ASSERT_TRUE(rig.append({.shard = 1, .bytes = 4096}));
    }
    ASSERT_TRUE(rig.settle());
    CrashEverywhere everywhere(rig);
    for (uint32_t i = 0; i < 16 && !HasFailure(); ++i) {
        ASSERT_TRUE(rig.append({.shard = 1 + i % 2, .bytes = 2048}));
        rig.turn();
    }
    ASSERT_TRUE(rig.settle());
    EXPECT_GE(rig.journal->stats().segments_live, 2U);
    EXPECT_GT(everywhere.crash_count(), 500U);
}

TEST(CrashEnumeration, LateWritesOfADeadProcessStayInvisible) {
    uint64_t late_count = 0;
    for (uint64_t seed = 1; seed <= 60 && !HasFailure(); ++seed) {
        JournalRig rig(tiny_options(), seed);
        ASSERT_TRUE(rig.start());
        ASSERT_TRUE(rig.open_shard(1));
        ASSERT_TRUE(rig.open_shard(2));
        ASSERT_TRUE(rig.settle());
        for (uint32_t i = 0; i < 10 + seed; ++i) {
            ASSERT_TRUE(
                rig.append({.shard = 1 + i % 2, .bytes = 1024 + 8 * static_cast<uint32_t>(seed)}));
            if (i % 3 == 0) rig.turn();
        }
        const uint64_t durable = rig.journal->durable().value;
        for (const uint64_t moment : {0U, 3U, 10U, 30U, 60U, 100U, 200U}) {
            SecondLife second(rig, rig.disk->image_after(CrashPlan::killed(true)),
                              seed * 1000 + moment);
            SimDisk& disk = *second.rig().disk;
            late_count += disk.late_write_count();
            uint64_t changes = 0;
            disk.on_change([&] {
                if (++changes == moment + 1) disk.land_late_writes();
            });
            second.recover_and_go_on(
                durable, "seed " + std::to_string(seed) + ", moment " + std::to_string(moment));
            disk.on_change({});
        }
    }
    EXPECT_GT(late_count, 50U) << "the test did not test";
}

TEST(CrashEnumeration, CrashesDuringRecoveryAndAgain) {
    for (uint64_t seed = 1; seed <= 12 && !HasFailure(); ++seed) {
        JournalRig rig(tiny_options(), seed);
        ASSERT_TRUE(rig.start());
        ASSERT_TRUE(rig.open_shard(1));
        ASSERT_TRUE(rig.settle());
        const uint32_t count = seed % 2 == 0 ? 4 : 25;  // A tail that is moved, and one that stays.
        for (uint32_t i = 0; i < count; ++i) {
            ASSERT_TRUE(rig.append({.shard = 1, .bytes = 1024}));
            if (i % 2 == 0) rig.turn();
        }
        const uint64_t durable = rig.journal->durable().value;
        SecondLife second(rig, rig.disk->image_after(CrashPlan::power_lost_seeded(*rig.disk, seed)),
                          seed);
        // At every change that recovery makes, a third life begins on what a crash would leave.
        SimDisk& disk = *second.rig().disk;
        uint64_t changes = 0;
        disk.on_change([&] {
            if (HasFailure() || ++changes % 2 != 0 || second.rig().journal != nullptr) return;
            const uint64_t plan_seed = seed * 10'000 + changes;
            SecondLife third(rig, disk.image_after(CrashPlan::power_lost_seeded(disk, plan_seed)),
                             plan_seed);
            third.recover_and_go_on(
                durable, "seed " + std::to_string(seed) + ", change " + std::to_string(changes));
        });
        ASSERT_TRUE(second.rig().start());
        EXPECT_GT(changes, 10U);
        disk.on_change({});
    }
}

}  // namespace
}  // namespace eagre::journal
