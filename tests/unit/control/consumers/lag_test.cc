// When the lag of a group is known: never while its stream may have shards that nobody was asked for.
#include "control/consumers/lag.h"

#include <gtest/gtest.h>

#include "control/catalog/sqlite_catalog.h"
#include "control/log/log.h"

namespace eagre::consumers {
namespace {

using catalog::StreamState;

class LagTest : public testing::Test {
  protected:
    LagTest() : groups(table) {
        log::set_level(log::Level::kOff);
        catalog = std::move(*catalog::open_sqlite_catalog(":memory:", 1));
        catalog->watch(&table);
        put(StreamState::kActive, 1, {{1, 1}});
        EXPECT_TRUE(groups.load(*catalog, now).has_value());
        EXPECT_TRUE(groups.create("quotes", "g", 0, {}, now).has_value());
        EXPECT_TRUE(catalog->apply(groups.take_change()).value());
    }

    /// `shards`: id and first sequence number; 0: planned.
    void put(StreamState state, uint64_t map_version, const std::vector<std::pair<uint64_t, uint64_t>>& shards) {
        catalog::Change change;
        catalog::StreamRow row;
        if (const streams::Stream* known = table.find(StreamId(1))) row = known->row;
        row.id = StreamId(1);
        row.name = "quotes";
        row.state = state;
        row.map_version = map_version;
        change.put_streams.push_back(row);
        for (const auto& [id, first] : shards) {
            catalog::ShardRow shard;
            shard.id = ShardId(id);
            shard.stream = row.id;
            shard.first_sequence = SequenceNumber(first);
            change.put_shards.push_back(shard);
        }
        ASSERT_TRUE(catalog->apply(change).value());
    }
    GroupId id() const { return groups.find("quotes", "g").value()->row().id; }
    void begin() {
        groups.put_streams();
        lags.request(id());
        const auto question = lags.next_question(groups, 1);
        ASSERT_TRUE(question.has_value());
        ASSERT_EQ(question->shard, ShardId(1));
    }
    /// The group is at the end of shard 1.
    const GroupLag& end() {
        lags.take(groups, ShardId(1), {}, 0, 0, 2);
        return *lags.find(id());
    }

    streams::StreamTable table;
    std::unique_ptr<catalog::Catalog> catalog;
    Groups groups;
    LagBoard lags;
    Now now{5'000'000'000, 1'700'000'000'000'000'000ULL};
};

TEST_F(LagTest, IsKnownWhenAllShardsHaveAnswered) {
    begin();
    const GroupLag& lag = end();
    EXPECT_TRUE(lag.known);
    EXPECT_EQ(lag.records, 0U);
}

TEST_F(LagTest, IsNotKnownWhileAReshardIsOn) {
    put(StreamState::kResharding, 1, {{2, 0}, {3, 0}});
    begin();
    EXPECT_FALSE(end().known) << "the children may hold records";
}

TEST_F(LagTest, IsNotKnownWhenAReshardBeganAfterTheQuestion) {
    begin();
    put(StreamState::kResharding, 1, {{2, 0}, {3, 0}});
    EXPECT_FALSE(end().known);
}

TEST_F(LagTest, IsNotKnownWhenAWholeReshardLiesBetweenQuestionAndAnswer) {
    begin();
    put(StreamState::kResharding, 1, {{2, 0}, {3, 0}});
    put(StreamState::kActive, 2, {{2, 1}, {3, 1}});
    EXPECT_FALSE(end().known) << "nobody asked the children";
}

}  // namespace
}  // namespace eagre::consumers
