// Which segments are moved: none while little is dead, whole windows of the chain when that frees a file, over nothing that must
// stay; and which stretches of a segment are read for it.
#include "dataplane/journal/clean_plan.h"

#include <memory>

#include <gtest/gtest.h>

#include "dataplane/journal/alive_map.h"
#include "wire/base/limits.h"

namespace eagre::journal {
namespace {

constexpr uint64_t kSegmentBytes = 16 * kMiB;
constexpr uint64_t kNowNs = 1'000'000'000'000;

class CleanPlanTest : public testing::Test {
  protected:
    /// Sealed segments, each with so many percent alive.
    void make(const std::vector<uint64_t>& alive_percent) {
        for (const uint64_t percent : alive_percent) {
            auto segment = std::make_unique<Segment>();
            segment->state = Segment::State::kSealed;
            segment->header.segment_number = segments_.size() + 1;
            segment->header.segment_bytes = kSegmentBytes;
            segment->trailer.footer_offset = kSegmentBytes - 8 * kPageBytes;
            segment->alive_bytes = kSegmentBytes / 100 * percent;
            chain_.push_back(segment.get());
            segments_.push_back(std::move(segment));
        }
    }
    CleanPlan choose(bool gaps_allowed = true) {
        return choose_sources({chain_, chain_.size(), gaps_allowed, kNowNs});
    }

    std::vector<std::unique_ptr<Segment>> segments_;
    std::vector<Segment*> chain_;
};

TEST_F(CleanPlanTest, FullSegmentsAreLetAlone) {
    make({98, 98, 60, 98, 98, 98});
    EXPECT_EQ(choose().count, 0U);
}

TEST_F(CleanPlanTest, OneAloneGainsNothing) {
    make({98, 5, 98});
    segments_[0]->unmovable = true;
    segments_[2]->unmovable = true;
    EXPECT_EQ(choose().count, 0U);
}

TEST_F(CleanPlanTest, TheEmptiestWindowGoesFirst) {
    make({90, 70, 90, 10, 10, 10, 10, 80});
    const CleanPlan plan = choose();
    EXPECT_EQ(plan.first, 3U);
    EXPECT_GE(plan.count, 4U);
}

TEST_F(CleanPlanTest, HalfFullOnesAreSlidTogether) {
    make({70, 70, 70, 70, 70});
    const CleanPlan plan = choose();
    EXPECT_EQ(plan.count, 2U) << "one whole, and the beginning of the next";
}

TEST_F(CleanPlanTest, NothingIsMovedOverWhatMustStay) {
    make({20, 20, 20, 20});
    segments_[1]->state = Segment::State::kUnindexed;
    segments_[2]->dies_ns = kNowNs + kWorthMovingNs / 2;
    EXPECT_EQ(choose().count, 0U);
    segments_[2]->dies_ns = UINT64_MAX;
    const CleanPlan plan = choose();
    EXPECT_EQ(plan.first, 2U);
    EXPECT_EQ(plan.count, 2U);
}

TEST_F(CleanPlanTest, AMissingNumberIsABorderWhenAHeaderCannotBeRead) {
    make({20, 20, 20, 20});
    segments_[2]->header.segment_number = 5;
    segments_[3]->header.segment_number = 7;
    EXPECT_EQ(choose().count, 4U);
    EXPECT_EQ(choose(false).count, 2U);
}

TEST_F(CleanPlanTest, SpaceIsMeasured) {
    make({50, 50});
    segments_[0]->alive_bytes = Segment::kAliveUnknown;
    segments_[0]->durable_end = kSegmentDataOffset + 1000;
    segments_[1]->unmovable = true;
    const SpaceUsed space = measure_space({chain_, 2, true, kNowNs});
    EXPECT_EQ(space.used_bytes, 2 * kSegmentBytes);
    EXPECT_EQ(space.alive_bytes, 1000 + kSegmentBytes / 100 * 50);
    EXPECT_EQ(space.damaged_count, 1U);
}

TEST(AliveMap, StretchesBeginAtRunsAndJoinAcrossGranules) {
    AliveMap map(kMiB);
    constexpr uint64_t kGranule = AliveMap::kGranuleBytes;
    map.add(5000, 6000);
    map.add(7000, 9000);
    map.add(kGranule * 3 + 800, kGranule * 5 + 100);
    AliveMap::Stretch stretch;
    ASSERT_TRUE(map.next(0, stretch));
    EXPECT_EQ(stretch.begin, 5000U);
    EXPECT_EQ(stretch.end, 9000U);
    ASSERT_TRUE(map.next(stretch.end, stretch));
    EXPECT_EQ(stretch.begin, kGranule * 3 + 800);
    EXPECT_EQ(stretch.end, kGranule * 5 + 100);
    EXPECT_FALSE(map.next(stretch.end, stretch));
    map.reset();
    EXPECT_FALSE(map.next(0, stretch));
}

}  // namespace
}  // namespace eagre::journal
