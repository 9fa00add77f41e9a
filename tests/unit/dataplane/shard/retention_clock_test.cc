// Retention's clock never runs faster than monotonic time; a jump found at start waits for the operator.
#include "dataplane/shard/retention_clock.h"

#include <gtest/gtest.h>

namespace eagre::shard {
namespace {

constexpr uint64_t kHour = 3600ULL * 1'000'000'000ULL;

TEST(RetentionClock, WallClockThatJumpsAheadGainsNothing) {
    RetentionClock clock(1000 * kHour, 1000 * kHour, 0);
    EXPECT_EQ(clock.advance(1001 * kHour, kHour), 1001 * kHour);
    EXPECT_EQ(clock.advance(9999 * kHour, 2 * kHour), 1002 * kHour);
}

TEST(RetentionClock, WallClockThatFallsBackHoldsIt) {
    RetentionClock clock(1000 * kHour, 1000 * kHour, 0);
    EXPECT_EQ(clock.advance(900 * kHour, kHour), 1000 * kHour);
    EXPECT_EQ(clock.advance(1000 * kHour + 5, 2 * kHour), 1000 * kHour + 5);
}

TEST(RetentionClock, JumpAtStartWaitsForTheOperator) {
    RetentionClock clock(1000 * kHour, 1000 * kHour + kClockJumpNsMax + 1, 0);
    EXPECT_TRUE(clock.waits());
    EXPECT_EQ(clock.advance(2000 * kHour, kHour), 1000 * kHour);
    clock.accept(2000 * kHour);
    EXPECT_FALSE(clock.waits());
    EXPECT_EQ(clock.advance(2001 * kHour, 2 * kHour), 2001 * kHour);
}

TEST(RetentionClock, AnEmptyBoxDoesNotWait) { EXPECT_FALSE(RetentionClock(0, 1000 * kHour, 0).waits()); }

}  // namespace
}  // namespace eagre::shard
