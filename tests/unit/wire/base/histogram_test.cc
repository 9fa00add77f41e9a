// The histogram against exact quantiles of the same values: never below the true one, at most 1/64 above.
#include "wire/base/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "wire/base/prng.h"

namespace eagre {
namespace {

TEST(Histogram, BucketsCoverEveryValueInOrder) {
    for (uint32_t i = 0; i + 1 < Histogram::kBucketCount; ++i) {
        ASSERT_EQ(Histogram::index_of(Histogram::upper_of(i)), i);
        ASSERT_EQ(Histogram::index_of(Histogram::upper_of(i) + 1), i + 1);
    }
    EXPECT_EQ(Histogram::index_of(UINT64_MAX), Histogram::kBucketCount - 1);
}

TEST(Histogram, PercentilesAreWithinAStepOfExactOnes) {
    Prng prng(11);
    auto histogram = std::make_unique<Histogram>();
    std::vector<uint64_t> values;
    for (int i = 0; i < 100000; ++i) {
        const uint64_t value = prng.next() >> (20 + prng.below(40));
        values.push_back(value);
        histogram->record(value);
    }
    std::sort(values.begin(), values.end());
    for (const double percent : {0.0, 1.0, 50.0, 90.0, 99.0, 99.9, 99.99, 100.0}) {
        const auto rank = static_cast<size_t>(std::max(1.0, std::ceil(percent / 100.0 * 100000.0))) - 1;
        const uint64_t exact = values[rank];
        const uint64_t got = histogram->percentile(percent);
        EXPECT_GE(got, exact);
        EXPECT_LE(static_cast<double>(got), static_cast<double>(exact) * (1.0 + 1.0 / 64) + 1);
    }
    EXPECT_EQ(histogram->count(), 100000U);
    EXPECT_EQ(histogram->max(), values.back());
    EXPECT_EQ(histogram->min(), values.front());
}

TEST(Histogram, MergeIsTheSameAsRecordingBoth) {
    auto a = std::make_unique<Histogram>();
    auto b = std::make_unique<Histogram>();
    a->record(10, 3);
    b->record(1000000);
    a->merge(*b);
    EXPECT_EQ(a->count(), 4U);
    EXPECT_EQ(a->percentile(75), 10U);
    EXPECT_EQ(a->max(), 1000000U);
}

}  // namespace
}  // namespace eagre
