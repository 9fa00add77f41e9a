// Policies allow what their rules say and nothing else; patterns match as people expect, in bounded time.
#include "wire/identity/policy.h"

#include <gtest/gtest.h>

namespace eagre::identity {
namespace {

TEST(Glob, MatchesTheWholeName) {
    EXPECT_TRUE(glob_matches("ticks-*", "ticks-"));
    EXPECT_TRUE(glob_matches("ticks-*", "ticks-nyse"));
    EXPECT_TRUE(glob_matches("*", ""));
    EXPECT_TRUE(glob_matches("*-eu", "a-eu-eu"));
    EXPECT_TRUE(glob_matches("a?c*e", "abcdde"));
    EXPECT_TRUE(glob_matches("a**b", "ab"));
    EXPECT_FALSE(glob_matches("ticks-*", "ticks"));
    EXPECT_FALSE(glob_matches("ticks", "ticks-a"));
    EXPECT_FALSE(glob_matches("a?c", "ac"));
    EXPECT_FALSE(glob_matches("", "a"));
    EXPECT_FALSE(glob_matches("*-eu", "a-eu-us"));
}

TEST(Glob, TakesNoTimeToSpeakOf) {
    // Exponential for whoever tries every split: 2^60 and more.
    const std::string text(128, 'a');
    std::string pattern;
    for (int i = 0; i < 60; ++i) pattern += "a*";
    EXPECT_FALSE(glob_matches(pattern + "b", text));
}

TEST(Policy, AllowsWhatItsRulesSay) {
    const auto policy = Policy::parse("put:ticks-* get:* manage:test-?").value();
    EXPECT_EQ(policy.actions_on("ticks-a"), kPut | kGet);
    EXPECT_EQ(policy.actions_on("other"), kGet);
    EXPECT_EQ(policy.actions_on("test-1"), kGet | kManage);
    EXPECT_EQ(policy.actions_everywhere(), kGet);
    EXPECT_EQ(policy.text(), "put:ticks-* get:* manage:test-?");
    EXPECT_EQ(Policy::parse(policy.text()).value().actions_on("ticks-a"), kPut | kGet);
    EXPECT_EQ(Policy::parse("all:*").value().actions_everywhere(), kAllActions);
}

TEST(Policy, IsNothingWithoutRules) {
    const auto policy = Policy::parse("").value();
    EXPECT_EQ(policy.actions_on("anything"), 0);
    EXPECT_EQ(policy.actions_everywhere(), 0);
}

TEST(Policy, RefusesWhatItCannotRead) {
    const std::pair<const char*, uint64_t> wrong[] = {{"put", 0},     {"put:", 0},         {":*", 0},           {"write:*", 0},
                                                      {"Put:*", 0},   {"get:* put:a/b", 1}, {"get:* put:a\nb", 1}, {"get:[ab]", 0}};
    for (const auto& [text, index] : wrong) {
        const auto parsed = Policy::parse(text);
        ASSERT_FALSE(parsed.has_value()) << text;
        EXPECT_EQ(parsed.error().code, Errc::kBadPolicy) << text;
        EXPECT_EQ(parsed.error().detail, index) << text;
    }
    EXPECT_EQ(Policy::parse(std::string(kPolicyTextBytesMax + 1, ' ')).error().code, Errc::kLimitExceeded);
    std::string many;
    for (size_t i = 0; i <= kPolicyRuleCountMax; ++i) many += "get:a ";
    EXPECT_EQ(Policy::parse(many).error().code, Errc::kLimitExceeded);
    EXPECT_EQ(Policy::parse("get:" + std::string(129, 'a')).error().code, Errc::kBadPolicy);
}

}  // namespace
}  // namespace eagre::identity
