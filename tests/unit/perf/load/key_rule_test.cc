// Partition keys of lines: CSV fields (quoted and not), members of NDJSON objects, and the
// fallbacks that keep every key legal, whatever the line holds.
#include "perf/load/key_rule.h"

#include <gtest/gtest.h>

#include "perf/load/lines.h"
#include "perf/load/schedule.h"

namespace eagre::load {
namespace {

std::string field_of(std::string_view line, uint32_t column) {
    std::string scratch;
    std::string_view field;
    return csv_field(line, column, scratch, field) ? std::string(field) : "<none>";
}

TEST(CsvField, FollowsRfc4180) {
    EXPECT_EQ(field_of("14400152,0,0,494100,300,Q,1,0", 6), "Q");
    EXPECT_EQ(field_of("a,b", 1), "a");
    EXPECT_EQ(field_of("a,b", 2), "b");
    EXPECT_EQ(field_of("a,b", 3), "<none>");
    EXPECT_EQ(field_of("a,,c", 2), "");
    EXPECT_EQ(field_of("a,", 2), "");
    EXPECT_EQ(field_of("\"x,1\",b", 1), "x,1");
    EXPECT_EQ(field_of("\"x,1\",b", 2), "b");
    EXPECT_EQ(field_of("\"say \"\"hi\"\"\",b", 1), "say \"hi\"");
    EXPECT_EQ(field_of("\"open,b", 1), "open,b");
    EXPECT_EQ(field_of("\"open,b", 2), "<none>");
}

std::string member_of(std::string_view line, const std::string& name) {
    std::string text;
    return json_member(line, name, text) ? text : "<none>";
}

TEST(JsonMember, TakesOnlyTheOutermostObject) {
    EXPECT_EQ(member_of(R"({"a":1,"b":"two"})", "b"), "two");
    EXPECT_EQ(member_of(R"({"a":1,"b":"two"})", "a"), "1");
    EXPECT_EQ(member_of(R"({"x":{"a":"inner"},"a":"outer"})", "a"), "outer");
    EXPECT_EQ(member_of(R"({"x":["a",{"a":0}],"a":1.50})", "a"), "1.50");
    EXPECT_EQ(member_of(R"({"a":null})", "a"), "<none>");
    EXPECT_EQ(member_of(R"({"a":{"b":1}})", "a"), "<none>");
    EXPECT_EQ(member_of(R"(["a"])", "a"), "<none>");
    EXPECT_EQ(member_of("not json", "a"), "<none>");
    EXPECT_EQ(member_of(R"({"a":"behind the key all may be broken" oops)", "a"),
              "behind the key all may be broken");
}

TEST(KeyRule, EveryKeyIsLegal) {
    KeyRule rule({.fixed = {}, .csv_column = 1, .json_field = {}});
    EXPECT_EQ(rule.key_of("AIG,1", 0), "AIG");
    EXPECT_EQ(rule.key_of(",1", 1), "-");
    EXPECT_EQ(rule.missing_count(), 1U);
    const std::string wide = std::string(257, 'w');
    const std::string hashed(rule.key_of(wide, 2));
    EXPECT_EQ(hashed.size(), 16U);
    EXPECT_EQ(rule.key_of(wide, 3), hashed) << "equal fields share a key";
    EXPECT_EQ(rule.key_of("\xFF\xFE", 4).size(), 16U);
    EXPECT_EQ(rule.hashed_count(), 3U);
    std::string umlauts;
    for (int i = 0; i < 256; ++i) umlauts += "\xC3\xBC";
    EXPECT_EQ(rule.key_of(umlauts, 5), umlauts) << "256 characters, 512 bytes";
}

TEST(KeyRule, WithoutARuleSpreadsByLineNumber) {
    KeyRule rule({});
    EXPECT_EQ(rule.key_of("x", 3), "line-3");
    EXPECT_EQ(rule.key_of("x", kLineKeyCount + 3), "line-3");
    EXPECT_THROW(KeyRule({.fixed = "a", .csv_column = 1, .json_field = {}}), std::runtime_error);
    EXPECT_THROW(KeyRule({.fixed = std::string(257, 'a'), .csv_column = 0, .json_field = {}}),
                 std::runtime_error);
}

TEST(LineSplitter, CutsWhereverTheBytesWereCut) {
    const std::string text = "one\r\ntwo\n\n\nthree";
    for (size_t piece = 1; piece <= text.size(); ++piece) {
        LineSplitter lines;
        std::vector<std::string> got;
        std::string_view line;
        for (size_t at = 0; at < text.size(); at += piece) {
            lines.feed(std::span(text).subspan(at, std::min(piece, text.size() - at)));
            while (lines.next(line)) got.emplace_back(line);
        }
        EXPECT_EQ(got.size(), 2U) << "the last line is not whole yet";
        lines.finish();
        while (lines.next(line)) got.emplace_back(line);
        EXPECT_EQ(got, (std::vector<std::string>{"one", "two", "three"})) << piece;
    }
}

TEST(LineSplitter, RefusesALineWithoutEnd) {
    LineSplitter lines;
    const std::string piece(kRecordDataBytesMax, 'x');
    lines.feed(piece);
    EXPECT_THROW(lines.feed(piece); lines.feed(piece), std::runtime_error);
}

TEST(Schedule, DueCountIsTheInverseOfDueTime) {
    for (const uint64_t rate : {1ULL, 3ULL, 50'000ULL, 1'000'000'007ULL}) {
        const Schedule schedule(1'000, rate);
        for (uint64_t i = 0; i < 1000; ++i) {
            const uint64_t due = schedule.due_ns(i);
            ASSERT_GT(schedule.due_count(due), i) << rate;
            ASSERT_TRUE(due == 1'000 || schedule.due_count(due - 1) <= i) << rate;
        }
        EXPECT_EQ(schedule.due_count(999), 0U);
    }
    EXPECT_EQ(Schedule(0, 0).due_count(5), UINT64_MAX);
}

}  // namespace
}  // namespace eagre::load
