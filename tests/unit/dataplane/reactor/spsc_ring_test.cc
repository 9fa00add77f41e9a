// The ring between two cores: whole messages, in order, bounded; and two real threads agree on every byte.
#include "dataplane/reactor/spsc_ring.h"

#include <gtest/gtest.h>

#include <cstring>
#include <thread>
#include <vector>

namespace eagre::reactor {
namespace {

TEST(SpscRing, FullRingRefusesAndTakesAgainAfterRelease) {
    auto ring = SpscRing::create(4096);
    ASSERT_TRUE(ring.has_value());
    size_t count = 0;
    for (;;) {
        const auto room = ring->reserve(100);
        if (room.empty()) break;
        ASSERT_EQ(room.size(), 100U);
        std::memset(room.data(), static_cast<int>(count), room.size());
        ring->publish();
        ++count;
    }
    EXPECT_EQ(count, 4096U / 112U);
    EXPECT_EQ(ring->front()[99], std::byte{0});
    ring->release();
    EXPECT_FALSE(ring->reserve(100).empty());
    EXPECT_TRUE(ring->reserve(5000).empty());
}

TEST(SpscRing, TwoThreadsAgree) {
    auto ring = SpscRing::create(1 << 16);
    ASSERT_TRUE(ring.has_value());
    constexpr uint64_t kCount = 200000;
    std::thread producer([&] {
        for (uint64_t i = 0; i < kCount;) {
            const size_t bytes = 8 + i % 57;
            const auto room = ring->reserve(bytes);
            if (room.empty()) {
                std::this_thread::yield();
                continue;
            }
            std::memset(room.data(), static_cast<int>(i & 0x7F), bytes);
            std::memcpy(room.data(), &i, 8);
            ring->publish();
            ++i;
        }
    });
    for (uint64_t i = 0; i < kCount;) {
        const auto message = ring->front();
        if (message.data() == nullptr) {
            std::this_thread::yield();
            continue;
        }
        uint64_t value = 0;
        std::memcpy(&value, message.data(), 8);
        ASSERT_EQ(value, i);
        ASSERT_EQ(message.size(), 8 + i % 57);
        if (message.size() > 8) {
            ASSERT_EQ(message.back(), static_cast<std::byte>(i & 0x7F));
        }
        ring->release();
        ++i;
    }
    producer.join();
}

}  // namespace
}  // namespace eagre::reactor
