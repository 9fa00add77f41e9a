// What --from, --retention and --cores take and refuse, and times there and back.
#include "tools/eagre/position.h"

#include <gtest/gtest.h>

#include "tools/eagre/load_stage.h"
#include "tools/eagre/record_format.h"

namespace eagre::cli {
namespace {

using frame::Position;

TEST(Position, TakesNamesNumbersAndTimes) {
    EXPECT_EQ(parse_start("trim_horizon").position, Position::kTrimHorizon);
    EXPECT_EQ(parse_start("latest").position, Position::kLatest);
    const auto number = parse_start("184467");
    EXPECT_EQ(number.position, Position::kAtSequenceNumber);
    EXPECT_EQ(number.value, 184467U);
    const auto time = parse_start("1970-01-01T00:00:01Z");
    EXPECT_EQ(time.position, Position::kAtTimestamp);
    EXPECT_EQ(time.value, 1'000'000'000U);
    for (const char* bad :
         {"", "earliest", "-1", "12x", "99999999999999999999", "2026-13-01T00:00:00Z"}) {
        EXPECT_THROW(parse_start(bad), std::runtime_error) << bad;
    }
}

TEST(Position, ReadsRfc3339) {
    // date -u -d '2026-11-23T09:30:00Z' +%s
    constexpr uint64_t kTime = 1'795'426'200ULL * 1'000'000'000ULL;
    EXPECT_EQ(parse_rfc3339("2026-11-23T09:30:00Z"), kTime);
    EXPECT_EQ(parse_rfc3339("2026-11-23t09:30:00z"), kTime);
    EXPECT_EQ(parse_rfc3339("2026-11-23 09:30:00Z"), kTime);
    EXPECT_EQ(parse_rfc3339("2026-11-23T10:30:00+01:00"), kTime);
    EXPECT_EQ(parse_rfc3339("2026-11-23T04:00:00.25-05:30"), kTime + 250'000'000);
    EXPECT_EQ(parse_rfc3339("2026-11-23T09:30:00.0000000019Z"), kTime + 1);
    for (const char* bad :
         {"2026-11-23", "2026-11-23T09:30Z", "2026-11-23T09:30:00", "2026-02-29T00:00:00Z",
          "2026-11-23T24:00:00Z", "2026-11-23T09:30:00.Z", "2026-11-23T09:30:00Zx",
          "1969-12-31T23:59:59Z", "3000-01-01T00:00:00Z", "2026-11-23T09:30:00+1:00"}) {
        EXPECT_FALSE(parse_rfc3339(bad)) << bad;
    }
}

TEST(Position, WritesWhatItReads) {
    for (const uint64_t ns : {0ULL, 951'782'400'000'000'001ULL, 1'795'426'200'123'456'789ULL}) {
        EXPECT_EQ(parse_rfc3339(rfc3339(ns)), ns) << rfc3339(ns);
    }
    EXPECT_EQ(rfc3339(951'782'400'000'000'001ULL), "2000-02-29T00:00:00.000000001Z");
}

TEST(Position, ReadsDurations) {
    EXPECT_EQ(parse_duration_ms("24h"), 86'400'000U);
    EXPECT_EQ(parse_duration_ms("500ms"), 500U);
    EXPECT_EQ(parse_duration_ms("7d"), 604'800'000U);
    for (const char* bad :
         {"", "h", "24", "1.5h", "-1h", "1w", "99999999999999999999s", "9999999999999999d"}) {
        EXPECT_THROW(parse_duration_ms(bad), std::runtime_error) << bad;
    }
    EXPECT_EQ(duration_ms_text(86'400'000), "24 h");
    EXPECT_EQ(duration_ms_text(604'800'000), "7 d");
    EXPECT_EQ(duration_ms_text(90'000), "90 s");
    EXPECT_EQ(duration_ms_text(1'500), "1500 ms");
}

TEST(Cores, ReadsListsAndRanges) {
    EXPECT_EQ(parse_cores("0"), (std::vector<int>{0}));
    EXPECT_EQ(parse_cores("2,4-6"), (std::vector<int>{2, 4, 5, 6}));
    EXPECT_TRUE(parse_cores("").empty());
    for (const char* bad : {"x", "1-", "-1", "3-2", "1,,2", "99999"})
        EXPECT_THROW(parse_cores(bad), std::runtime_error) << bad;
}

std::string written(RecordFormat format, const std::string& key, const std::string& data) {
    frame::RecordView record;
    record.partition_key = key;
    record.data = std::as_bytes(std::span(data.data(), data.size()));
    std::string out;
    append_record(out, format, {ShardId{3}, SequenceNumber{42}, 1'000'000'001}, record);
    return out;
}

TEST(RecordFormat, WritesEachFormat) {
    EXPECT_EQ(written(RecordFormat::kRaw, "k", "a,b"), "a,b\n");
    EXPECT_EQ(written(RecordFormat::kCsv, "k", "say \"a,b\""),
              "3,42,1970-01-01T00:00:01.000000001Z,k,\"say \"\"a,b\"\"\"\n");
    EXPECT_EQ(written(RecordFormat::kJson, "k", "a\"b"),
              "{\"shard\":3,\"sequence\":42,\"arrival_time\":\"1970-01-01T00:00:01.000000001Z\","
              "\"partition_key\":\"k\",\"data\":\"a\\\"b\"}\n");
}

TEST(RecordFormat, DataThatIsNotTextBecomesBase64) {
    EXPECT_NE(written(RecordFormat::kJson, "k", "\xFF").find("\"data_base64\":\"/w==\""),
              std::string::npos);
    EXPECT_NE(written(RecordFormat::kJson, "k", "\xFF\xFE").find("\"data_base64\":\"//4=\""),
              std::string::npos);
    EXPECT_NE(written(RecordFormat::kJson, "k", "\xFF\xFE\x01").find("\"data_base64\":\"//4B\""),
              std::string::npos);
}

}  // namespace
}  // namespace eagre::cli
