#pragma once
// Crashes at every change of a disk, and what must hold in the life after.

#include <algorithm>
#include <functional>
#include <set>
#include <string>
#include <utility>

#include "tests/unit/dataplane/journal/journal_rig.h"

namespace eagre::journal {

/// Nothing acknowledged lost, nothing torn, nothing invented, order kept: what is there is what was
/// appended, up to a commit.
inline void expect_promise(JournalRig& rig, uint64_t durable, const std::string& when) {
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
    SecondLife(const JournalRig& first, std::unique_ptr<io::sim::SimDisk> image, uint64_t seed)
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
        rig_.crash(io::sim::CrashPlan::power_lost_seeded(*rig_.disk, seed_));
        ASSERT_TRUE(rig_.start()) << when;
        expect_promise(rig_, durable_again, when + ", and again");
        if (afterwards && !testing::Test::HasFailure()) afterwards(rig_);
    }
    std::function<void(JournalRig&)> afterwards;

  private:
    JournalRig rig_;
    uint64_t seed_;
};

/// Crashes everywhere while `workload` runs.
class CrashEverywhere {
  public:
    struct Plans {
        size_t exhaustive_sectors_max = 12;  // All subsets of so many, seeded ones beyond.
        uint64_t seeded_count = 24;
        std::function<void(JournalRig&)> afterwards = {};  // With the second life, when it has been found good.
    };
    explicit CrashEverywhere(JournalRig& rig) : CrashEverywhere(rig, Plans()) {}
    CrashEverywhere(JournalRig& rig, Plans plans) : rig_(rig), plans_(std::move(plans)) {
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
        if (sectors <= plans_.exhaustive_sectors_max) {
            for (uint64_t mask = 0; mask < (1ULL << sectors); ++mask)
                crash_with(io::sim::CrashPlan::power_lost(mask), durable, mask);
        } else {
            for (uint64_t i = 0; i < plans_.seeded_count; ++i) {
                const uint64_t seed = point_count_ * 1000 + i;
                crash_with(io::sim::CrashPlan::power_lost_seeded(*rig_.disk, seed), durable, seed);
            }
        }
    }
    void crash_with(const io::sim::CrashPlan& plan, uint64_t durable, uint64_t what) {
        if (testing::Test::HasFailure()) return;
        ++crash_count_;
        SecondLife second(rig_, rig_.disk->image_after(plan), crash_count_);
        if (plans_.afterwards) second.afterwards = plans_.afterwards;
        second.recover_and_go_on(durable, "point " + std::to_string(point_count_) + ", survivors " +
                                              std::to_string(what));
    }

    using Seen = std::pair<uint64_t, std::set<std::pair<std::string, uint64_t>>>;
    JournalRig& rig_;
    Plans plans_;
    Seen seen_;
    uint64_t crash_count_ = 0;
    uint64_t point_count_ = 0;
};

}  // namespace eagre::journal
