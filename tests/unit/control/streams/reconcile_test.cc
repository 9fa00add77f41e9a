// Facts win. Each test is one way in which a catalogue and journals can differ; the last makes up
// thousands of them from seeds and checks what must hold whatever the difference: reconciling is
// idempotent, facts are all there, nothing that a missing journal may know is dropped.
#include "control/streams/reconcile.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "control/catalog/sqlite_catalog.h"
#include "control/log/log.h"
#include "control/streams/hash_ranges.h"
#include "control/streams/streams.h"
#include "wire/base/prng.h"

namespace eagre::streams {
namespace {

using catalog::StreamState;

/// A table behind a catalogue in memory, so that changes are applied exactly as they will be.
struct World {
    World() : catalog(std::move(*catalog::open_sqlite_catalog(":memory:", 1))) {
        log::set_level(log::Level::kOff);
        catalog->watch(&table);
    }
    void apply(const catalog::Change& change) {
        const auto applied = catalog->apply(change);
        ASSERT_TRUE(applied.has_value() && *applied);
    }
    Reconciliation reconcile_now() {
        auto agreed = reconcile(table, facts);
        apply(agreed.change);
        return agreed;
    }
    /// Into the catalogue only.
    StreamId plan(const std::string& name, uint32_t shard_count,
                  StreamState state = StreamState::kActive) {
        Facts journals = facts;
        journals.journal_count = std::max(journals.journal_count, 1U);
        apply(plan_create(table, journals, {name, shard_count, 0, 0}, 1).value());
        catalog::Change change;
        change.put_streams.push_back(table.find(name)->row);
        change.put_streams[0].state = state;
        apply(change);
        return table.find(name)->row.id;
    }
    /// What the catalogue says of `id`, as the journals would.
    StreamFact fact_of(StreamId id) {
        const Stream& stream = *table.find(id);
        StreamFact fact;
        fact.id = id;
        fact.name = stream.row.name;
        fact.map_version = stream.row.map_version;
        fact.retention_ms = stream.row.retention_ms;
        fact.record_bytes_max = stream.row.record_bytes_max;
        for (const auto& row : stream.shards) {
            ShardFact shard;
            shard.id = row.id;
            shard.range = row.range;
            shard.journal = row.journal;
            shard.first_sequence = row.first_sequence;
            shard.ordinal = row.ordinal;
            fact.shards.push_back(shard);
            facts.shard_id_max = std::max(facts.shard_id_max, row.id);
        }
        facts.stream_id_max = std::max(facts.stream_id_max, id);
        return fact;
    }

