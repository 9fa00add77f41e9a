// Two readings of a statistics file, as eagred would have left it: rates, latencies and errors of
// the time in between; an eagred that was started anew counts from 0.
#include "tools/eagre/stats_view.h"

#include <stdexcept>

#include <gtest/gtest.h>

#include "tests/support/stats_file.h"

namespace eagre::cli {
namespace {

using tests::StatsFile;

constexpr uint64_t kSecond = 1'000'000'000;

StatsSnapshot read_at(StatsFile& file, uint64_t now_ns) {
    auto snapshot = StatsSnapshot::read(file.write(), now_ns);
    EXPECT_TRUE(snapshot.has_value());
    return std::move(*snapshot);
}

TEST(ReadStats, SaysWhatToDoWhenThereAreNone) {
    StatsFile file;
    EXPECT_THROW(read_stats(file.path()), std::runtime_error);
    EXPECT_THROW(read_stats(file.write(20)), std::runtime_error);
    EXPECT_EQ(read_stats(file.write()).core_count(), 2U);
}

TEST(StatsInterval, TellsRatesOfTheTimeInBetween) {
    StatsFile file;
    file.core(0).records_appended = 100;
    file.core(1).records_appended = 10;
    file.core(0).ack_ns.record(1'000, 50);
    file.core(0).errors[static_cast<size_t>(Errc::kBusy)] = 4;
    file.shard(0, 0, 7, "quotes").records_in = 100;
    file.shard(1, 0, 8, "quotes").records_out = 40;
    const StatsSnapshot before = read_at(file, kSecond);
    file.core(0).records_appended = 300;
    file.core(1).records_appended = 20;
    file.core(0).ack_ns.record(9'000, 3);
    file.core(1).errors[static_cast<size_t>(Errc::kBusy)] = 1;
    file.slot(0, 0).records_in = 300;
    file.slot(1, 0).records_out = 1'040;
    file.shard(1, 1, 9, "ticks").bytes_in = 64;
    const StatsSnapshot after = read_at(file, 3 * kSecond);
    const StatsInterval interval{before, after};
    EXPECT_TRUE(interval.same_run());
    EXPECT_DOUBLE_EQ(interval.core_rate(0, &shm::CoreStats::records_appended), 100);
    EXPECT_DOUBLE_EQ(interval.total_rate(&shm::CoreStats::records_appended), 105);
    EXPECT_EQ(interval.merged_histogram(&shm::CoreStats::ack_ns).count(), 3U);
    EXPECT_EQ(interval.core_histogram(1, &shm::CoreStats::ack_ns).count(), 0U);
    EXPECT_EQ(interval.errors(), (std::map<std::string, uint64_t>{{"Busy", 1}}));
    const auto rates = interval.shard_rates();
    ASSERT_EQ(rates.size(), 3U);
    EXPECT_EQ(rates[0].shard->shard, 8U);
    EXPECT_DOUBLE_EQ(rates[0].records_out_per_s, 500);
    EXPECT_EQ(rates[1].shard->shard, 7U);
    EXPECT_DOUBLE_EQ(rates[1].records_in_per_s, 100);
    EXPECT_DOUBLE_EQ(rates[2].bytes_in_per_s, 32);
}

TEST(StatsInterval, CountsFromZeroWhenTheDataplaneWasStartedAnew) {
    StatsFile file;
    file.core(0).records_appended = 1'000;
    file.core(0).ack_ns.record(1'000, 50);
    file.shard(0, 0, 7, "quotes").records_in = 1'000;
    const StatsSnapshot before = read_at(file, kSecond);
    StatsFile anew;
    anew.header().incarnation = 2;
    anew.core(0).records_appended = 30;
    anew.core(0).ack_ns.record(2'000, 5);
    anew.shard(0, 0, 7, "quotes").records_in = 30;
    const StatsSnapshot after = read_at(anew, 2 * kSecond);
    const StatsInterval interval{before, after};
    EXPECT_FALSE(interval.same_run());
    EXPECT_DOUBLE_EQ(interval.core_rate(0, &shm::CoreStats::records_appended), 30);
    EXPECT_EQ(interval.merged_histogram(&shm::CoreStats::ack_ns).count(), 5U);
    EXPECT_DOUBLE_EQ(interval.shard_rates()[0].records_in_per_s, 30);
}

TEST(StatsInterval, AShardThatMovedToAnotherCoreCountsFromZero) {
    StatsFile file;
    file.shard(0, 0, 7, "quotes").records_in = 1'000;
    const StatsSnapshot before = read_at(file, kSecond);
    file.slot(0, 0).shard = 0;
    file.shard(1, 0, 7, "quotes").records_in = 10;
    const StatsSnapshot after = read_at(file, 2 * kSecond);
    const auto rates = StatsInterval{before, after}.shard_rates();
    ASSERT_EQ(rates.size(), 1U);
    EXPECT_DOUBLE_EQ(rates[0].records_in_per_s, 10);
}

TEST(HistogramBetween, IsWhatWasAdded) {
    Histogram before;
    before.record(100, 10);
    before.record(5'000, 1);
    Histogram after = before;
    after.record(100, 5);
    after.record(70'000, 2);
    const Histogram between = histogram_between(before, after);
    EXPECT_EQ(between.count(), 7U);
    EXPECT_EQ(between.percentile(50), Histogram::upper_of(Histogram::index_of(100)));
    EXPECT_GE(between.max(), 70'000U);
    EXPECT_EQ(histogram_between(after, Histogram{}).count(), 0U);
}

}  // namespace
}  // namespace eagre::cli
