// Key rules: what each finds in a record, that a key is always one that a stream takes, and what is no rule.
#include "wire/feeds/key_rule.h"

#include <gtest/gtest.h>

namespace eagre::feeds {
namespace {

std::string key(std::string_view rule, std::string_view record) {
    auto parsed = KeyRule::parse(rule);
    EXPECT_TRUE(parsed.has_value()) << rule;
    if (!parsed) return "no rule";
    return std::string(parsed->key_of(std::as_bytes(std::span(record))));
}

TEST(KeyRule, BytesAreTextWhereTheyCanBePrintedAndElseDigits) {
    EXPECT_EQ(key("bytes:1:4", "xABCDy"), "ABCD");
    EXPECT_EQ(key("bytes:0:8", "AAPL    rest"), "AAPL") << "ITCH pads with blanks";
    EXPECT_EQ(key("bytes:1:2", std::string_view("A\x01\xffz", 4)), "01ff");
    EXPECT_EQ(key("bytes:1:2", "AB"), "") << "it ends before";
    EXPECT_EQ(key("bytes:0:2", "  x"), "");
}

TEST(KeyRule, UntilTakesWhatStandsBefore) {
    EXPECT_EQ(key("until:,", "cpu,host=a"), "cpu");
    EXPECT_EQ(key("until::", "page.views:1|c"), "page.views");
    EXPECT_EQ(key("until:\\t", "a b\tc"), "a b");
    EXPECT_EQ(key("until:, ", "a,b, c"), "a,b");
    EXPECT_EQ(key("until:,", "none"), "");
    EXPECT_EQ(key("until:,", ",first"), "");
    EXPECT_EQ(key("until:,", std::string(300, 'k') + ","), std::string(256, 'k'));
}

TEST(KeyRule, RegexTakesItsGroupOrItsMatch) {
    EXPECT_EQ(key("regex:^([^, ]+)", "cpu,host=a 1"), "cpu");
    EXPECT_EQ(key("regex:host=\\w+", "cpu,host=a1 7"), "host=a1");
    EXPECT_EQ(key("regex:<(\\d+)>", "<34>1 2003"), "34");
    EXPECT_EQ(key("regex:x(y)?", "x"), "") << "a group that has no part in the match";
    EXPECT_EQ(key("regex:zzz", "cpu"), "");
}

TEST(KeyRule, AKeyIsUtf8) {
    EXPECT_EQ(key("until:,", "gr\xc3\xbc\xc3\x9f,e"), "gr\xc3\xbc\xc3\x9f");
    EXPECT_EQ(key("until:,", "a\xff,e"), "61ff");
    EXPECT_EQ(key("until:,", "\xc0\x80,e"), "c080") << "overlong";
    EXPECT_EQ(key("until:,", "\xed\xa0\x80,e"), "eda080") << "a surrogate";
    EXPECT_EQ(key("regex:^(.+),", "\xe2\x82,e"), "e282") << "cut short";
    // Cut at 256 bytes, but not in the middle of a character.
    std::string umlauts = "a";
    for (int i = 0; i < 200; ++i) umlauts += "\xc3\xbc";
    EXPECT_EQ(key("until:,", umlauts + ","), umlauts.substr(0, 255));
}

TEST(KeyRule, WhatIsNoRuleIsRefused) {
    for (const char* rule : {"", "constant", "constant:", "sauce", "source:x", "bytes:1", "bytes:1:0", "bytes:1:129", "bytes:70000:1", "bytes:-1:2", "bytes:1:2:3", "until:", "until:\\x",
                             "regex:(", "regex:", "round-robin:2", "robin"}) {
        EXPECT_FALSE(KeyRule::parse(rule).has_value()) << rule;
        EXPECT_NE(key_rule_help(rule).find("constant:NAME"), std::string::npos);
    }
    EXPECT_EQ(KeyRule::parse("constant:a:b")->constant(), "a:b");
}

// Patterns of an operator, bytes of a stranger: bounded, whatever they are.
TEST(KeyRule, AHardPatternTakesNoLongTime) {
    const std::string record(60'000, 'a');
    EXPECT_EQ(key("regex:(a|aa)+b", record), "");
    EXPECT_EQ(key("regex:(x+x+)+y", std::string(60'000, 'x')), "");
}

}  // namespace
}  // namespace eagre::feeds
