// A generator that repeats itself too soon, or differs from run to run, measures something else
// than it says.
#include "perf/scenarios/record_pool.h"

#include <algorithm>
#include <set>

#include <gtest/gtest.h>

namespace eagre::perf {
namespace {

TEST(RecordPool, SameSeedSameRecordsOtherSeedOthers) {
    const RecordPool first({.key_count = 100, .data_bytes = 256, .seed = 1});
    const RecordPool again({.key_count = 100, .data_bytes = 256, .seed = 1});
    const RecordPool other({.key_count = 100, .data_bytes = 256, .seed = 2});
    uint32_t differing = 0;
    for (uint64_t i = 0; i < 1000; ++i) {
        EXPECT_EQ(first.record(i).partition_key, again.record(i).partition_key);
        EXPECT_TRUE(std::ranges::equal(first.record(i).data, again.record(i).data));
        differing += first.record(i).partition_key != other.record(i).partition_key ? 1U : 0U;
    }
    EXPECT_GT(differing, 900U);
}

TEST(RecordPool, EveryKeyOccursAndDataHaveTheSizeAskedFor) {
    const RecordPool pool({.key_count = 1000, .data_bytes = 1000, .seed = 3});
    std::set<std::string_view> keys;
    for (uint64_t i = 0; i < RecordPool::kRecordCount; ++i) {
        keys.insert(pool.record(i).partition_key);
        ASSERT_EQ(pool.record(i).data.size(), 1000U);
    }
    EXPECT_EQ(keys.size(), 1000U);
    EXPECT_EQ(pool.record(0).partition_key, pool.record(RecordPool::kRecordCount).partition_key);
}

}  // namespace
}  // namespace eagre::perf
