// The promise itself. A run of commits is made; after every operation submitted, completed or
// reaped, the machine loses power and any subset of the unsynced 512-byte sectors survives (all
// subsets up to 12 sectors, seeded ones beyond). Then: recover, compare with what was acknowledged,
// write on, crash again, recover again. Or the process is killed and its late writes land at every
// moment after recovery began.
#include <algorithm>
#include <set>
#include <utility>

#include "tests/unit/dataplane/journal/journal_rig.h"

namespace eagre::journal {
namespace {

using io::sim::CrashPlan;
using io::sim::SimDisk;

constexpr size_t kExhaustiveSectorsMax = 12;
constexpr uint64_t kSeededPlans = 24;

JournalOptions tiny_options() {
    JournalOptions options = small_options();
    options.segment_bytes = 96 * 1024;
    options.window_bytes = 128 * 1024;
    options.commit_bytes_max = 4096;
    options.ready_segment_count = 1;
    options.read_buffer_bytes = 16 * 1024;
    return options;
}

/// Nothing acknowledged lost, nothing torn, nothing invented, order kept: what is there is what was
/// appended, up to a commit.
void expect_promise(JournalRig& rig, uint64_t durable, const std::string& when) {
    uint64_t present_max = 0;
    uint64_t absent_min = UINT64_MAX;
    for (const auto& [shard, runs] : rig.model) {
        const uint64_t tail = rig.journal->durable_tail(ShardId{shard}).value;
        for (const ModelRun& run : runs) {
            if (run.commit == 0) continue;
            if (run.first_sequence < tail) {
                present_max = std::max(present_max, run.commit);
            } else {
                absent_min = std::min(absent_min, run.commit);
            }
        }
        rig.expect_prefix(shard, durable, when.c_str());
    }
    EXPECT_LT(present_max, absent_min) << when << ": a commit was taken in part";
}

/// A second life on `image`, with everything the first one was told.
class SecondLife {
  public:
    SecondLife(const JournalRig& first, std::unique_ptr<SimDisk> image, uint64_t seed)
        : rig_(first.options, seed), seed_(seed) {
        rig_.disk = std::move(image);
        rig_.model = first.model;
        rig_.next_sequence = first.next_sequence;
        rig_.arrival_ns = first.arrival_ns;
    }
    JournalRig& rig() { return rig_; }

    void recover_and_go_on(uint64_t durable, const std::string& when) {
        ASSERT_TRUE(rig_.start()) << when;
        expect_promise(rig_, durable, when);
        if (testing::Test::HasFailure()) return;
        rig_.adopt_recovered();
        for (uint32_t i = 0; i < 3; ++i) {
            for (const auto& [shard, runs] : rig_.model) {
                ASSERT_TRUE(rig_.append({.shard = shard, .bytes = 512 + 8 * i, .record_count = 2}))
                    << when;
            }
            if (i == 1) {
                ASSERT_TRUE(rig_.settle()) << when;
            }
        }
        for (uint64_t i = seed_ % 7; i > 0; --i) rig_.turn();
        const uint64_t durable_again = rig_.journal->durable().value;
        rig_.crash(CrashPlan::power_lost_seeded(*rig_.disk, seed_));
        ASSERT_TRUE(rig_.start()) << when;
        expect_promise(rig_, durable_again, when + ", and again");
    }

  private:
    JournalRig rig_;
    uint64_t seed_;
};

/// Crashes everywhere while `workload` runs.
class CrashEverywhere {
  public:
    explicit CrashEverywhere(JournalRig& rig) : rig_(rig) {
        rig_.disk->on_change([this] { crash_here(); });
    }
    ~CrashEverywhere() { rig_.disk->on_change({}); }
    uint64_t crash_count() const { return crash_count_; }
    uint64_t point_count() const { return point_count_; }

  private:
    void crash_here() {
        if (rig_.journal == nullptr || testing::Test::HasFailure()) return;
        // A step that changes neither what may be lost nor what was acknowledged leaves the same
        // images.
        const uint64_t durable = rig_.journal->durable().value;
        Seen seen{durable, {}};
        for (const auto& sector : rig_.disk->unsynced_sectors()) {
            seen.second.emplace(sector.path + "/" + std::to_string(sector.write_id),
                                sector.offset_bytes);
        }
        if (seen == seen_) return;
        seen_ = std::move(seen);
        ++point_count_;
        const size_t sectors = rig_.disk->unsynced_sectors().size();
        if (sectors <= kExhaustiveSectorsMax) {
            for (uint64_t mask = 0; mask < (1ULL << sectors); ++mask)
                crash_with(CrashPlan::power_lost(mask), durable, mask);
        } else {
            for (uint64_t i = 0; i < kSeededPlans; ++i) {
                const uint64_t seed = point_count_ * 1000 + i;
                crash_with(CrashPlan::power_lost_seeded(*rig_.disk, seed), durable, seed);
            }
        }
    }
    void crash_with(const CrashPlan& plan, uint64_t durable, uint64_t what) {
        if (testing::Test::HasFailure()) return;
        ++crash_count_;
        SecondLife second(rig_, rig_.disk->image_after(plan), crash_count_);
        second.recover_and_go_on(durable, "point " + std::to_string(point_count_) + ", survivors " +
                                              std::to_string(what));
    }

    using Seen = std::pair<uint64_t, std::set<std::pair<std::string, uint64_t>>>;
    JournalRig& rig_;
    Seen seen_;
    uint64_t crash_count_ = 0;
    uint64_t point_count_ = 0;
};

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
