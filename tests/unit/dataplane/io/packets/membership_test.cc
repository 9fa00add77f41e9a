#include "dataplane/io/packets/membership.h"

#include <gtest/gtest.h>

#include <vector>

namespace eagre::io::packets {
namespace {

constexpr Ip4 kGroup{0xef010101};
constexpr Ip4 kOther{0xef010102};
constexpr Ip4 kSource{0x0a000001};
constexpr uint64_t kStart = 1'000'000'000'000ULL;

struct Said {
    uint64_t at_ns;
    IgmpReport report;
};

// All that is said until `end_ns`.
std::vector<Said> listen(Membership& membership, uint64_t end_ns) {
    std::vector<Said> said;
    IgmpReport report;
    while (membership.due_ns() <= end_ns) {
        const uint64_t now_ns = membership.due_ns();
        while (membership.next_report(now_ns, report)) said.push_back({now_ns, report});
    }
    return said;
}

IgmpQuery query(uint8_t version, Ip4 group = {}, uint64_t response_ns = 10'000'000'000ULL) {
    IgmpQuery query;
    query.version = version;
    query.group = group;
    query.max_response_ns = response_ns;
    query.interval_ns = 125'000'000'000ULL;
    return query;
}

TEST(Membership, SaysTwiceThatItJoins) {
    Membership membership(1);
    ASSERT_TRUE(membership.join(kGroup, {}, kStart).has_value());
    const auto said = listen(membership, UINT64_MAX - 1);
    ASSERT_EQ(said.size(), 2U);
    EXPECT_EQ(said[0].at_ns, kStart);
    EXPECT_LE(said[1].at_ns, kStart + 1 + Membership::kRepeatNs);
    for (const Said& each : said) {
        EXPECT_EQ(each.report.version, 3);
        EXPECT_EQ(each.report.group, kGroup);
        EXPECT_EQ(each.report.type, RecordType::kToExclude);
        EXPECT_EQ(each.report.source_count, 0U);
    }
    EXPECT_EQ(membership.due_ns(), UINT64_MAX);
}

TEST(Membership, SourcesAreNamed) {
    Membership membership(2);
    ASSERT_TRUE(membership.join(kGroup, kSource, kStart).has_value());
    ASSERT_TRUE(membership.join(kGroup, Ip4{77}, kStart).has_value());
    const auto said = listen(membership, UINT64_MAX - 1);
    ASSERT_EQ(said.size(), 2U);
    EXPECT_EQ(said[0].report.type, RecordType::kAllowNew);
    EXPECT_EQ(said[0].report.source_count, 2U);
    membership.on_query(query(3), kStart + 5'000'000'000ULL);
    const auto answers = listen(membership, UINT64_MAX - 1);
    ASSERT_EQ(answers.size(), 1U);
    EXPECT_EQ(answers[0].report.type, RecordType::kIsInclude);
    EXPECT_EQ(answers[0].report.sources[0], kSource);
}

TEST(Membership, AnswersBelowTheResponseTimeSpreadOut) {
    Membership membership(3);
    for (uint32_t i = 0; i < 100; ++i) ASSERT_TRUE(membership.join(Ip4{kGroup.value + i}, {}, kStart).has_value());
    (void)listen(membership, UINT64_MAX - 1);
    constexpr uint64_t kAsked = kStart + 60'000'000'000ULL;
    membership.on_query(query(3), kAsked);
    const auto said = listen(membership, UINT64_MAX - 1);
    ASSERT_EQ(said.size(), 100U);
    uint64_t early = 0;
    for (const Said& each : said) {
        EXPECT_GE(each.at_ns, kAsked);
        EXPECT_LT(each.at_ns, kAsked + 10'000'000'000ULL);
        EXPECT_EQ(each.report.type, RecordType::kIsExclude);
        early += each.at_ns < kAsked + 5'000'000'000ULL ? 1 : 0;
    }
    EXPECT_GT(early, 25U);
    EXPECT_LT(early, 75U);
}

TEST(Membership, OnlyTheGroupAskedFor) {
    Membership membership(4);
    ASSERT_TRUE(membership.join(kGroup, {}, kStart).has_value());
    ASSERT_TRUE(membership.join(kOther, {}, kStart).has_value());
    (void)listen(membership, UINT64_MAX - 1);
    membership.on_query(query(3, kOther, 1'000'000'000), kStart + 10);
    const auto said = listen(membership, UINT64_MAX - 1);
    ASSERT_EQ(said.size(), 1U);
    EXPECT_EQ(said[0].report.group, kOther);
}

TEST(Membership, OlderQuerierIsAnsweredInItsVersionWhileItIsThere) {
    Membership membership(5);
    ASSERT_TRUE(membership.join(kGroup, kSource, kStart).has_value());
    (void)listen(membership, UINT64_MAX - 1);
    membership.on_query(query(2), kStart);
    auto said = listen(membership, UINT64_MAX - 1);
    ASSERT_EQ(said.size(), 1U);
    EXPECT_EQ(said[0].report.version, 2);
    EXPECT_FALSE(said[0].report.leave);
    // Two intervals and a response time later it is gone.
    membership.on_query(query(3), kStart + 261'000'000'000ULL);
    said = listen(membership, UINT64_MAX - 1);
    ASSERT_EQ(said.size(), 1U);
    EXPECT_EQ(said[0].report.version, 3);
}

TEST(Membership, LeavesWhenTheLastOneDoes) {
    Membership membership(6);
    ASSERT_TRUE(membership.join(kGroup, {}, kStart).has_value());
    ASSERT_TRUE(membership.join(kGroup, {}, kStart).has_value());
    (void)listen(membership, UINT64_MAX - 1);
    membership.leave(kGroup, {}, kStart + 10, false);
    EXPECT_TRUE(membership.member(kGroup));
    EXPECT_EQ(membership.due_ns(), UINT64_MAX);
    membership.leave(kGroup, {}, kStart + 20, false);
    EXPECT_FALSE(membership.member(kGroup));
    const auto said = listen(membership, UINT64_MAX - 1);
    ASSERT_EQ(said.size(), 2U);
    EXPECT_EQ(said[0].at_ns, kStart + 20);
    EXPECT_EQ(said[0].report.type, RecordType::kToInclude);
    EXPECT_EQ(said[0].report.source_count, 0U);
    membership.leave(kGroup, {}, kStart + 30, false);
    EXPECT_EQ(membership.due_ns(), UINT64_MAX);
}

TEST(Membership, OneSourceOfSeveral) {
    Membership membership(7);
    ASSERT_TRUE(membership.join(kGroup, {}, kStart).has_value());
    ASSERT_TRUE(membership.join(kGroup, kSource, kStart).has_value());
    (void)listen(membership, UINT64_MAX - 1);
    membership.leave(kGroup, {}, kStart + 10, false);
    auto said = listen(membership, UINT64_MAX - 1);
    ASSERT_EQ(said.size(), 2U);
    EXPECT_EQ(said[0].report.type, RecordType::kToInclude);
    ASSERT_EQ(said[0].report.source_count, 1U);
    EXPECT_EQ(said[0].report.sources[0], kSource);
    membership.leave(kGroup, kSource, kStart + 20, false);
    said = listen(membership, UINT64_MAX - 1);
    ASSERT_EQ(said.size(), 2U);
    EXPECT_EQ(said[0].report.type, RecordType::kBlockOld);
}

TEST(Membership, JoiningAgainTakesTheLeaveBack) {
    Membership membership(8);
    ASSERT_TRUE(membership.join(kGroup, {}, kStart).has_value());
    (void)listen(membership, UINT64_MAX - 1);
    membership.leave(kGroup, {}, kStart + 10, false);
    IgmpReport report;
    ASSERT_TRUE(membership.next_report(kStart + 10, report));
    ASSERT_TRUE(membership.join(kGroup, {}, kStart + 11).has_value());
    for (const Said& each : listen(membership, UINT64_MAX - 1)) EXPECT_EQ(each.report.type, RecordType::kToExclude);
}

TEST(Membership, SilentWhileAnotherCoreWantsIt) {
    Membership membership(9);
    ASSERT_TRUE(membership.join(kGroup, {}, kStart).has_value());
    (void)listen(membership, UINT64_MAX - 1);
    membership.leave(kGroup, {}, kStart + 10, true);
    EXPECT_EQ(membership.due_ns(), UINT64_MAX);
    EXPECT_FALSE(membership.member(kGroup));
}

TEST(Membership, Version2LeavesOnce) {
    Membership membership(10);
    membership.on_query(query(2), kStart);
    ASSERT_TRUE(membership.join(kGroup, {}, kStart).has_value());
    (void)listen(membership, kStart + 2'000'000'000ULL);
    membership.leave(kGroup, {}, kStart + 3'000'000'000ULL, false);
    const auto said = listen(membership, UINT64_MAX - 1);
    ASSERT_EQ(said.size(), 1U);
    EXPECT_TRUE(said[0].report.leave);
    EXPECT_EQ(said[0].report.version, 2);
}

TEST(Membership, Bounds) {
    Membership membership(11);
    for (uint32_t i = 0; i < Membership::kGroupCountMax; ++i) ASSERT_TRUE(membership.join(Ip4{kGroup.value + i}, {}, 1).has_value());
    EXPECT_EQ(membership.join(Ip4{kGroup.value + 999}, {}, 1).error().code, Errc::kLimitExceeded);
    for (uint32_t i = 0; i < kReportSourcesMax; ++i) ASSERT_TRUE(membership.join(kGroup, Ip4{i + 1}, 1).has_value());
    EXPECT_EQ(membership.join(kGroup, Ip4{999}, 1).error().code, Errc::kLimitExceeded);
}

}  // namespace
}  // namespace eagre::io::packets
