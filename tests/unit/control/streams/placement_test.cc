// Where new shards go and what a rebalancing moves, over tables made by hand: cores are evened first, then the journals of
// each; nothing is moved that gains nothing.
#include "control/streams/placement.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

namespace eagre::streams {
namespace {

class Placing : public testing::Test {
  protected:
    /// A journal more: in `directory`, served by `core`.
    void journal(uint32_t core, uint32_t directory = 0, bool available = true) {
        const JournalId id(facts.journal_count++);
        facts.journals.push_back({id, directory, CoreIndex(core), available});
        if (!available) facts.journals_missing.push_back(id);
    }
    /// A stream whose open shards lie in these journals.
    void stream(const std::string& name, const std::vector<uint32_t>& journals,
                catalog::StreamState state = catalog::StreamState::kActive) {
        catalog::Change change;
        catalog::StreamRow row;
        row.id = StreamId(++streams);
        row.name = name;
        row.state = state;
        change.put_streams.push_back(row);
        for (const uint32_t place : journals) {
            catalog::ShardRow shard;
            shard.id = ShardId(++shards);
            shard.stream = row.id;
            shard.journal = JournalId(place);
            shard.first_sequence = SequenceNumber(1);
            change.put_shards.push_back(shard);
        }
        table.on_change(change);
    }
    void close(ShardId id) {
        for (const auto& [stream_id, each] : table.streams()) {
            for (catalog::ShardRow shard : each.shards) {
                if (shard.id != id) continue;
                shard.open = false;
                catalog::Change change;
                change.put_shards.push_back(shard);
                table.on_change(change);
                return;
            }
        }
    }
    /// Open shards by journal after the moves of a plan, which are counted.
    std::map<uint32_t, int> after_plan() {
        std::map<uint32_t, int> count;
        for (const auto& [id, each] : table.streams()) {
            for (const auto& shard : each.shards) count[shard.journal.value] += shard.open ? 1 : 0;
        }
        plan = plan_rebalance(table, facts);
        for (const Move& move : plan) {
            --count[move.from.value];
            ++count[move.to.value];
        }
        return count;
    }

    Facts facts;
    StreamTable table;
    uint64_t streams = 0;
    uint64_t shards = 0;
    std::vector<Move> plan;
};

using Counts = std::map<uint32_t, int>;

TEST_F(Placing, NewShardsGoToTheEmptiestCoreAndThereToTheEmptiestJournal) {
    journal(0);
    journal(0, 1);
    journal(1);
    stream("a", {0, 0, 2});
    Placement placement(table, facts);
    EXPECT_EQ(placement.next().value, 2U) << "core 1 has one, core 0 two";
    EXPECT_EQ(placement.next().value, 1U) << "both have two, but journal 1 is empty";
    EXPECT_EQ(placement.next().value, 2U);
    EXPECT_EQ(placement.next().value, 1U);
    EXPECT_EQ(placement.next().value, 2U);
}

TEST_F(Placing, MissingJournalsGetNothing) {
    journal(0);
    journal(1, 1, false);
    Placement placement(table, facts);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(placement.next().value, 0U);
    journal(0, 1, false);
    facts.journals_missing = {JournalId(0), JournalId(1), JournalId(2)};
    EXPECT_TRUE(Placement(table, facts).empty());
}

TEST_F(Placing, ANewCoreGetsItsShare) {
    journal(0);
    journal(1);
    stream("a", {0, 0, 0, 0});
    stream("b", {0, 0, 0, 0});
    EXPECT_EQ(after_plan(), (Counts{{0, 4}, {1, 4}}));
    EXPECT_EQ(plan.size(), 4U);
    // Two of each: a busy stream is spread, too.
    EXPECT_EQ(std::count_if(plan.begin(), plan.end(), [](const Move& move) { return move.stream == "a"; }), 2);
}

TEST_F(Placing, ANewDirectoryGetsItsShareOfEachCore) {
    journal(0);
    journal(1);
    journal(1, 1);
    journal(0, 1);
    stream("a", {0, 0, 1, 1});
    EXPECT_EQ(after_plan(), (Counts{{0, 1}, {1, 1}, {2, 1}, {3, 1}}));
    EXPECT_EQ(plan.size(), 2U);
}

TEST_F(Placing, WhatIsEvenStays) {
    journal(0);
    journal(1);
    stream("a", {0, 0, 1});
    EXPECT_TRUE(plan_rebalance(table, facts).empty());
    EXPECT_TRUE(plan_rebalance(table, Facts{}).empty()) << "no journal is known";
}

TEST_F(Placing, LeavesAloneWhatCanNotBeMoved) {
    journal(0);
    journal(1);
    journal(0, 1, false);
    stream("busy", {0, 0, 0, 0}, catalog::StreamState::kDeleting);
    stream("gone", {2, 2, 2, 2});
    stream("a", {0, 0});
    stream("b", {0});
    close(ShardId(11));
    EXPECT_EQ(after_plan(), (Counts{{0, 4}, {1, 2}, {2, 4}}));
    for (const Move& move : plan) EXPECT_EQ(move.stream, "a");
}

TEST_F(Placing, APlanIsBoundedAndTheNextGoesOn) {
    journal(0);
    journal(1);
    stream("a", std::vector<uint32_t>(3000, 0));
    EXPECT_EQ(after_plan()[1], static_cast<int>(kRebalanceMovesMax));
}

}  // namespace
}  // namespace eagre::streams
