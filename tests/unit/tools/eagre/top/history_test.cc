// From statistics files, read one after the other, to the figures of a screen and their JSON.
#include "tools/eagre/top/history.h"

#include <gtest/gtest.h>

#include "tests/support/stats_file.h"
#include "tools/eagre/top/view_json.h"

namespace eagre::cli::top {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

class HistoryTest : public testing::Test {
  protected:
    void read(uint64_t now_ns) {
        file_.core(0).heartbeat_ns = now_ns - kSecond / 2;
        auto snapshot = StatsSnapshot::read(file_.write(), now_ns);
        ASSERT_TRUE(snapshot.has_value());
        history_.add(std::move(*snapshot));
    }
    View view() const {
        View view;
        history_.fill(view);
        return view;
    }

    tests::StatsFile file_{1, 4};
    History history_;
};

TEST_F(HistoryTest, WithoutAReadingSaysNothing) {
    EXPECT_FALSE(view().dataplane_up);
    EXPECT_TRUE(view().cores.empty());
}

TEST_F(HistoryTest, TheFirstReadingHasNoRates) {
    file_.core(0).records_appended = 1'000;
    file_.core(0).ack_ns.record(5'000, 9);
    file_.shard(0, 0, 1, "quotes").records_in = 1'000;
    read(100 * kSecond);
    EXPECT_TRUE(view().dataplane_up);
    EXPECT_EQ(view().in.records_per_s, 0);
    EXPECT_EQ(view().ack.count, 0U);
    EXPECT_EQ(view().streams.at(0).in.records_per_s, 0);
    EXPECT_TRUE(view().in_trend.empty());
}

TEST_F(HistoryTest, RatesAreOfTheLastIntervalAndLatenciesOfTenSeconds) {
    file_.shard(0, 0, 1, "quotes").durable_sequence = 1;
    file_.shard(0, 1, 2, "quotes").open = 0;
    for (uint64_t second = 0; second <= 30; ++second) {
        if (second == 15) file_.core(0).ack_ns.record(900'000'000, 1);  // Long forgotten at 30.
        file_.core(0).ack_ns.record(50'000, 10);
        file_.core(0).records_appended += 100 + second;
        file_.core(0).cpu_ns += kSecond / 4;
        file_.slot(0, 0).records_in += 100 + second;
        file_.core(0).errors[static_cast<size_t>(Errc::kBusy)] += 1;
        read((100 + second) * kSecond);
    }
    const View now = view();
    EXPECT_DOUBLE_EQ(now.interval_s, 1);
    EXPECT_DOUBLE_EQ(now.window_s, 10);
    EXPECT_DOUBLE_EQ(now.in.records_per_s, 130);
    EXPECT_EQ(now.ack.count, 100U);
    EXPECT_LT(now.ack.max_ns, 60'000U);
    EXPECT_DOUBLE_EQ(now.cores.at(0).busy, 0.25);
    EXPECT_EQ(now.errors.at("Busy"), 10U);
    EXPECT_EQ(now.error_count, 31U);
    ASSERT_EQ(now.streams.size(), 1U);
    EXPECT_EQ(now.streams[0].open_shards, 1U);
    EXPECT_EQ(now.streams[0].closed_shards, 1U);
    EXPECT_DOUBLE_EQ(now.streams[0].in.records_per_s, 130);
    EXPECT_EQ(now.in_trend.size(), 30U);
    EXPECT_EQ(now.in_trend.back(), 130);
    EXPECT_EQ(now.streams[0].in_trend.back(), 130);
}

TEST_F(HistoryTest, ADataplaneStartedAnewBeginsAnew) {
    file_.core(0).records_appended = 1'000'000;
    read(100 * kSecond);
    read(101 * kSecond);
    file_.header().incarnation = 2;
    file_.core(0).records_appended = 7;
    read(102 * kSecond);
    EXPECT_EQ(view().in.records_per_s, 0);
    file_.core(0).records_appended = 27;
    read(103 * kSecond);
    EXPECT_DOUBLE_EQ(view().in.records_per_s, 20);
}

TEST_F(HistoryTest, ASilentDataplaneIsDownAndItsFiguresStay) {
    file_.shard(0, 0, 1, "quotes");
    read(100 * kSecond);
    auto snapshot = StatsSnapshot::read(file_.path(), 110 * kSecond);
    ASSERT_TRUE(snapshot.has_value());
    history_.add(std::move(*snapshot));
    EXPECT_FALSE(view().dataplane_up);
    EXPECT_NE(view().why_down.find("10 s"), std::string::npos);
    EXPECT_EQ(view().streams.size(), 1U);
    history_.miss();
    EXPECT_EQ(view().in_trend.back(), 0);
}

TEST_F(HistoryTest, TrendsAreBounded) {
    file_.shard(0, 0, 1, "quotes");
    for (uint64_t i = 0; i < 2 * kTrendLength; ++i) read((100 + i) * kSecond);
    EXPECT_EQ(view().in_trend.size(), kTrendLength);
    EXPECT_EQ(view().streams[0].in_trend.size(), kTrendLength);
    file_.slot(0, 0).shard = 0;
    read(1'000 * kSecond);
    EXPECT_TRUE(view().streams.empty());
}

TEST_F(HistoryTest, AlarmsSayWhatToDo) {
    file_.core(0).disk_full = 1;
    file_.core(0).clock_waits = 1;
    file_.core(0).journal_failed = 1;
    file_.core(0).damaged_runs = 3;
    read(100 * kSecond);
    EXPECT_EQ(view().alarms.size(), 4U);
}

TEST_F(HistoryTest, IsThereAsJson) {
    file_.shard(0, 0, 41, "quotes").records_in = 10;
    read(100 * kSecond);
    file_.slot(0, 0).records_in = 30;
    file_.core(0).ack_ns.record(50'000, 10);
    read(102 * kSecond);
    const auto json = view_json(view());
    EXPECT_EQ(json["dataplane"], "up");
    EXPECT_EQ(json["control"], "unknown");
    EXPECT_EQ(json["streams"][0]["stream"], "quotes");
    EXPECT_EQ(json["streams"][0]["records_in_per_s"], 10);
    EXPECT_TRUE(json["streams"][0]["retention_ms"].is_null());
    EXPECT_EQ(json["shards"][0]["shard"], 41);
    EXPECT_EQ(json["ack_us"]["count"], 10);
    EXPECT_NEAR(json["ack_us"]["p50"].get<double>(), 50, 1);
    EXPECT_TRUE(json["disk"].is_null());
}

}  // namespace
}  // namespace eagre::cli::top
