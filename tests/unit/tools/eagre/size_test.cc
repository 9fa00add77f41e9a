// Sizes and rates as people write them: what is understood, what is refused and in which words.
#include "tools/eagre/size.h"

#include <stdexcept>

#include <gtest/gtest.h>

#include "tools/eagre/stream_changes.h"

namespace eagre::cli {
namespace {

template <class Call>
std::string refusal(Call call) {
    try {
        call();
    } catch (const std::runtime_error& error) {
        return error.what();
    }
    return "";
}

TEST(Size, IsANumberWithAUnit) {
    EXPECT_EQ(parse_size("0", "x"), 0U);
    EXPECT_EQ(parse_size("4096", "x"), 4096U);
    EXPECT_EQ(parse_size("10K", "x"), 10'240U);
    EXPECT_EQ(parse_size("10MiB", "x"), 10U << 20U);
    EXPECT_EQ(parse_size("3G", "x"), 3ULL << 30U);
    EXPECT_EQ(parse_size("2T", "x"), 2ULL << 40U);
    for (const char* wrong : {"", "x", "M", "-1", "1.5G", "10 M", "10MB", "99999999T", "10m"}) {
        const std::string words = refusal([&] { (void)parse_size(wrong, "--retention-bytes"); });
        EXPECT_NE(words.find("--retention-bytes"), std::string::npos) << wrong;
        EXPECT_NE(words.find("like 10M"), std::string::npos) << wrong;
    }
}

TEST(Size, ALimitMayBeTakenAwayButNotBeZero) {
    EXPECT_EQ(parse_limit("none", "x"), 0U);
    EXPECT_EQ(parse_limit("off", "x"), 0U);
    EXPECT_EQ(parse_limit("1M", "x"), 1U << 20U);
    EXPECT_NE(refusal([] { (void)parse_limit("0", "--quota-bytes-per-s"); }).find("'off'"), std::string::npos);
    EXPECT_EQ(parse_count_limit("1000", "x"), 1000U);
    EXPECT_EQ(parse_count_limit("off", "x"), 0U);
    EXPECT_NE(refusal([] { (void)parse_count_limit("0", "x"); }).find("'off'"), std::string::npos);
    EXPECT_NE(refusal([] { (void)parse_count_limit("1K", "x"); }).find("whole number"), std::string::npos);
}

TEST(Size, IsPrintedInTheLargestWholeUnit) {
    EXPECT_EQ(size_text(10ULL << 30U), "10 GiB");
    EXPECT_EQ(size_text(1536ULL << 20U), "1536 MiB");
    EXPECT_EQ(size_text(1000), "1,000 bytes");
    EXPECT_EQ(size_text(2ULL << 40U), "2 TiB");
}

TEST(Tags, AreKeysAndValues) {
    const auto tags = parse_tags({"team=feeds", "empty=", "url=a=b"});
    ASSERT_EQ(tags.size(), 3U);
    EXPECT_EQ(tags[0], (std::pair<std::string, std::string>{"team", "feeds"}));
    EXPECT_EQ(tags[1].second, "");
    EXPECT_EQ(tags[2].second, "a=b");
    EXPECT_NE(refusal([] { (void)parse_tags({"team"}); }).find("KEY=VALUE"), std::string::npos);
    EXPECT_NE(refusal([] { (void)parse_tags({"=x"}); }).find("KEY=VALUE"), std::string::npos);
}

TEST(Limits, OnlyWhatIsNamedIsSaid) {
    LimitOptions options;
    options.retention_bytes = "none";
    options.quota_records_per_s = "500";
    const client::SetStream said = options.parse();
    EXPECT_FALSE(said.retention_ms.has_value());
    EXPECT_EQ(said.retention_bytes, 0U);
    EXPECT_FALSE(said.record_bytes_max.has_value());
    EXPECT_FALSE(said.quota_bytes_per_s.has_value());
    EXPECT_EQ(said.quota_records_per_s, 500U);
}

}  // namespace
}  // namespace eagre::cli
