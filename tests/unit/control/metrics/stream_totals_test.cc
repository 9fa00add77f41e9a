// Sums per stream that never run backwards: shards go, move to another core, are counted twice on
// the way; streams are deleted and created anew; the dataplane is started anew.
#include "control/metrics/stream_totals.h"

#include <gtest/gtest.h>

#include "tests/support/stats_file.h"

namespace eagre::metrics {
namespace {

class StreamTotalsTest : public testing::Test {
  protected:
    const StreamTotals::Stream* read(const std::string& name) {
        const auto snapshot = shm::StatsSnapshot::read(file_.write(), 1);
        EXPECT_TRUE(snapshot.has_value());
        totals_.update(*snapshot, distinct_shards(*snapshot));
        const auto found = totals_.streams().find(name);
        return found == totals_.streams().end() ? nullptr : &found->second;
    }
    shm::ShardStats& shard(uint32_t core, uint32_t slot, uint64_t id, uint64_t records) {
        shm::ShardStats& stats = file_.shard(core, slot, id, "quotes");
        stats.stream = 5;
        stats.records_in = records;
        stats.durable_sequence = records + 1;
        stats.trim_horizon = 1;
        return stats;
    }

    tests::StatsFile file_{2, 3};
    StreamTotals totals_;
};

TEST_F(StreamTotalsTest, AddUpShards) {
    shard(0, 0, 1, 10);
    shard(1, 0, 2, 20).open = 0;
    const auto* stream = read("quotes");
    ASSERT_NE(stream, nullptr);
    EXPECT_EQ(stream->counters.records_in, 30U);
    EXPECT_EQ(stream->now.record_count, 30U);
    EXPECT_EQ(stream->now.open_shard_count, 1U);
    EXPECT_EQ(stream->now.closed_shard_count, 1U);
}

TEST_F(StreamTotalsTest, KeepWhatAShardCountedThatIsGone) {
    shard(0, 0, 1, 10);
    shard(1, 0, 2, 20);
    read("quotes");
    file_.slot(1, 0).shard = 0;
    EXPECT_EQ(read("quotes")->counters.records_in, 30U);
    EXPECT_EQ(read("quotes")->now.record_count, 10U);
    file_.slot(0, 0).records_in = 11;
    EXPECT_EQ(read("quotes")->counters.records_in, 31U);
}

TEST_F(StreamTotalsTest, CountAShardOnAfterItMoved) {
    shard(0, 0, 1, 10);
    read("quotes");
    shard(1, 0, 1, 0).durable_sequence = 11;  // Both cores have a slot for a moment.
    EXPECT_EQ(read("quotes")->counters.records_in, 10U);
    EXPECT_EQ(read("quotes")->now.open_shard_count, 1U);
    file_.slot(0, 0).shard = 0;
    file_.slot(1, 0).records_in = 4;
    EXPECT_EQ(read("quotes")->counters.records_in, 14U);
    EXPECT_EQ(read("quotes")->counters.records_in, 14U);
}

TEST_F(StreamTotalsTest, BeginAnewWithAnotherStreamOfTheSameName) {
    shard(0, 0, 1, 10);
    shard(0, 1, 2, 10);
    read("quotes");
    file_.slot(0, 0).shard = 0;
    file_.slot(0, 1).shard = 0;
    shard(0, 2, 3, 1).stream = 6;
    EXPECT_EQ(read("quotes")->counters.records_in, 1U);
}

TEST_F(StreamTotalsTest, ForgetAStreamThatIsDeleted) {
    shard(0, 0, 1, 10);
    read("quotes");
    file_.slot(0, 0).shard = 0;
    EXPECT_EQ(read("quotes"), nullptr);
    shard(0, 0, 4, 2).stream = 9;
    EXPECT_EQ(read("quotes")->counters.records_in, 2U);
}

TEST_F(StreamTotalsTest, BeginAnewWithTheDataplane) {
    shard(0, 0, 1, 10);
    shard(0, 1, 2, 10);
    read("quotes");
    file_.header().incarnation = 2;
    file_.slot(0, 1).shard = 0;
    file_.slot(0, 0).records_in = 3;
    EXPECT_EQ(read("quotes")->counters.records_in, 3U);
}

}  // namespace
}  // namespace eagre::metrics
