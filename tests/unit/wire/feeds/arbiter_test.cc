// Two lines that lose, repeat, reorder and break off by themselves: what comes out is in order, each number once, and a gap only where no
// line brought it in time.
#include "wire/feeds/arbiter.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "wire/base/prng.h"

namespace eagre::feeds {
namespace {

class Log final : public ArbiterListener {
  public:
    uint64_t on_session(const MoldSession& session, uint64_t first) override {
        sessions.emplace_back(session.data(), session.size());
        expected = resume_at != 0 ? resume_at : first;
        return expected;
    }
    void on_message(uint64_t sequence, std::span<const std::byte> message) override {
        EXPECT_EQ(sequence, expected);
        expected = sequence + 1;
        const std::string text(reinterpret_cast<const char*>(message.data()), message.size());
        EXPECT_EQ(text, "m" + std::to_string(sequence));
        messages.insert(sequence);
    }
    void on_gap(uint64_t first, uint64_t count) override {
        EXPECT_EQ(first, expected);
        EXPECT_GT(count, 0U);
        expected = first + count;
        for (uint64_t i = 0; i < count; ++i) gaps.insert(first + i);
    }
    std::vector<std::string> sessions;
    std::set<uint64_t> messages;
    std::set<uint64_t> gaps;
    uint64_t expected = 0;
    uint64_t resume_at = 0;
};

std::vector<std::byte> datagram(uint64_t first, uint16_t count, std::string_view session = "S") {
    MoldWriter writer(session, 1400);
    for (uint64_t i = first; i < first + count; ++i) {
        const std::string text = "m" + std::to_string(i);
        EXPECT_TRUE(writer.add(std::as_bytes(std::span(text))));
    }
    const auto bytes = writer.finish(first);
    return {bytes.begin(), bytes.end()};
}
std::vector<std::byte> mark(uint64_t next, bool end) {
    MoldWriter writer("S", 1400);
    const auto bytes = writer.finish_empty(next, end);
    return {bytes.begin(), bytes.end()};
}

class ArbiterTest : public testing::Test {
  protected:
    Arbiter::Taken take(const std::vector<std::byte>& bytes) { return arbiter.take(*decode_mold_header(bytes), bytes, now_ns); }
    Log log;
    ArbiterLimits limits{1000, 1 << 16U};
    Arbiter arbiter{log, limits};
    uint64_t now_ns = 0;
};

TEST_F(ArbiterTest, TheFirstCopyCountsAndGapsAreFilledFromTheOtherLine) {
    EXPECT_EQ(take(datagram(10, 2)), Arbiter::Taken::kFirst);
    EXPECT_EQ(take(datagram(10, 2)), Arbiter::Taken::kRepeated);
    EXPECT_EQ(take(datagram(15, 1)), Arbiter::Taken::kFirst);
    EXPECT_EQ(take(datagram(15, 1)), Arbiter::Taken::kRepeated);
    EXPECT_EQ(arbiter.next(), 12U);
    now_ns = 999;
    arbiter.expire(now_ns);
    // Cut otherwise on the other line: what overlaps counts once.
    EXPECT_EQ(take(datagram(11, 3)), Arbiter::Taken::kFirst);
    EXPECT_EQ(arbiter.next(), 14U);
    EXPECT_EQ(take(datagram(13, 2)), Arbiter::Taken::kFirst);
    EXPECT_EQ(arbiter.next(), 16U);
    EXPECT_EQ(arbiter.deadline_ns(), UINT64_MAX);
    EXPECT_TRUE(log.gaps.empty());
    EXPECT_EQ(log.messages.size(), 6U);
    EXPECT_EQ(arbiter.waiting_bytes(), 0U);
}

TEST_F(ArbiterTest, WhatNobodyBringsIsAGapWhenItsTimeIsUp) {
    take(datagram(1, 1));
    take(datagram(4, 1));
    now_ns = 500;
    take(datagram(8, 1));
    EXPECT_EQ(arbiter.deadline_ns(), 1000U);
    now_ns = 1000;
    arbiter.expire(now_ns);
    EXPECT_EQ(log.gaps, (std::set<uint64_t>{2, 3}));
    EXPECT_EQ(arbiter.next(), 5U);
    EXPECT_EQ(arbiter.deadline_ns(), 1500U) << "counted from when it was missed, not from the gap before";
    EXPECT_EQ(take(datagram(2, 2)), Arbiter::Taken::kRepeated) << "too late";
    now_ns = 1500;
    arbiter.expire(now_ns);
    EXPECT_EQ(log.gaps, (std::set<uint64_t>{2, 3, 5, 6, 7}));
    EXPECT_EQ(arbiter.next(), 9U);
}

TEST_F(ArbiterTest, HeartbeatsAndEndsShowWhatWasLostLast) {
    take(datagram(1, 1));
    EXPECT_EQ(take(mark(2, false)), Arbiter::Taken::kRepeated);
    EXPECT_EQ(arbiter.deadline_ns(), UINT64_MAX);
    take(mark(4, false));
    EXPECT_EQ(take(datagram(2, 1)), Arbiter::Taken::kFirst);
    take(mark(5, true));
    EXPECT_FALSE(arbiter.ended());
    EXPECT_EQ(take(datagram(3, 1)), Arbiter::Taken::kFirst);
    EXPECT_FALSE(arbiter.ended());
    now_ns = 5000;
    arbiter.expire(now_ns);
    EXPECT_TRUE(arbiter.ended());
    EXPECT_EQ(log.gaps, std::set<uint64_t>{4});
}

TEST_F(ArbiterTest, AnotherSessionBeginsAnew) {
    take(datagram(1, 1));
    take(datagram(3, 1));
    EXPECT_EQ(take(datagram(100, 2, "T")), Arbiter::Taken::kWild) << "one datagram ends no session";
    EXPECT_EQ(log.sessions.size(), 1U);
    EXPECT_EQ(take(datagram(100, 2, "T")), Arbiter::Taken::kRepeated) << "the other line bears it out, and brings nothing new";
    EXPECT_EQ(log.gaps, std::set<uint64_t>{2});
    EXPECT_EQ(log.sessions, (std::vector<std::string>{"S         ", "T         "}));
    EXPECT_EQ(arbiter.next(), 102U);
}

TEST_F(ArbiterTest, GoesOnWhereAnEarlierLifeLeftOff) {
    log.resume_at = 10;
    EXPECT_EQ(take(datagram(13, 1)), Arbiter::Taken::kFirst);
    EXPECT_TRUE(log.messages.empty()) << "the other line may still bring what came before";
    EXPECT_EQ(take(datagram(9, 2)), Arbiter::Taken::kFirst);
    EXPECT_EQ(log.messages, (std::set<uint64_t>{10})) << "9 was stored before";
    now_ns += 2000;
    arbiter.expire(now_ns);
    EXPECT_EQ(log.gaps, (std::set<uint64_t>{11, 12}));
    EXPECT_EQ(log.messages, (std::set<uint64_t>{10, 13}));
}

TEST_F(ArbiterTest, ANumberOutOfNowhereIsLeftOutWhereTheFeedGoesOn) {
    EXPECT_EQ(take(datagram(1, 1)), Arbiter::Taken::kFirst);
    EXPECT_EQ(take(datagram(1ULL << 60U, 1)), Arbiter::Taken::kWild);
    EXPECT_EQ(take(datagram(2, 1)), Arbiter::Taken::kFirst);
    now_ns += 2000;
    arbiter.expire(now_ns);
    EXPECT_EQ(arbiter.wild_count(), 1U);
    EXPECT_TRUE(log.gaps.empty());
    EXPECT_EQ(take(datagram(3, 1)), Arbiter::Taken::kFirst);
    EXPECT_EQ(arbiter.waiting_bytes(), 0U);
}

TEST_F(ArbiterTest, AFeedThatHasReallyGoneFarAheadIsFollowed) {
    limits.jump_max = 5;
    Arbiter strict(log, limits);
    const auto give = [&](uint64_t first) {
        const auto bytes = datagram(first, 1);
        return strict.take(*decode_mold_header(bytes), bytes, now_ns);
    };
    EXPECT_EQ(give(1), Arbiter::Taken::kFirst);
    EXPECT_EQ(give(100), Arbiter::Taken::kWild);
    now_ns += 2000;
    strict.expire(now_ns);
    EXPECT_EQ(log.messages, (std::set<uint64_t>{1, 100}));
    EXPECT_EQ(log.gaps.size(), 98U);
}

TEST_F(ArbiterTest, AStrangersSessionDoesNotEndOneThatGoesOn) {
    take(datagram(1, 1));
    for (int i = 0; i < 50; ++i) {
        EXPECT_EQ(take(datagram(7, 1, "X" + std::to_string(i))), Arbiter::Taken::kWild);
        EXPECT_EQ(take(datagram(static_cast<uint64_t>(2 + i), 1)), Arbiter::Taken::kFirst);
        now_ns += 100;
        arbiter.expire(now_ns);
    }
    EXPECT_EQ(log.sessions.size(), 1U);
    EXPECT_TRUE(log.gaps.empty());
    now_ns += 2000;
    arbiter.expire(now_ns);
    EXPECT_LE(arbiter.wild_count(), 50U);
}

TEST_F(ArbiterTest, AnotherSessionIsBelievedWhenTheFirstIsSilent) {
    take(datagram(1, 1));
    now_ns += 10;
    take(datagram(5, 1, "T"));
    EXPECT_EQ(log.sessions.size(), 1U);
    now_ns += 1000;
    EXPECT_LE(arbiter.deadline_ns(), now_ns);
    arbiter.expire(now_ns);
    EXPECT_EQ(log.sessions.size(), 2U);
    EXPECT_EQ(arbiter.next(), 6U) << "its first datagram was kept";
    now_ns += 1'000'000'000;
    EXPECT_EQ(take(datagram(9, 1, "U")), Arbiter::Taken::kFirst) << "after a long silence at once";
}

TEST_F(ArbiterTest, WhatWaitsIsBounded) {
    take(datagram(1, 1));
    for (uint64_t i = 3; i < 40'000; i += 2) {
        take(datagram(i, 1));
        ASSERT_LE(arbiter.waiting_bytes(), limits.waiting_bytes_max);
    }
    EXPECT_GT(log.gaps.size(), 10'000U);
    arbiter.finish();
    EXPECT_EQ(arbiter.waiting_bytes(), 0U);
    EXPECT_EQ(log.expected, 40'000U);
}

TEST_F(ArbiterTest, OneThatBreaksOffIsFilledFromTheOther) {
    auto broken = datagram(1, 4);
    broken.resize(broken.size() - 5);
    EXPECT_EQ(take(broken), Arbiter::Taken::kBroken);
    EXPECT_EQ(arbiter.next(), 3U);
    EXPECT_EQ(take(datagram(1, 4)), Arbiter::Taken::kFirst);
    EXPECT_EQ(arbiter.next(), 5U);
}

TEST(ArbiterProperty, WhateverTwoLinesDo) {
    for (uint64_t seed = 1; seed <= 200; ++seed) {
        Prng prng(seed);
        Log log;
        Arbiter arbiter(log, {1'000'000, 1 * kMiB});
        struct Sent {
            uint64_t at;
            std::vector<std::byte> bytes;
        };
        std::vector<Sent> sent;
        std::set<uint64_t> brought;
        uint64_t first = 1;
        sent.push_back({0, datagram(first, 1)});
        brought.insert(first++);
        for (uint64_t i = 1; i < 400; ++i) {
            const auto count = static_cast<uint16_t>(1 + prng.below(5));
            for (int line = 0; line < 2; ++line) {
                if (prng.below(10) < 2) continue;
                // Late, but within the window; now and then twice.
                for (uint64_t copies = 1 + (prng.below(10) == 0 ? 1U : 0U); copies > 0; --copies) sent.push_back({i * 10'000 + prng.below(400'000), datagram(first, count)});
                for (uint64_t k = 0; k < count; ++k) brought.insert(first + k);
            }
            first += count;
        }
        sent.push_back({5'000'000, mark(first, true)});
        std::stable_sort(sent.begin() + 1, sent.end(), [](const Sent& a, const Sent& b) { return a.at < b.at; });
        for (const Sent& each : sent) {
            arbiter.expire(each.at);
            (void)arbiter.take(*decode_mold_header(each.bytes), each.bytes, each.at);
        }
        arbiter.expire(UINT64_MAX / 2);
        EXPECT_TRUE(arbiter.ended()) << seed;
        EXPECT_EQ(log.expected, first) << seed;
        EXPECT_EQ(log.messages, brought) << seed;
        EXPECT_EQ(log.messages.size() + log.gaps.size(), first - 1) << seed;
    }
}

}  // namespace
}  // namespace eagre::feeds
