// A hot key must lead where it was led before, or nowhere.
#include "wire/frame/hash_cache.h"

#include <gtest/gtest.h>

#include <string>

namespace eagre::frame {
namespace {

TEST(HashCache, FindsWhatWasInsertedAndNothingElse) {
    std::vector<int> targets(1000);
    HashCache<int> cache(1000, 42);
    for (size_t i = 0; i < targets.size(); ++i) cache.insert(cache.fingerprint_of("key-" + std::to_string(i)), &targets[i]);
    size_t known = 0;
    for (size_t i = 0; i < targets.size(); ++i) {
        int* const found = cache.find(cache.fingerprint_of("key-" + std::to_string(i)));
        if (found == nullptr) continue;  // Its line held more than four keys.
        ++known;
        EXPECT_EQ(found, &targets[i]);
    }
    EXPECT_GT(known, 900U);
    for (int i = 0; i < 1000; ++i) EXPECT_EQ(cache.find(cache.fingerprint_of("other-" + std::to_string(i))), nullptr);
    cache.clear();
    EXPECT_EQ(cache.find(cache.fingerprint_of("key-1")), nullptr);
}

TEST(HashCache, AFullLineForgetsItsOldestKey) {
    std::vector<int> targets(5);
    HashCache<int> cache(1, 7);  // One line.
    for (size_t i = 0; i < targets.size(); ++i) cache.insert(100 + i, &targets[i]);
    EXPECT_EQ(cache.find(100), nullptr);
    for (size_t i = 1; i < targets.size(); ++i) EXPECT_EQ(cache.find(100 + i), &targets[i]);
}

TEST(HashCache, TheSeedDecidesTheFingerprint) {
    const HashCache<int> one(1, 1);
    const HashCache<int> two(1, 2);
    EXPECT_NE(one.fingerprint_of("key"), two.fingerprint_of("key"));
    EXPECT_NE(one.fingerprint_of("key"), one.fingerprint_of("kez"));
}

}  // namespace
}  // namespace eagre::frame
