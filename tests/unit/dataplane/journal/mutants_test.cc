// Each protection that a mutant switches off is one that this suite would miss: with it the same
// history keeps the promise, without it the promise breaks.
#include <algorithm>

#include "tests/unit/dataplane/journal/cleaner_rig.h"

namespace eagre::journal {
namespace {

using io::sim::CrashPlan;

JournalOptions with(bool Mutants::*mutant) {
    JournalOptions options = small_options();
    if (mutant != nullptr) options.mutants.*mutant = true;
    return options;
}

/// Acknowledged runs that are gone after the loss of everything that was not synced.
uint64_t lost_after_power_loss(bool Mutants::*mutant) {
    uint64_t lost = 0;
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        JournalRig rig(with(mutant), seed);
        EXPECT_TRUE(rig.start());
        EXPECT_TRUE(rig.open_shard(1));
        EXPECT_TRUE(rig.settle());
        for (uint64_t i = 0; i < 3 + seed; ++i) {
            const auto commit = rig.append({.shard = 1});
            EXPECT_TRUE(commit);
            EXPECT_TRUE(rig.run_until([&] { return rig.journal->durable() >= *commit; }));
        }
        const uint64_t tail = rig.journal->durable_tail(ShardId{1}).value;
        rig.crash(CrashPlan::power_lost());
        rig.options.mutants = {};
        EXPECT_TRUE(rig.start());
        if (rig.journal->durable_tail(ShardId{1}).value < tail) ++lost;
    }
    return lost;
}

TEST(JournalMutants, AcknowledgingBeforeTheSyncLoses) {
    EXPECT_EQ(lost_after_power_loss(nullptr), 0U);
    EXPECT_GT(lost_after_power_loss(&Mutants::ack_before_sync), 0U);
}

TEST(JournalMutants, SkippingASyncLoses) {
    EXPECT_GT(lost_after_power_loss(&Mutants::skip_one_sync), 0U);
}

/// Runs that are served with other bytes than were appended, after one bit of rot.
uint64_t rotten_served(bool Mutants::*mutant) {
    JournalRig rig(with(mutant));
    EXPECT_TRUE(rig.start());
    EXPECT_TRUE(rig.open_shard(1));
    for (uint32_t i = 0; i < 100; ++i) EXPECT_TRUE(rig.append({.shard = 1, .bytes = 2048}));
    EXPECT_TRUE(rig.journal->close());
    rig.stop();
    const auto& victim = rig.model[1][5].payload;
    for (const std::string& name : rig.disk->list("journal-0000")) {
        const std::string path = "journal-0000/" + name;
        const auto file = rig.disk->find(path);
        std::vector<std::byte> bytes(file->size_bytes);
        file->current.read(0, bytes);
        const auto at = std::search(bytes.begin(), bytes.end(), victim.begin(), victim.end());
        if (at == bytes.end()) continue;
        EXPECT_TRUE(rig.disk->corrupt(path, static_cast<uint64_t>(at - bytes.begin()) + 7, 0x10));
    }
    EXPECT_TRUE(rig.start());
    uint64_t rotten = 0;
    for (const ModelRun& run : rig.read_shard(1).runs) {
        if (run.payload != payload_of(1, run.first_sequence, 2048)) ++rotten;
    }
    return rotten;
}

TEST(JournalMutants, IgnoringARunsCrcServesRot) {
    EXPECT_EQ(rotten_served(nullptr), 0U);
    EXPECT_EQ(rotten_served(&Mutants::ignore_run_crc), 1U);
}

/// Histories in which late writes of a killed process destroy what the next one acknowledged.
uint64_t destroyed_by_late_writes(bool Mutants::*mutant) {
    uint64_t destroyed = 0;
    for (uint64_t seed = 1; seed <= 40; ++seed) {
        JournalRig rig(with(mutant), seed);
        EXPECT_TRUE(rig.start());
        EXPECT_TRUE(rig.open_shard(1));
        for (uint32_t i = 0; i < 40; ++i) EXPECT_TRUE(rig.append({.shard = 1}));
        EXPECT_TRUE(rig.settle());
        EXPECT_TRUE(rig.append({.shard = 1, .bytes = 4096}));
        rig.turn();
        rig.turn();
        rig.crash(CrashPlan::killed(true));
        EXPECT_TRUE(rig.start());
        rig.adopt_recovered();
        for (uint32_t i = 0; i < 3; ++i) EXPECT_TRUE(rig.append({.shard = 1, .bytes = 1008}));
        EXPECT_TRUE(rig.settle());
        const uint64_t tail = rig.journal->durable_tail(ShardId{1}).value;
        rig.disk->land_late_writes();
        rig.crash(CrashPlan::killed());
        rig.options.mutants = {};
        EXPECT_TRUE(rig.start());
        if (rig.journal->durable_tail(ShardId{1}).value != tail) ++destroyed;
    }
    return destroyed;
}

TEST(JournalMutants, AppendingToTheOldTailIsDestroyedByLateWrites) {
    EXPECT_EQ(destroyed_by_late_writes(nullptr), 0U);
    EXPECT_GT(destroyed_by_late_writes(&Mutants::append_to_old_tail), 0U);
}

/// Histories in which the loss of power while the cleaner works takes what was moved.
uint64_t lost_while_cleaning(bool Mutants::*mutant) {
    uint64_t lost = 0;
    for (uint64_t seed = 1; seed <= 12; ++seed) {
        JournalOptions options = cleaner_options();
        if (mutant != nullptr) options.mutants.*mutant = true;
        CleanerRig rig(options, seed);
        rig.open_both();
        rig.fill(400, 8);
        rig.delete_shard(kShort);
        for (uint64_t i = 0; i < 2 && rig.journal->stats().relocated_bytes == 0; ++i) rig.clean_once();
        rig.clean_once();
        rig.crash(CrashPlan::power_lost());
        rig.options.mutants = {};
        EXPECT_TRUE(rig.start());
        if (rig.read_shard(kLong).runs.size() != rig.model[kLong].size()) ++lost;
    }
    return lost;
}

TEST(JournalMutants, RecyclingBeforeTheCopiesAreDurableLoses) {
    EXPECT_EQ(lost_while_cleaning(nullptr), 0U);
    EXPECT_GT(lost_while_cleaning(&Mutants::recycle_before_sync), 0U);
}

}  // namespace
}  // namespace eagre::journal
