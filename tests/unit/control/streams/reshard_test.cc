// Split, merge and scale as changes: what the children are, how many steps scaling takes, what is refused; and what
// reconciling makes of a reshard that was cut short at each of its states.
#include "control/streams/reshard.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "control/catalog/sqlite_catalog.h"
#include "control/log/log.h"
#include "control/streams/hash_ranges.h"
#include "control/streams/reconcile.h"
#include "control/streams/streams.h"
#include "wire/base/limits.h"
#include "wire/base/prng.h"

namespace eagre::streams {
namespace {

using catalog::StreamState;

class ReshardTest : public ::testing::Test {
  protected:
    ReshardTest() : catalog_(std::move(*catalog::open_sqlite_catalog(":memory:", 1))) {
        log::set_level(log::Level::kOff);
        catalog_->watch(&table_);
        facts_.journal_count = 2;
    }
    void apply(const catalog::Change& change) {
        const auto applied = catalog_->apply(change);
        ASSERT_TRUE(applied.has_value() && *applied);
    }
    const Stream& stream() { return *table_.find("a"); }
    void create(uint32_t count) {
        apply(plan_create(table_, facts_, {"a", count, {}, {}}, 1).value());
        apply(plan_done(stream()));
        facts_.streams = {fact()};
        learn();
    }
    /// The stream as the journals would tell it; planned children are not there.
    StreamFact fact() {
        StreamFact told;
        told.id = stream().row.id;
        told.name = "a";
        told.map_version = stream().row.map_version;
        told.retention_ms = stream().row.retention_ms;
        told.retention_bytes = stream().row.retention_bytes;
        told.record_bytes_max = stream().row.record_bytes_max;
        for (const auto& row : stream().shards) {
            if (!is_planned(row)) told.shards.push_back(as_fact(row));
        }
        return told;
    }
    static ShardFact as_fact(const catalog::ShardRow& row) {
        ShardFact shard;
        shard.id = row.id;
        shard.range = row.range;
        shard.parent = row.parent;
        shard.adjacent_parent = row.adjacent_parent;
        shard.journal = row.journal;
        shard.open = row.open;
        shard.first_sequence = std::max(row.first_sequence, SequenceNumber(1));
        shard.ordinal = row.ordinal;
        return shard;
    }
    void learn() {
        for (const auto& shard : facts_.streams[0].shards) facts_.shard_id_max = std::max(facts_.shard_id_max, shard.id);
        facts_.stream_id_max = stream().row.id;
    }
    std::vector<catalog::ShardRow> planned() {
        std::vector<catalog::ShardRow> rows;
        std::copy_if(stream().shards.begin(), stream().shards.end(), std::back_inserter(rows), is_planned);
        return rows;
    }
    /// What the dataplane does with a Reshard command: closes the parents; `open`: and opens so many of the children.
    void carry_out(size_t open) {
        auto& shards = facts_.streams[0].shards;
        const auto children = planned();
        for (const auto& child : children) {
            for (auto& shard : shards) shard.open = shard.open && shard.id != child.parent && shard.id != child.adjacent_parent;
        }
        for (size_t i = 0; i < std::min(open, children.size()); ++i) shards.push_back(as_fact(children[i]));
        ++facts_.streams[0].map_version;
        learn();
    }
    void finish() {
        carry_out(SIZE_MAX);
        apply(plan_resharded(stream(), facts_.streams[0]));
    }
    void reconcile_now() {
        apply(reconcile(table_, facts_).change);
        EXPECT_TRUE(reconcile(table_, facts_).change.empty()) << "not idempotent";
    }
    void expect_covered() {
        std::vector<HashKeyRange> ranges;
        for (const auto& row : open_shards(stream())) ranges.push_back(row.range);
        EXPECT_TRUE(find_holes(ranges).empty());
    }
    int scale(uint32_t count) {
        const auto change = plan_scale(table_, facts_, "a", count);
        EXPECT_TRUE(change.has_value());
        if (change->empty()) return 0;
        apply(*change);
        int steps = 0;
        while (stream().row.state == StreamState::kResharding) {
            ++steps;
            finish();
            expect_covered();
            apply(plan_next_step(table_, facts_, stream()).value());
        }
        EXPECT_EQ(stream().row.scale_target, 0U);
        EXPECT_TRUE(is_uniform(stream(), count));
        return steps;
    }

