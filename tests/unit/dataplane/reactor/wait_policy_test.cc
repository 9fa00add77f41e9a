// The waiting policies: spin never blocks, block always does, adaptive spins only while that pays.
#include "dataplane/reactor/wait_policy.h"

#include <gtest/gtest.h>

namespace eagre::reactor {
namespace {

struct CountingEvents final : io::Events {
    void poll() override { ++polls; }
    void wait(uint64_t) override { ++waits; }
    void yield() override { ++yields; }
    void wake() override {}
    int polls = 0;
    int waits = 0;
    int yields = 0;
};

// Work, then idle turns of 1 us until `gap_ns` later; again and again. Returns how many gaps ended in a block.
int blocks_in(Waiter& waiter, CountingEvents& events, uint64_t& now_ns, uint64_t gap_ns, int rounds) {
    int blocked = 0;
    for (int i = 0; i < rounds; ++i) {
        waiter.turn(events, true, now_ns, 1000);
        const uint64_t until = now_ns + gap_ns;
        const int before = events.waits;
        while (now_ns < until) {
            waiter.turn(events, false, now_ns, 1000);
            now_ns = events.waits > before ? until : now_ns + 1000;
        }
        blocked += events.waits > before ? 1 : 0;
    }
    return blocked;
}

TEST(WaitPolicy, SpinNeverBlocksAndBlockAlwaysDoes) {
    uint64_t now = 1'000'000;
    CountingEvents spin_events;
    Waiter spin(WaitPolicy::kSpin);
    EXPECT_EQ(blocks_in(spin, spin_events, now, 500'000, 20), 0);
    EXPECT_GT(spin_events.yields, 1000);
    CountingEvents block_events;
    Waiter block(WaitPolicy::kBlock);
    EXPECT_EQ(blocks_in(block, block_events, now, 5'000, 20), 20);
    EXPECT_EQ(block_events.yields, 0);
}

TEST(WaitPolicy, AdaptiveSpinsWhileWorkComesSoon) {
    uint64_t now = 1'000'000;
    CountingEvents events;
    Waiter waiter(WaitPolicy::kAdaptive);
    EXPECT_EQ(blocks_in(waiter, events, now, 20'000, 1000), 0);
}

TEST(WaitPolicy, AdaptiveStopsSpinningInVainAndNoticesWhenItPaysAgain) {
    uint64_t now = 1'000'000;
    CountingEvents events;
    Waiter waiter(WaitPolicy::kAdaptive);
    EXPECT_EQ(blocks_in(waiter, events, now, 200'000, 1000), 1000);
    const int yields = events.yields;
    EXPECT_LT(yields, 60 * 50);  // The first few, and one gap in thirty-two.
    blocks_in(waiter, events, now, 20'000, 100);
    EXPECT_EQ(blocks_in(waiter, events, now, 20'000, 100), 0);
}

}  // namespace
}  // namespace eagre::reactor
