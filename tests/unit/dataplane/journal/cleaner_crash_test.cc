// Power fails at every change of the disk while the cleaner works, and any subset of the unsynced sectors survives: what is
// alive is there once, from the sources or from the copies, and the next life cleans on. Or the process is killed, and its
// writes land late.
#include "tests/unit/dataplane/journal/cleaner_rig.h"
#include "tests/unit/dataplane/journal/crash_everywhere.h"

namespace eagre::journal {
namespace {

using io::sim::CrashPlan;

JournalOptions tiny_cleaner_options() {
    JournalOptions options = cleaner_options();
    options.segment_bytes = 96 * 1024;
    options.window_bytes = 128 * 1024;
    options.commit_bytes_max = 8192;
    options.read_buffer_bytes = 16 * 1024;
    return options;
}

/// Mostly dead: what stays is spread thin, and fills two segments.
void prepare(CleanerRig& rig) {
    rig.open_both();
    ASSERT_TRUE(rig.open_shard(3));
    for (uint32_t i = 0; i < 330; ++i) {
        const uint64_t shard = i % 6 == 0 ? kLong : i % 6 == 3 ? 3 : kShort;
        ASSERT_TRUE(rig.append({.shard = shard, .bytes = 1800 + 8 * (i % 9), .record_count = 2}));
    }
    ASSERT_TRUE(rig.settle());
    rig.delete_shard(kShort);
}

void clean_and_read(JournalRig& rig) {
    uint64_t retain_ns = 1'700'000'100'000'000'000;
    for (uint32_t i = 0; i < 3; ++i) {
        retain_ns += kRetainStepNs;
        rig.journal->retain(retain_ns);
        for (uint32_t t = 0; t < 120; ++t) {
            rig.turn();
            rig.world.advance(2'000'000);
        }
    }
    for (const uint64_t shard : {kLong, uint64_t{3}}) {
        const auto back = rig.read_shard(shard);
        ASSERT_EQ(back.error, Errc::kOk);
        ASSERT_EQ(back.damaged_count, 0U);
        ASSERT_EQ(back.runs.back().first_sequence + back.runs.back().record_count,
                  rig.journal->durable_tail(ShardId{shard}).value);
    }
}

TEST(CleanerCrash, AtEveryChangeOfTheDisk) {
    CleanerRig rig(tiny_cleaner_options());
    prepare(rig);
    uint64_t cleaned_count = 0;
    CrashEverywhere everywhere(rig, {.exhaustive_sectors_max = 5, .seeded_count = 40, .afterwards = [&](JournalRig& second) {
        if (++cleaned_count % 4 == 0) clean_and_read(second);
    }});
    const uint64_t recycled = rig.journal->stats().segments_recycled;
    for (uint32_t i = 0; i < 5 && !HasFailure(); ++i) rig.clean_once();
    EXPECT_GT(rig.journal->stats().relocated_bytes, 100'000U);
    EXPECT_GT(rig.journal->stats().segments_recycled, recycled + 3);
    EXPECT_GT(everywhere.crash_count(), 400U);
    RecordProperty("crashes", std::to_string(everywhere.crash_count()));
}

TEST(CleanerCrash, LateWritesOfADeadProcessStayInvisible) {
    uint64_t late_count = 0;
    for (uint64_t seed = 1; seed <= 40 && !HasFailure(); ++seed) {
        CleanerRig rig(tiny_cleaner_options(), seed);
        prepare(rig);
        // Somewhere in the middle of it.
        rig.retain_ns += kRetainStepNs;
        rig.journal->retain(rig.retain_ns);
        uint64_t changes = 0;
        rig.disk->on_change([&] { ++changes; });
        for (uint32_t turn = 0; turn < 20'000 && changes < 10 + seed * 2; ++turn) {
            rig.turn();
            rig.world.advance(100'000);
        }
        rig.disk->on_change({});
        ASSERT_GE(changes, 10 + seed * 2) << "there was not enough to do";
        const uint64_t durable = rig.journal->durable().value;
        for (const uint64_t moment : {0U, 5U, 20U, 60U}) {
            SecondLife second(rig, rig.disk->image_after(CrashPlan::killed(true)), seed * 1000 + moment);
            io::sim::SimDisk& disk = *second.rig().disk;
            late_count += disk.late_write_count();
            uint64_t second_changes = 0;
            disk.on_change([&] {
                if (++second_changes == moment + 1) disk.land_late_writes();
            });
            second.recover_and_go_on(durable, "seed " + std::to_string(seed) + ", moment " + std::to_string(moment));
            disk.on_change({});
        }
    }
    EXPECT_GT(late_count, 10U) << "the test did not test";
}

}  // namespace
}  // namespace eagre::journal
