// The token bucket of a shard by itself, with a clock that the test moves: what it lets through in the long run, what may be
// saved up, and how long it says to wait.
#include "dataplane/shard/quota.h"

#include <gtest/gtest.h>

namespace eagre::shard {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint64_t kStart = 100 * kSecond;

TEST(Quota, WithoutLimitsNobodyWaits) {
    Quota quota;
    EXPECT_FALSE(quota.limited());
    quota.take(1 << 30, 1 << 20, kStart);
    EXPECT_EQ(quota.wait_ns(kStart), 0U);
}

TEST(Quota, ASecondsWorthIsSavedAndNoMore) {
    Quota quota;
    quota.set(0, 1000);
    for (const uint64_t now : {kStart, kStart + 3600 * kSecond}) {  // After an hour of silence no more than at first.
        uint64_t taken = 0;
        while (quota.wait_ns(now) == 0) {
            quota.take(1, 10, now);
            taken += 10;
        }
        EXPECT_EQ(taken, 1000U);
        EXPECT_EQ(quota.wait_ns(now), 1U);
    }
}

TEST(Quota, WhoWaitsAsLongAsToldGetsTheRate) {
    Quota quota;
    quota.set(1 << 20, 1000);
    uint64_t now = kStart;
    uint64_t bytes = 0;
    while (now < kStart + 60 * kSecond) {
        const uint64_t wait = quota.wait_ns(now);
        now += wait;
        EXPECT_EQ(quota.wait_ns(now), 0U) << "told to wait too short";
        quota.take(100'000, 5, now);
        bytes += 100'000;
        if (wait == 0) now += 1000;
    }
    EXPECT_NEAR(static_cast<double>(bytes), 61.0 * (1 << 20), 1.0 * (1 << 20));
}

TEST(Quota, ABatchOfManySecondsGoesAndIsPaidFor) {
    Quota quota;
    quota.set(1 << 20, 0);
    EXPECT_EQ(quota.wait_ns(kStart), 0U);
    quota.take(10 << 20, 1, kStart);
    EXPECT_EQ(quota.wait_ns(kStart), 9 * kSecond + 1);
    EXPECT_EQ(quota.wait_ns(kStart + 9 * kSecond + 1), 0U);
}

TEST(Quota, TheScarcerOfBothCounts) {
    Quota quota;
    quota.set(1000, 10);
    quota.take(100, 20, kStart);
    EXPECT_EQ(quota.wait_ns(kStart), kSecond + 1);
    quota.set(1000, 0);
    EXPECT_EQ(quota.wait_ns(kStart), 0U) << "the limit that was taken away still counts";
}

TEST(Quota, ALimitThatStaysKeepsItsAccount) {
    Quota quota;
    quota.set(1000, 0);
    quota.take(5000, 1, kStart);
    quota.set(1000, 7);  // Only the other one is new.
    EXPECT_EQ(quota.wait_ns(kStart), 4 * kSecond + 1);
}

}  // namespace
}  // namespace eagre::shard
