// Dividing the hash space: whatever the count, ranges follow each other without a hole or an
// overlap, and their widths differ as Kinesis's do.
#include "control/streams/hash_ranges.h"

#include <gtest/gtest.h>

#include "wire/base/prng.h"

namespace eagre::streams {
namespace {

Uint128 value_of(const HashKey& key) {
    return static_cast<Uint128>(key.high) << 64U | key.low;
}

TEST(HashRanges, CoverEverythingWithoutHoles) {
    for (const uint32_t count : {1U, 2U, 3U, 4U, 7U, 1000U, 1024U, 10000U}) {
        const auto ranges = divide_hash_keys(count);
        ASSERT_EQ(ranges.size(), count);
        EXPECT_EQ(ranges.front().starting, HashKey{});
        EXPECT_EQ(ranges.back().ending, kHashKeyMax);
        for (size_t i = 0; i < ranges.size(); ++i) {
            ASSERT_TRUE(ranges[i].starting <= ranges[i].ending) << count << " " << i;
            if (i == 0) continue;
            ASSERT_TRUE(value_of(ranges[i].starting) == value_of(ranges[i - 1].ending) + 1)
                << count << " " << i;
        }
        EXPECT_TRUE(find_holes(ranges).empty()) << count;
    }
}

TEST(HashRanges, AreEquallyWideButForTheLast) {
    for (const uint32_t count : {2U, 3U, 4U, 1000U, 10000U}) {
        const auto ranges = divide_hash_keys(count);
        const Uint128 width = value_of(ranges[0].ending) - value_of(ranges[0].starting);
        for (size_t i = 0; i + 1 < ranges.size(); ++i) {
            ASSERT_TRUE(value_of(ranges[i].ending) - value_of(ranges[i].starting) == width)
                << count << " " << i;
        }
        const Uint128 last = value_of(ranges.back().ending) - value_of(ranges.back().starting);
        EXPECT_TRUE(last >= width && last - width < count) << count;
    }
}

TEST(HashRanges, ThreeShardsAsKinesisSays) {
    // 113427455640312821154458202477256070485, where the second of three shards begins.
    const auto ranges = divide_hash_keys(3);
    EXPECT_EQ(ranges[1].starting, (HashKey{0x5555555555555555ULL, 0x5555555555555555ULL}));
    EXPECT_EQ(ranges[2].starting, (HashKey{0xAAAAAAAAAAAAAAAAULL, 0xAAAAAAAAAAAAAAAAULL}));
}

TEST(HashRanges, FindsEveryHole) {
    auto ranges = divide_hash_keys(5);
    const HashKeyRange first = ranges[0];
    const HashKeyRange third = ranges[2];
    const HashKeyRange last = ranges[4];
    ranges = {ranges[3], ranges[1]};
    EXPECT_EQ(find_holes(ranges), (std::vector<HashKeyRange>{first, third, last}));
    EXPECT_EQ(find_holes({}), (std::vector<HashKeyRange>{{HashKey{}, kHashKeyMax}}));
}

}  // namespace
}  // namespace eagre::streams
