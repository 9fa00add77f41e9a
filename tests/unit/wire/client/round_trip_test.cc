// RoundTrip: RFC 6298's numbers, and the bounds around them.
#include "wire/client/round_trip.h"

#include <gtest/gtest.h>

namespace eagre::client {
namespace {

TEST(RoundTrip, StartsWithWhatItWasTold) {
    const RoundTrip round_trip(100, 1'000'000, 5000);
    EXPECT_EQ(round_trip.time_out_ns(), 5000U);
    EXPECT_EQ(round_trip.time_out_ns(3), 40'000U);
}

TEST(RoundTrip, TheFirstSampleGivesThreeTimesItself) {
    RoundTrip round_trip(100, 1'000'000, 5000);
    round_trip.sample(8000);
    EXPECT_EQ(round_trip.smoothed_ns(), 8000U);
    EXPECT_EQ(round_trip.time_out_ns(), 8000U + 4 * 4000U);  // RFC 6298 section 2.2.
}

TEST(RoundTrip, FollowsAChangeAndWidensForIt) {
    RoundTrip round_trip(100, 100'000'000, 5000);
    for (int i = 0; i < 100; ++i) round_trip.sample(10'000);
    const uint64_t calm = round_trip.time_out_ns();
    EXPECT_NEAR(static_cast<double>(calm), 10'000, 100);
    round_trip.sample(90'000);
    EXPECT_GT(round_trip.time_out_ns(), 90'000U) << "one late answer makes the next wait longer than it took";
    for (int i = 0; i < 100; ++i) round_trip.sample(50'000);
    EXPECT_NEAR(static_cast<double>(round_trip.smoothed_ns()), 50'000, 500);
}

TEST(RoundTrip, StaysWithinItsBoundsHoweverOftenItDoubles) {
    RoundTrip round_trip(1000, 50'000, 5000);
    round_trip.sample(1);
    EXPECT_EQ(round_trip.time_out_ns(), 1000U);
    EXPECT_EQ(round_trip.time_out_ns(60), 50'000U);
    round_trip.sample(UINT64_MAX / 8);
    EXPECT_EQ(round_trip.time_out_ns(), 50'000U);
}

}  // namespace
}  // namespace eagre::client