    std::unique_ptr<catalog::Catalog> catalog;
    StreamTable table;
    Facts facts{.streams = {},
                .journal_count = 2,
                .journals_missing = {},
                .stream_id_max = {},
                .shard_id_max = {},
                .clock_waits = false};
};

TEST(Reconcile, SaysNothingWhenBothAgree) {
    World world;
    world.facts.streams.push_back(world.fact_of(world.plan("a", 3)));
    const auto agreed = world.reconcile_now();
    EXPECT_TRUE(agreed.change.empty());
    EXPECT_TRUE(agreed.notes.empty());
}

TEST(Reconcile, KeepsAnIntentionWhoseIdsWereNeverUsed) {
    World world;
    const StreamId id = world.plan("a", 3, StreamState::kCreating);
    world.reconcile_now();
    ASSERT_NE(world.table.find(id), nullptr);
    EXPECT_EQ(world.table.find(id)->row.state, StreamState::kCreating);
}

TEST(Reconcile, DropsAnIntentionWhoseIdsAreUsedUp) {
    World world;
    const StreamId id = world.plan("a", 3, StreamState::kCreating);
    world.facts.shard_id_max = ShardId(2);
    world.reconcile_now();
    EXPECT_EQ(world.table.find(id), nullptr);
    // The next ids are above all that was ever used.
    EXPECT_GT(world.plan("b", 1), id);
    EXPECT_GT(world.table.find("b")->shards[0].id.value, 3U);
}

TEST(Reconcile, RaisesMaximaAboveEveryFact) {
    World world;
    world.facts.shard_id_max = ShardId(100);
    world.facts.stream_id_max = StreamId(50);
    world.reconcile_now();
    EXPECT_EQ(world.table.meta().shard_id_max, ShardId(100));
    EXPECT_EQ(world.plan("a", 1), StreamId(51));
    EXPECT_EQ(world.table.find("a")->shards[0].id, ShardId(101));
}

TEST(Reconcile, TakesAttributesFromFactsUnlessAChangeIsIntended) {
    World world;
    const StreamId active = world.plan("active", 1);
    const StreamId changing = world.plan("changing", 1, StreamState::kChanging);
    for (const StreamId id : {active, changing}) {
        world.facts.streams.push_back(world.fact_of(id));
        world.facts.streams.back().retention_ms = 123;
    }
    world.reconcile_now();
    EXPECT_EQ(world.table.find(active)->row.retention_ms, 123U);
    EXPECT_EQ(world.table.find(changing)->row.retention_ms, kRetentionMsDefault);
    EXPECT_EQ(world.table.find(changing)->row.state, StreamState::kChanging);
}

TEST(Reconcile, GivesTheSecondOfTwoNamesakesAnotherName) {
    World world;
    world.plan("a", 2);  // On journals 0 and 1, of which one is missing now.
    world.facts.journals_missing = {JournalId(0), JournalId(1)};
    StreamFact twin;
    twin.id = StreamId(9);
    twin.name = "a";
    twin.shards.resize(1);  // On journal 0.
    twin.shards[0].id = ShardId(20);
    twin.shards[0].range = {HashKey{}, kHashKeyMax};
    world.facts.streams.push_back(twin);
    world.reconcile_now();
    EXPECT_NE(world.table.find("a"), nullptr);
    ASSERT_NE(world.table.find("a.9"), nullptr);
    world.facts.journals_missing.clear();
    world.reconcile_now();
    EXPECT_EQ(world.table.find("a"), nullptr) << "no journal knows the first any more";
}

TEST(Reconcile, DropsOnlyTheShardsThatCompleteJournalsDeny) {
    World world;
    const StreamId id = world.plan("a", 4);
    StreamFact fact = world.fact_of(id);
    world.facts.streams = {fact};
    world.facts.streams[0].shards.erase(world.facts.streams[0].shards.begin(),
                                        world.facts.streams[0].shards.begin() + 2);
    world.facts.journals_missing = {JournalId(0)};
    world.reconcile_now();
    // Shards 1 and 3 lie on the missing journal 0; 2 is denied by journal 1.
    const auto& shards = world.table.find(id)->shards;
    EXPECT_EQ(shards.size(), 3U);
    EXPECT_TRUE(std::none_of(shards.begin(), shards.end(),
                             [](const auto& shard) { return shard.id == ShardId(2); }));
}

TEST(Reconcile, HoldsWhateverTheDifference) {
    for (uint64_t seed = 1; seed <= 2000; ++seed) {
        Prng prng(seed);
        World world;
        for (uint64_t i = 0, count = prng.below(6); i < count; ++i) {
            const auto state = static_cast<StreamState>(1 + prng.below(4));
            const StreamId id = world.plan("s" + std::to_string(i),
                                           1 + static_cast<uint32_t>(prng.below(5)), state);
            if (prng.chance(600'000)) {
                StreamFact fact = world.fact_of(id);
                if (prng.chance(300'000)) fact.shards.resize(prng.below(fact.shards.size() + 1));
                if (prng.chance(300'000)) fact.retention_ms = 77;
                world.facts.streams.push_back(fact);
            }
        }
        if (prng.chance(300'000)) {
            StreamFact unknown;
            unknown.id = StreamId(100 + prng.below(5));
            unknown.name = "s" + std::to_string(prng.below(6));
            for (const auto& range : divide_hash_keys(3)) {
                ShardFact shard;
                shard.id = ShardId(1000 + prng.below(1000) * 3 + unknown.shards.size());
                shard.range = range;
                shard.journal = JournalId(1);
                if (prng.chance(800'000)) unknown.shards.push_back(shard);
            }
            world.facts.streams.push_back(unknown);
        }
        if (prng.chance(200'000)) {
            world.facts.journals_missing.push_back(JournalId(0));
            for (auto& stream : world.facts.streams)
                std::erase_if(stream.shards,
                              [](const auto& s) { return s.journal == JournalId(0); });
        }
        std::erase_if(world.facts.streams,
                      [](const auto& stream) { return stream.shards.empty(); });

        std::vector<catalog::ShardRow> unknowable;
        for (const auto& [id, stream] : world.table.streams()) {
            if (stream.row.state != StreamState::kActive) continue;
            for (const auto& shard : stream.shards) {
                if (!world.facts.journal_available(shard.journal)) unknowable.push_back(shard);
            }
        }
        world.reconcile_now();
        const auto has = [&](StreamId stream, ShardId shard) {
            const Stream* found = world.table.find(stream);
            return found != nullptr && std::any_of(found->shards.begin(), found->shards.end(),
                                                   [&](const auto& s) { return s.id == shard; });
        };
        for (const auto& row : unknowable) ASSERT_TRUE(has(row.stream, row.id)) << "seed " << seed;
        for (const auto& fact : world.facts.streams) {
            ASSERT_NE(world.table.find(fact.id), nullptr) << "seed " << seed;
            if (world.table.find(fact.id)->row.state == StreamState::kDeleting) continue;
            for (const auto& shard : fact.shards) {
                ASSERT_TRUE(has(fact.id, shard.id)) << "seed " << seed;
                ASSERT_GE(world.table.meta().shard_id_max, shard.id);
            }
        }
        const auto again = reconcile(world.table, world.facts);
        ASSERT_TRUE(again.change.empty())
            << "not idempotent: seed " << seed << " " << testing::PrintToString(again.notes);
    }
}

}  // namespace
}  // namespace eagre::streams
