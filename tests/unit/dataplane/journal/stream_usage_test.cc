// The account of a stream's bytes by age, by itself: what is stored, from when on a limit is kept, and how far off the few
// slices may be.
#include "dataplane/journal/stream_usage.h"

#include <gtest/gtest.h>

#include "wire/base/prng.h"

namespace eagre::journal {
namespace {

constexpr uint64_t kMs = 1'000'000;

TEST(StreamUsage, CountsWhatComesAndWhatGoes) {
    StreamUsage usage;
    EXPECT_EQ(usage.stored_bytes(), 0U);
    EXPECT_EQ(usage.floor_for(0), 0U);
    for (uint64_t i = 1; i <= 1000; ++i) usage.add(i * kMs, 1000);
    EXPECT_EQ(usage.stored_bytes(), 1'000'000U);
    EXPECT_EQ(usage.floor_for(1'000'000), 0U);
    usage.forget_before(501 * kMs);
    EXPECT_NEAR(static_cast<double>(usage.stored_bytes()), 500'000.0, 500'000.0 / 16);
    usage.forget_before(UINT64_MAX);
    EXPECT_EQ(usage.stored_bytes(), 0U);
}

TEST(StreamUsage, ALimitBecomesATimeToWithinASlice) {
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        Prng prng(seed);
        StreamUsage usage;
        std::vector<std::pair<uint64_t, uint64_t>> runs;
        uint64_t now = 1'000'000 * kMs;
        uint64_t total = 0;
        for (int i = 0; i < 20'000; ++i) {
            now += prng.below(3) == 0 ? prng.below(50 * kMs) : 0;  // Bursts within one instant, and gaps.
            const uint64_t bytes = 64 + prng.below(20'000);
            usage.add(now, bytes);
            runs.emplace_back(now, bytes);
            total += bytes;
        }
        EXPECT_EQ(usage.stored_bytes(), total);
        for (const uint64_t part : {2U, 3U, 10U}) {
            const uint64_t limit = total / part;
            const uint64_t floor = usage.floor_for(limit);
            uint64_t kept = 0;
            for (const auto& [arrival, bytes] : runs) kept += arrival >= floor ? bytes : 0;
            EXPECT_NEAR(static_cast<double>(kept), static_cast<double>(limit), static_cast<double>(total) / 32) << "seed " << seed;
        }
    }
}

TEST(StreamUsage, AnOldLimitMovesOnWithWhatComes) {
    StreamUsage usage;
    constexpr uint64_t kLimit = 10 << 20U;
    uint64_t now = 0;
    uint64_t floor = 0;
    std::vector<uint64_t> arrivals;
    for (int i = 0; i < 200'000; ++i) {
        now += kMs;
        usage.add(now, 1000);
        if (i % 1000 != 0 || usage.stored_bytes() <= kLimit) continue;
        ASSERT_TRUE(usage.raise_floor(usage.floor_for(kLimit)));
        EXPECT_GT(usage.floor_ns(), floor);
        floor = usage.floor_ns();
        EXPECT_LE(usage.stored_bytes(), kLimit);
        const double kept = static_cast<double>(now - floor) / kMs * 1000;
        EXPECT_NEAR(kept, kLimit, kLimit / 16.0);
    }
    EXPECT_FALSE(usage.raise_floor(floor)) << "it is there already";
    EXPECT_FALSE(usage.raise_floor(floor - 1)) << "it never falls";
}

TEST(StreamUsage, WhatWasThereBeforeFindsItsPlace) {
    StreamUsage usage;
    usage.add(1000 * kMs, 1 << 20U);
    usage.note(0, 100 * kMs, 1 << 20U);
    usage.note(100 * kMs, 200 * kMs, 1 << 20U);
    EXPECT_EQ(usage.stored_bytes(), 3U << 20U);
    EXPECT_EQ(usage.floor_for(2U << 20U), 100 * kMs + 1);
    const uint64_t half = usage.floor_for(3U << 19U);
    EXPECT_NEAR(static_cast<double>(half), 150.0 * kMs, 1.0 * kMs);
    ASSERT_TRUE(usage.raise_floor(half));
    usage.note(0, 100 * kMs, 1 << 20U);  // Below the floor: gone already.
    EXPECT_NEAR(static_cast<double>(usage.stored_bytes()), 1.5 * (1 << 20), 2000.0);
}

TEST(StreamUsage, OneInstantGoesAsAWhole) {
    StreamUsage usage;
    for (int i = 0; i < 100; ++i) usage.add(5 * kMs, 1 << 20U);
    EXPECT_EQ(usage.floor_for(1 << 20U), 5 * kMs) << "the newest stay, and nobody can tell which of them are the newest";
    usage.add(6 * kMs, 1000);
    EXPECT_EQ(usage.floor_for(1 << 20U), 5 * kMs + 1);
}

}  // namespace
}  // namespace eagre::journal