    std::unique_ptr<catalog::Catalog> catalog_;
    StreamTable table_;
    Facts facts_{};
};

TEST_F(ReshardTest, ASplitHasTwoChildrenThatMeetInTheMiddle) {
    create(1);
    apply(plan_split(table_, facts_, "a", ShardId(1), std::nullopt).value());
    const auto children = planned();
    ASSERT_EQ(children.size(), 2U);
    EXPECT_EQ(children[0].range, (HashKeyRange{{0, 0}, {UINT64_MAX >> 1U, UINT64_MAX}}));
    EXPECT_EQ(children[1].range, (HashKeyRange{{1ULL << 63U, 0}, kHashKeyMax}));
    EXPECT_EQ(children[1].parent, ShardId(1));
    EXPECT_EQ(stream().shards[0].ordinal, 1U);
    EXPECT_EQ(children[0].ordinal, 2U);
    EXPECT_EQ(children[1].ordinal, 3U);
    EXPECT_EQ(plan_merge(table_, facts_, "a", ShardId(1), ShardId(1)).error().code, Errc::kBusy);
    EXPECT_EQ(plan_set(table_, "a", {}).error().code, Errc::kBusy);
    finish();
    EXPECT_EQ(stream().row.state, StreamState::kActive);
    EXPECT_EQ(open_shards(stream()).size(), 2U);
    EXPECT_EQ(plan_split(table_, facts_, "a", ShardId(1), std::nullopt).error().code, Errc::kShardClosed);
    expect_covered();
}

TEST_F(ReshardTest, ASplitPointLiesInsideTheRange) {
    create(2);
    const HashKeyRange range = stream().shards[1].range;
    for (const HashKey outside : {range.starting, HashKey{0, 0}, HashKey{5, 5}})
        EXPECT_EQ(plan_split(table_, facts_, "a", ShardId(2), outside).error().code, Errc::kBadArgument);
    EXPECT_EQ(plan_split(table_, facts_, "a", ShardId(1), range.starting).error().code, Errc::kBadArgument);
    apply(plan_split(table_, facts_, "a", ShardId(2), range.ending).value());
    EXPECT_EQ(planned()[1].range, (HashKeyRange{range.ending, range.ending}));
    finish();
    const ShardId narrow = open_shards(stream()).back().id;
    EXPECT_EQ(plan_split(table_, facts_, "a", narrow, std::nullopt).error().code, Errc::kBadArgument) << "one key";
}

TEST_F(ReshardTest, OnlyNeighboursMerge) {
    create(4);
    EXPECT_EQ(plan_merge(table_, facts_, "a", ShardId(1), ShardId(3)).error().code, Errc::kBadArgument);
    EXPECT_EQ(plan_merge(table_, facts_, "a", ShardId(4), ShardId(1)).error().code, Errc::kBadArgument) << "the space is no ring";
    EXPECT_EQ(plan_merge(table_, facts_, "a", ShardId(1), ShardId(9)).error().code, Errc::kUnknownShard);
    EXPECT_EQ(plan_merge(table_, facts_, "b", ShardId(1), ShardId(2)).error().code, Errc::kUnknownStream);
    apply(plan_merge(table_, facts_, "a", ShardId(3), ShardId(2)).value());
    ASSERT_EQ(planned().size(), 1U);
    EXPECT_EQ(planned()[0].parent, ShardId(2));
    EXPECT_EQ(planned()[0].adjacent_parent, ShardId(3));
    finish();
    EXPECT_EQ(open_shards(stream()).size(), 3U);
    expect_covered();
}

TEST_F(ReshardTest, WhatIsMissingIsNotDivided) {
    create(2);
    const auto rows = open_shards(stream());
    facts_.journals_missing = {rows[1].journal};
    const auto split = plan_split(table_, facts_, "a", rows[1].id, std::nullopt).error();
    EXPECT_EQ(split.code, Errc::kUnavailable);
    EXPECT_EQ(split.detail, rows[1].id.value);
    EXPECT_NE(explain_reshard(&stream(), {rows[1].id}, split).find("data directory that is missing"), std::string::npos);
    EXPECT_EQ(plan_merge(table_, facts_, "a", rows[0].id, rows[1].id).error().code, Errc::kUnavailable);
    EXPECT_TRUE(plan_split(table_, facts_, "a", rows[0].id, std::nullopt).has_value()) << "the other one is there";
}

TEST_F(ReshardTest, AMoveHasOneChildWithTheSameKeysElsewhere) {
    create(2);
    const auto rows = open_shards(stream());
    const JournalId other(1 - rows[0].journal.value);
    const auto code = [&](const std::vector<MoveTo>& moves) { return plan_moves(table_, facts_, "a", moves).error().code; };
    EXPECT_EQ(code({}), Errc::kBadArgument);
    EXPECT_EQ(code({{rows[0].id, rows[0].journal}}), Errc::kBadArgument) << "it lies there";
    EXPECT_EQ(code({{rows[0].id, other}, {rows[0].id, other}}), Errc::kBadArgument) << "twice";
    EXPECT_EQ(code({{ShardId(99), other}}), Errc::kUnknownShard);
    EXPECT_EQ(code({{rows[0].id, JournalId(2)}}), Errc::kUnavailable) << "there is no such journal";
    facts_.journals_missing = {rows[0].journal};
    EXPECT_EQ(code({{rows[0].id, other}}), Errc::kUnavailable) << "what is missing can't be moved";
    facts_.journals_missing = {};
    apply(plan_moves(table_, facts_, "a", {{rows[0].id, other}}).value());
    ASSERT_EQ(planned().size(), 1U);
    EXPECT_EQ(planned()[0].range, rows[0].range);
    EXPECT_EQ(planned()[0].parent, rows[0].id);
    EXPECT_EQ(planned()[0].journal, other);
    EXPECT_EQ(code({{rows[1].id, JournalId(1 - rows[1].journal.value)}}), Errc::kBusy);
    finish();
    EXPECT_EQ(code({{rows[0].id, other}}), Errc::kShardClosed);
    expect_covered();
}

TEST_F(ReshardTest, ScalingTakesAsFewStepsAsTwoParentsAllow) {
    create(4);
    EXPECT_EQ(scale(64), 1);
    EXPECT_EQ(scale(64), 0);
    EXPECT_EQ(scale(4), 4);
    EXPECT_EQ(scale(5), 1);
    EXPECT_EQ(scale(3), 2);
    EXPECT_EQ(scale(1), 2);
}

TEST_F(ReshardTest, ScalingGetsFromAnywhereToAnywhere) {
    create(1);
    Prng prng(7);
    for (int i = 0; i < 60; ++i) {
        scale(1 + static_cast<uint32_t>(prng.below(40)));
        const auto open = open_shards(stream());
        const auto change = plan_split(table_, facts_, "a", open[prng.below(open.size())].id, std::nullopt);
        ASSERT_TRUE(change.has_value());
        apply(*change);
        finish();
        ASSERT_LT(table_.shard_count(), kBoxShardCountMax);
    }
}

TEST_F(ReshardTest, LimitsCountClosedShardsAndAllSteps) {
    create(4);
    EXPECT_EQ(plan_scale(table_, facts_, "a", 0).error().code, Errc::kBadArgument);
    EXPECT_EQ(plan_scale(table_, facts_, "a", kStreamShardCountMax + 1).error().code, Errc::kLimitExceeded);
    EXPECT_EQ(plan_scale(table_, facts_, "a", kStreamShardCountMax).error().code, Errc::kLimitExceeded);
    EXPECT_EQ(scale(kStreamShardCountMax - 500), 1);
    EXPECT_EQ(plan_scale(table_, facts_, "a", 1).error().code, Errc::kLimitExceeded);
}

TEST_F(ReshardTest, WhatNeverBeganIsUndone) {
    create(2);
    apply(plan_split(table_, facts_, "a", ShardId(1), std::nullopt).value());
    reconcile_now();
    EXPECT_EQ(stream().row.state, StreamState::kActive);
    EXPECT_TRUE(planned().empty());
    expect_covered();
}

TEST_F(ReshardTest, WhatIsDoneIsKnown) {
    create(2);
    apply(plan_split(table_, facts_, "a", ShardId(1), std::nullopt).value());
    carry_out(SIZE_MAX);
    reconcile_now();
    EXPECT_EQ(stream().row.state, StreamState::kActive);
    EXPECT_EQ(open_shards(stream()).size(), 3U);
}

// Closed parents, and none or one of the children: driven on, with ids that no journal has seen.
TEST_F(ReshardTest, WhatIsHalfDoneIsFinished) {
    for (size_t opened = 0; opened < 2; ++opened) {
        SCOPED_TRACE(opened);
        if (opened == 0) create(2);
        const ShardId parent = open_shards(stream())[0].id;
        apply(plan_split(table_, facts_, "a", parent, std::nullopt).value());
        carry_out(opened);
        facts_.shard_id_max = ShardId(facts_.shard_id_max.value + 50);  // Others came meanwhile.
        reconcile_now();
        EXPECT_EQ(stream().row.state, StreamState::kResharding);
        ASSERT_EQ(planned().size(), 2 - opened);
        for (const auto& child : planned()) {
            EXPECT_EQ(child.parent, parent);
            EXPECT_GT(child.id, facts_.shard_id_max);
        }
        finish();
        EXPECT_EQ(stream().row.state, StreamState::kActive);
        expect_covered();
    }
}

// The catalogue is gone, or an old copy: the closed shards say what is to be done.
TEST_F(ReshardTest, AHoleThatNobodyRemembersIsFinished) {
    for (const bool catalogue_lost : {false, true}) {
        SCOPED_TRACE(catalogue_lost);
        if (!catalogue_lost) create(4);
        const auto open = open_shards(stream());
        apply(plan_merge(table_, facts_, "a", open[1].id, open[2].id).value());
        carry_out(0);
        catalog::Change forget;
        if (catalogue_lost) {
            forget.delete_streams.push_back({stream().row.id, stream().row.revision});
        } else {
            for (const auto& child : planned()) forget.delete_shards.push_back(child.id);
            forget.put_streams.push_back(stream().row);
            forget.put_streams[0].state = StreamState::kActive;
        }
        apply(forget);
        reconcile_now();
        EXPECT_EQ(stream().row.state, StreamState::kResharding);
        ASSERT_EQ(planned().size(), 2U);  // Each parent's keys to a child of its own.
        EXPECT_EQ(planned()[0].parent, open[1].id);
        EXPECT_EQ(planned()[1].parent, open[2].id);
        finish();
        expect_covered();
    }
}

TEST_F(ReshardTest, NothingIsDecidedWhileAJournalIsMissing) {
    create(2);
    apply(plan_split(table_, facts_, "a", ShardId(1), std::nullopt).value());
    carry_out(1);
    facts_.journals_missing = {JournalId(1)};
    std::erase_if(facts_.streams[0].shards, [](const auto& shard) { return shard.journal == JournalId(1); });
    const size_t before = stream().shards.size();
    reconcile_now();
    EXPECT_EQ(stream().row.state, StreamState::kResharding);
    EXPECT_EQ(stream().shards.size(), before);
}

TEST_F(ReshardTest, RefusalsSayWhatToDo) {
    create(4);
    const std::vector<ShardId> pair{ShardId(2), ShardId(4)};
    const std::string apart = explain_reshard(&stream(), pair, error_of(Errc::kBadArgument, 4));
    EXPECT_NE(apart.find("the neighbours of 2 are 1 and 3"), std::string::npos) << apart;
    const std::string outside = explain_reshard(&stream(), {ShardId(1)}, error_of(Errc::kBadArgument, 1));
    EXPECT_NE(outside.find("3fffffffffffffffffffffffffffffff"), std::string::npos) << outside;
    apply(plan_split(table_, facts_, "a", ShardId(1), std::nullopt).value());
    finish();
    const std::string closed = explain_reshard(&stream(), {ShardId(1)}, error_of(Errc::kShardClosed, 1));
    EXPECT_NE(closed.find("its children are 5, 6"), std::string::npos) << closed;
}

}  // namespace
}  // namespace eagre::streams
