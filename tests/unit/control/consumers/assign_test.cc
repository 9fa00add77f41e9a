// Sharing out: every small case there is, for balance, for few moves, and for coming to rest.
#include "control/consumers/assign.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace eagre::consumers {
namespace {

std::vector<size_t> counts_of(const std::vector<Share>& shares, uint32_t members) {
    std::vector<size_t> counts(members);
    for (const Share& share : shares) {
        if (share.owner != kNobody) ++counts[share.owner];
    }
    return counts;
}

/// What becomes of `shares` when everybody does what he is asked.
uint32_t play(std::vector<Share>& shares, uint32_t members) {
    uint32_t moves = 0;
    for (uint32_t round = 0; round < 4; ++round) {
        const Assignment assignment = assign(shares, members);
        for (const uint32_t share : assignment.releases) {
            EXPECT_FALSE(shares[share].releasing);
            shares[share].releasing = true;
        }
        for (const uint32_t share : assignment.keeps) {
            EXPECT_TRUE(shares[share].releasing);
            shares[share].releasing = false;
        }
        for (const auto& [share, member] : assignment.grants) {
            EXPECT_EQ(shares[share].owner, kNobody) << "granted although somebody has it";
            shares[share].owner = member;
        }
        for (Share& share : shares) {
            if (!share.releasing) continue;
            share = {};
            ++moves;
        }
    }
    return moves;
}

/// The least number of shares that must change hands so that counts differ by one at most.
uint32_t moves_needed(std::vector<size_t> counts, size_t shares) {
    std::sort(counts.rbegin(), counts.rend());
    uint32_t moves = 0;
    for (size_t i = 0; i < counts.size(); ++i) {
        const size_t target = shares / counts.size() + (i < shares % counts.size() ? 1 : 0);
        if (counts[i] > target) moves += static_cast<uint32_t>(counts[i] - target);
    }
    return moves;
}

TEST(Assign, GivesNothingWhereNobodyIs) {
    const std::vector<Share> shares(3);
    const Assignment assignment = assign(shares, 0);
    EXPECT_TRUE(assignment.grants.empty());
    EXPECT_TRUE(assignment.releases.empty());
}

// Up to 6 shares, up to 4 members, each share with anybody or nobody: 4 x 5^6 cases and fewer.
TEST(Assign, BalancesEverySmallCaseWithTheFewestMoves) {
    for (uint32_t members = 1; members <= 4; ++members) {
        for (uint32_t count = 0; count <= 6; ++count) {
            uint32_t cases = 1;
            for (uint32_t i = 0; i < count; ++i) cases *= members + 1;
            for (uint32_t number = 0; number < cases; ++number) {
                std::vector<Share> shares(count);
                uint32_t rest = number;
                for (Share& share : shares) {
                    const uint32_t owner = rest % (members + 1);
                    rest /= members + 1;
                    if (owner > 0) share.owner = owner - 1;
                }
                const uint32_t needed = moves_needed(counts_of(shares, members), count);
                ASSERT_EQ(play(shares, members), needed) << members << " " << count << " " << number;
                const auto counts = counts_of(shares, members);
                const auto [low, high] = std::minmax_element(counts.begin(), counts.end());
                ASSERT_LE(*high - *low, 1U) << members << " " << count << " " << number;
                size_t owned = 0;
                for (const size_t each : counts) owned += each;
                ASSERT_EQ(owned, count);
                // At rest nothing is asked of anybody.
                const Assignment rested = assign(shares, members);
                ASSERT_TRUE(rested.grants.empty() && rested.releases.empty() && rested.keeps.empty());
            }
        }
    }
}

TEST(Assign, TakesBackARequestThatIsNoLongerNeeded) {
    // Three shares of one member, one asked back for a second member who has died since.
    const std::vector<Share> shares = {{0, false}, {0, false}, {0, true}};
    const Assignment assignment = assign(shares, 1);
    EXPECT_EQ(assignment.keeps, std::vector<uint32_t>{2});
    EXPECT_TRUE(assignment.releases.empty());
}

TEST(Assign, AsksNobodyTwice) {
    const std::vector<Share> shares = {{0, false}, {0, true}, {0, false}};
    const Assignment assignment = assign(shares, 2);
    EXPECT_TRUE(assignment.releases.empty());
    EXPECT_TRUE(assignment.keeps.empty());
}

}  // namespace
}  // namespace eagre::consumers
