// Statistics files as eagred lays them out, and files that are not: missing, cut, of another
// version, lying about sizes.
#include "wire/shm/stats_snapshot.h"

#include <cerrno>

#include <gtest/gtest.h>

#include "tests/support/stats_file.h"

namespace eagre::shm {
namespace {

using tests::StatsFile;

Error refusal(const std::string& path) {
    const auto snapshot = StatsSnapshot::read(path, 1);
    EXPECT_FALSE(snapshot.has_value());
    return snapshot ? Error{} : snapshot.error();
}

TEST(StatsSnapshot, ReadsCoresAndUsedShards) {
    StatsFile file;
    file.core(0).records_appended = 5;
    file.core(1).records_appended = 7;
    file.core(1).ack_ns.record(1000, 3);
    file.shard(1, 2, 9, "quotes").records_in = 7;
    file.shard(0, 1, 12, "ticks");
    const auto snapshot = StatsSnapshot::read(file.write(), 77);
    ASSERT_TRUE(snapshot.has_value());
    EXPECT_EQ(snapshot->taken_ns(), 77U);
    EXPECT_EQ(snapshot->core_count(), 2U);
    EXPECT_EQ(snapshot->total(&CoreStats::records_appended), 12U);
    EXPECT_EQ(snapshot->merged(&CoreStats::ack_ns).count(), 3U);
    EXPECT_EQ(snapshot->core(1).records_appended, 7U);
    ASSERT_EQ(snapshot->shards().size(), 2U);
    EXPECT_EQ(snapshot->shards()[0].shard, 9U);
    EXPECT_EQ(stream_name(snapshot->shards()[0]), "quotes");
    ASSERT_NE(snapshot->find(12), nullptr);
    EXPECT_EQ(stream_name(*snapshot->find(12)), "ticks");
    EXPECT_EQ(snapshot->find(10), nullptr);
    EXPECT_EQ(snapshot->find(13), nullptr);
}

TEST(StatsSnapshot, KeepsWhatItSawWhenTheFileGoesOn) {
    StatsFile file;
    file.core(0).records_appended = 5;
    const auto snapshot = StatsSnapshot::read(file.write(), 1);
    ASSERT_TRUE(snapshot.has_value());
    file.core(0).records_appended = 6;
    file.write();
    EXPECT_EQ(snapshot->core(0).records_appended, 5U);
}

TEST(StatsSnapshot, RefusesWhatIsNotStatistics) {
    StatsFile file;
    EXPECT_EQ(refusal(file.path()).os_errno, ENOENT);
    EXPECT_EQ(refusal(file.write(0)).code, Errc::kBadLength);
    EXPECT_EQ(refusal(file.write(20)).code, Errc::kBadLength);
    EXPECT_EQ(refusal(file.write(file.bytes() - 8)).code, Errc::kBadLength);
    file.header().magic ^= 1;
    EXPECT_EQ(refusal(file.write()).code, Errc::kBadVersion);
    EXPECT_EQ(refusal(file.write()).detail, 0U);
    file.header().magic ^= 1;
    file.header().version = kStatsVersion + 1;
    EXPECT_EQ(refusal(file.write()).detail, kStatsVersion + 1);
    file.header().version = kStatsVersion;
    file.header().core_count = 1'000'000;
    EXPECT_EQ(refusal(file.write()).code, Errc::kBadLength);
    file.header().core_count = 0;
    EXPECT_EQ(refusal(file.write()).code, Errc::kBadLength);
}

TEST(StatsSnapshot, TellsWhoWritesThem) {
    StatsFile file;
    EXPECT_EQ(stats_pid(file.path()), 0U);
    EXPECT_EQ(stats_pid(file.write(20)), 0U);
    EXPECT_EQ(stats_pid(file.write()), 4711U);
}

TEST(StatsSnapshot, TellsHowLongAllCoresWereSilent) {
    StatsFile file;
    file.core(0).heartbeat_ns = 1'000;
    file.core(1).heartbeat_ns = 5'000;
    EXPECT_EQ(StatsSnapshot::read(file.write(), 7'000)->silent_ns(), 2'000U);
    EXPECT_EQ(StatsSnapshot::read(file.path(), 4'000)->silent_ns(), 0U);
    EXPECT_TRUE(StatsSnapshot::read(file.path(), 5'000 + kSilenceNsMax)->alive());
    EXPECT_FALSE(StatsSnapshot::read(file.path(), 5'001 + kSilenceNsMax)->alive());
}

TEST(StatsSnapshot, ReadsAFieldThatHasNoNul) {
    const char full[4] = {'a', 'b', 'c', 'd'};
    EXPECT_EQ(text_of(full, sizeof(full)), "abcd");
    EXPECT_EQ(text_of("ab", 3), "ab");
}

}  // namespace
}  // namespace eagre::shm
