// PacketWindow against a set of numbers: what has come, what fits, what the bitmap says, over many windows of random order.
#include "dataplane/ingress/packet_window.h"

#include <gtest/gtest.h>

#include <set>

#include "wire/base/prng.h"

namespace eagre::ingress {
namespace {

TEST(PacketWindow, InOrderThereIsNeverAGap) {
    PacketWindow window;
    for (uint64_t packet = 0; packet < 5 * kDatagramWindow; ++packet) {
        ASSERT_FALSE(window.has(packet));
        window.mark(packet);
        window.pass();
        ASSERT_TRUE(window.has(packet));
        ASSERT_FALSE(window.has_gap());
    }
    EXPECT_EQ(window.next(), 5 * kDatagramWindow);
}

TEST(PacketWindow, TheNumberBehindTheLastPlaceDoesNotFit) {
    PacketWindow window;
    EXPECT_TRUE(window.fits(kDatagramWindow - 1));
    EXPECT_FALSE(window.fits(kDatagramWindow));
    window.mark(0);
    window.pass();
    EXPECT_TRUE(window.fits(kDatagramWindow));
    EXPECT_FALSE(window.fits(0)) << "it has been handled";
}

TEST(PacketWindow, AnyOrderIsRememberedAndSaidInTheBitmap) {
    Prng prng(7);
    PacketWindow window;
    std::set<uint64_t> come;
    for (int step = 0; step < 200'000; ++step) {
        const uint64_t packet = window.next() + prng.below(kDatagramWindow);
        ASSERT_EQ(window.has(packet), come.contains(packet));
        if (!come.contains(packet)) {
            window.mark(packet);
            come.insert(packet);
        }
        if (prng.chance(300'000) && !come.contains(window.next())) {
            come.insert(window.next());
            window.mark(window.next());
        }
        while (come.contains(window.next())) {
            come.erase(window.next());
            window.pass();
        }
        if (step % 500 != 0) continue;
        std::array<uint64_t, kDatagramWindow / 64> words{};
        const size_t count = window.copy_bitmap(words);
        ASSERT_EQ(count == 0, come.empty());
        for (uint64_t i = 0; i < count * 64; ++i) {
            ASSERT_EQ((words[i / 64] >> (i % 64) & 1U) != 0, come.contains(window.next() + i)) << "step " << step << " bit " << i;
        }
    }
}

TEST(PacketWindow, LooseNumbersSlideAndOldOnesCountAsKnown) {
    PacketWindow window;
    const auto take = [&](uint64_t packet) {
        window.slide_to(packet);
        if (window.has(packet)) return false;
        window.mark(packet);
        return true;
    };
    EXPECT_TRUE(take(5));
    EXPECT_TRUE(take(3));
    EXPECT_FALSE(take(5));
    EXPECT_TRUE(take(10 * kDatagramWindow));
    EXPECT_FALSE(take(3)) << "too old to tell from a repetition";
    EXPECT_TRUE(take(10 * kDatagramWindow - 1));
    EXPECT_FALSE(take(10 * kDatagramWindow));
    EXPECT_EQ(window.end(), 10 * kDatagramWindow + 1);
}

}  // namespace
}  // namespace eagre::ingress
