// The page as a whole: one reading in, lines out; what is bounded is bounded and says so.
#include "control/metrics/page.h"

#include <set>
#include <sstream>

#include <gtest/gtest.h>

#include "tests/support/stats_file.h"

namespace eagre::metrics {
namespace {

class PageTest : public testing::Test {
  protected:
    std::string page(uint32_t shard_series_max = kShardSeriesDefault) {
        const auto snapshot = shm::StatsSnapshot::read(file_.write(), 1);
        EXPECT_TRUE(snapshot.has_value());
        const auto shards = distinct_shards(*snapshot);
        totals_.update(*snapshot, shards);
        return metrics_page(
            {&*snapshot, &shards, &totals_, &table_, true, shard_series_max, 3, &groups_, kWallNs});
    }
    static bool has(const std::string& page, const std::string& line) {
        return page.find("\n" + line + "\n") != std::string::npos;
    }

    tests::StatsFile file_{2, 4};
    StreamTotals totals_;
    streams::StreamTable table_;
    std::vector<GroupView> groups_;
    static constexpr uint64_t kWallNs = 1'700'000'000'000'000'000;
};

TEST_F(PageTest, ShowsCoresStreamsShardsAndErrors) {
    file_.core(0).records_appended = 12;
    file_.core(1).cpu_ns = 1'500'000'000;
    file_.core(0).errors[static_cast<size_t>(Errc::kBusy)] = 2;
    file_.core(1).errors[static_cast<size_t>(Errc::kBusy)] = 3;
    file_.core(1).ack_ns.record(30'000, 9);
    shm::ShardStats& shard = file_.shard(1, 2, 41, "quotes");
    shard.records_in = 12;
    shard.last_arrival_ns = 1'700'000'000'500'000'000;
    const std::string text = page();
    EXPECT_TRUE(has(text, "eagre_dataplane_up 1"));
    EXPECT_TRUE(has(text, "eagre_control_ready 1"));
    EXPECT_TRUE(has(text, "eagre_metrics_connections_cut_total 3"));
    EXPECT_TRUE(has(text, "eagre_core_appended_records_total{core=\"0\"} 12"));
    EXPECT_TRUE(has(text, "eagre_core_cpu_seconds_total{core=\"1\"} 1.5"));
    EXPECT_TRUE(has(text, "eagre_errors_total{error=\"Busy\"} 5"));
    EXPECT_TRUE(has(text, "eagre_errors_total{error=\"DiskFull\"} 0"));
    EXPECT_TRUE(has(text, "eagre_core_ack_duration_seconds_count{core=\"1\"} 9"));
    EXPECT_TRUE(has(text, "eagre_stream_appended_records_total{stream=\"quotes\"} 12"));
    EXPECT_TRUE(has(text, "eagre_shard_appended_records_total{stream=\"quotes\",shard=\"41\"} 12"));
    EXPECT_TRUE(has(text,
                    "eagre_shard_last_arrival_timestamp_seconds{stream=\"quotes\",shard=\"41\"} "
                    "1700000000.5"));
    EXPECT_TRUE(has(text, "eagre_metrics_left_out{kind=\"shard\"} 0"));
}

TEST_F(PageTest, HasEachSeriesAndEachFamilyOnce) {
    file_.shard(0, 0, 1, "a");
    file_.shard(1, 0, 1, "a");  // It is moving.
    file_.shard(1, 1, 2, "b");
    std::istringstream lines(page());
    std::set<std::string> series;
    std::set<std::string> families;
    for (std::string line; std::getline(lines, line);) {
        if (line.starts_with("# HELP")) {
            EXPECT_TRUE(families.insert(line.substr(7, line.find(' ', 7) - 7)).second) << line;
        } else if (!line.starts_with("#")) {
            EXPECT_TRUE(series.insert(line.substr(0, line.rfind(' '))).second) << line;
        }
    }
    EXPECT_GT(series.size(), 200U);
}

TEST_F(PageTest, LeavesOutShardsPastTheLimitAndSaysHowMany) {
    file_.shard(0, 0, 1, "a").open = 0;
    file_.shard(0, 1, 2, "a");
    file_.shard(1, 0, 3, "a");
    file_.slot(0, 0).records_in = 100;
    const std::string text = page(2);
    EXPECT_TRUE(has(text, "eagre_shard_open{stream=\"a\",shard=\"2\"} 1"));
    EXPECT_TRUE(has(text, "eagre_shard_open{stream=\"a\",shard=\"3\"} 1"));
    EXPECT_EQ(text.find("shard=\"1\""), std::string::npos) << "closed ones come last";
    EXPECT_TRUE(has(text, "eagre_metrics_left_out{kind=\"shard\"} 1"));
    EXPECT_TRUE(has(text, "eagre_stream_appended_records_total{stream=\"a\"} 100"));
    EXPECT_TRUE(has(page(0), "eagre_metrics_left_out{kind=\"shard\"} 3"));
}

TEST_F(PageTest, ShowsGroupsAndTheirLagAsFarAsItIsKnown) {
    GroupView known{"quotes", "billing", 2, {}};
    known.lag.known = true;
    known.lag.records = 12;
    known.lag.bytes = 345;
    known.lag.arrival_ns = kWallNs - 1'500'000'000;
    known.lag.shards[ShardId{7}] = {true, {}, {}, 12, 345, known.lag.arrival_ns};
    groups_ = {known, {"quotes", "audit", 0, {}}};
    const std::string text = page();
    EXPECT_TRUE(has(text, "eagre_group_members{stream=\"quotes\",group=\"billing\"} 2"));
    EXPECT_TRUE(has(text, "eagre_group_lag_records{stream=\"quotes\",group=\"billing\"} 12"));
    EXPECT_TRUE(has(text, "eagre_group_lag_bytes{stream=\"quotes\",group=\"billing\"} 345"));
    EXPECT_TRUE(has(text, "eagre_group_lag_seconds{stream=\"quotes\",group=\"billing\"} 1.5"));
    EXPECT_TRUE(has(text,
                    "eagre_group_shard_lag_records{stream=\"quotes\",group=\"billing\","
                    "shard=\"7\"} 12"));
    EXPECT_TRUE(has(text, "eagre_group_lag_known{stream=\"quotes\",group=\"audit\"} 0"));
    EXPECT_EQ(text.find("eagre_group_lag_records{stream=\"quotes\",group=\"audit\"}"),
              std::string::npos)
        << "a 0 would be a promise";
}

TEST_F(PageTest, HasABoundOnGroups) {
    for (uint32_t i = 0; i < kGroupSeriesMax + 5; ++i) {
        GroupView group{"quotes", "g" + std::to_string(i), 1, {}};
        group.lag.known = true;
        group.lag.shards[ShardId{1}].known = true;
        groups_.push_back(std::move(group));
    }
    const std::string text = page();
    EXPECT_TRUE(has(text, "eagre_metrics_left_out{kind=\"group\"} 5"));
    EXPECT_TRUE(has(text, "eagre_metrics_left_out{kind=\"group_shard\"} 5"));
    EXPECT_EQ(text.find("group=\"g1000\""), std::string::npos);
}

TEST_F(PageTest, WithoutADataplaneHasNothingOfIt) {
    const std::string text = metrics_page(
        {nullptr, nullptr, nullptr, &table_, false, kShardSeriesDefault, 0, &groups_, kWallNs});
    EXPECT_TRUE(has(text, "eagre_dataplane_up 0"));
    EXPECT_TRUE(has(text, "eagre_control_ready 0"));
    EXPECT_EQ(text.find("eagre_core_"), std::string::npos);
}

}  // namespace
}  // namespace eagre::metrics
