// All groups: requests and answers, heartbeats that are held back, names, limits, streams that go, and
// what comes back from the catalogue after every step.
#include "control/consumers/groups.h"

#include <gtest/gtest.h>

#include "control/catalog/sqlite_catalog.h"
#include "control/consumers/group_codec.h"
#include "control/log/log.h"

namespace eagre::consumers {
namespace {

using wire::GroupOp;

constexpr uint64_t kMs = 1'000'000;

class GroupsTest : public testing::Test {
  protected:
    GroupsTest() : groups(table) {
        log::set_level(log::Level::kOff);
        catalog = std::move(*catalog::open_sqlite_catalog(":memory:", 1));
        catalog->watch(&table);
        put_stream(1, "quotes", {1, 2, 3, 4});
        put_stream(2, "trades", {9});
        EXPECT_TRUE(groups.load(*catalog, now).has_value());
    }

    void put_stream(uint64_t id, const std::string& name, const std::vector<uint64_t>& shards,
                    catalog::StreamState state = catalog::StreamState::kActive) {
        catalog::Change change;
        catalog::StreamRow row;
        if (const streams::Stream* known = table.find(StreamId(id))) row = known->row;
        row.id = StreamId(id);
        row.name = name;
        row.state = state;
        change.put_streams.push_back(row);
        for (const uint64_t shard : shards) {
            catalog::ShardRow each;
            each.id = ShardId(shard);
            each.stream = row.id;
            each.first_sequence = SequenceNumber(1);
            change.put_shards.push_back(each);
        }
        ASSERT_TRUE(catalog->apply(change).value());
    }

    /// A turn: as the controller does it.
    std::vector<Answer> turn() {
        groups.advance(now);
        const catalog::Change change = groups.take_change();
        if (!change.empty()) {
            const auto applied = catalog->apply(change);
            EXPECT_TRUE(applied.has_value() && *applied);
        }
        return groups.take_answers();
    }
    Answer ask(Ask what) {
        what.ticket = ++ticket;
        groups.take(what, now);
        for (Answer& answer : turn()) {
            if (answer.ticket == what.ticket) return std::move(answer);
        }
        Answer none;
        none.error = error_of(Errc::kTimeout);
        return none;
    }
    Answer join(const std::string& member, const std::string& group = "g", const std::string& stream = "quotes") {
        Ask what;
        what.op = GroupOp::Join;
        what.stream = stream;
        what.group = group;
        what.member = member;
        return ask(what);
    }
    Ask of(GroupOp op, const std::string& member, const Answer& joined) {
        Ask what;
        what.op = op;
        what.stream = "quotes";
        what.group = "g";
        what.member = member;
        what.session = joined.session;
        what.version = joined.version;
        what.wait_ms = 100'000;
        return what;
    }
    /// Another process on the same catalogue.
    void restart() {
        catalog::Change nothing;
        EXPECT_TRUE(groups.take_change().empty()) << "an answer was given before it was written down";
        EXPECT_TRUE(groups.load(*catalog, now).has_value());
    }

    streams::StreamTable table;
    std::unique_ptr<catalog::Catalog> catalog;
    Groups groups;
    Now now{5'000'000'000, 1'700'000'000'000'000'000ULL};
    uint64_t ticket = 0;
};

TEST_F(GroupsTest, JoiningMakesTheGroup) {
    const Answer joined = join("a");
    EXPECT_EQ(joined.error.code, Errc::kOk);
    EXPECT_EQ(joined.leases.size(), 4U);
    EXPECT_EQ(joined.heartbeat_ms, kGroupHeartbeatMsDefault);
    EXPECT_NE(joined.session, 0U);
    EXPECT_EQ(groups.find("quotes", "g").value()->members().size(), 1U);
    EXPECT_EQ(groups.find("trades", "g").error().code, Errc::kUnknownGroup);
}

TEST_F(GroupsTest, SaysWhatIsWrong) {
    EXPECT_EQ(join("a", "g", "nothing").error.code, Errc::kUnknownStream);
    EXPECT_EQ(join("a", "no blanks").error.code, Errc::kBadArgument);
    EXPECT_EQ(join("").error.code, Errc::kBadArgument);
    const Answer joined = join("a");
    EXPECT_EQ(ask(of(GroupOp::Checkpoint, "b", joined)).error.code, Errc::kUnknownMember);
    Ask other = of(GroupOp::Checkpoint, "a", joined);
    other.group = "other";
    EXPECT_EQ(ask(other).error.code, Errc::kUnknownGroup);
    other = of(GroupOp::Checkpoint, "a", joined);
    --other.session;
    EXPECT_EQ(ask(other).error.code, Errc::kMemberReplaced);
    EXPECT_EQ(ask(of(GroupOp::None, "a", joined)).error.code, Errc::kBadArgument);
    EXPECT_EQ(groups.create("quotes", "g", 0, {}, now).error().code, Errc::kGroupExists);
    EXPECT_EQ(groups.create("quotes", "h", 1, {}, now).error().code, Errc::kBadArgument);
    EXPECT_EQ(groups.reset("quotes", "g", {}, false, now).error().code, Errc::kGroupBusy);
    EXPECT_EQ(groups.remove("quotes", "g", false).error().code, Errc::kGroupBusy);
    EXPECT_EQ(groups.remove("quotes", "h", false).error().code, Errc::kUnknownGroup);
}

TEST_F(GroupsTest, AHeartbeatIsHeldBackUntilThereIsSomethingToSay) {
    const Answer joined = join("a");
    Ask beat = of(GroupOp::Heartbeat, "a", joined);
    EXPECT_EQ(ask(beat).error.code, Errc::kTimeout) << "nothing has changed";
    const uint64_t parked = ticket;
    const Answer other = join("b");
    // b's joining asks a for two shards: a hears of it in the same turn.
    groups.take(of(GroupOp::Heartbeat, "b", other), now);
    const auto held = groups.find("quotes", "g").value()->leases_of("a");
    EXPECT_EQ(std::count_if(held.begin(), held.end(), [](const Held& each) { return each.release; }), 2);
    EXPECT_FALSE(groups.find("quotes", "g").value()->members().at("a").parked.has_value());
    EXPECT_GT(ticket, parked);
}

TEST_F(GroupsTest, TheAnswerToTheEndOfAParentHasItsChildren) {
    catalog::Change change;
    const auto put = [&](uint64_t id, uint64_t parent, bool open) {
        catalog::ShardRow row;
        row.id = ShardId(id);
        row.stream = StreamId(2);
        row.first_sequence = SequenceNumber(1);
        row.parent = ShardId(parent);
        row.open = open;
        change.put_shards.push_back(row);
    };
    put(9, 0, false);
    put(10, 9, true);
    put(11, 9, true);
    ASSERT_TRUE(catalog->apply(change).value());
    groups.put_streams();
    const Answer joined = join("a", "g", "trades");
    ASSERT_EQ(joined.leases.size(), 1U);
    Ask end = of(GroupOp::Checkpoint, "a", joined);
    end.stream = "trades";
    end.marks.push_back({ShardId(9), joined.leases[0].token, SequenceNumber(21), true, false});
    const Answer answer = ask(end);
    ASSERT_EQ(answer.error.code, Errc::kOk);
    ASSERT_EQ(answer.leases.size(), 2U);
    EXPECT_EQ(answer.leases[0].shard, ShardId(10));
    EXPECT_EQ(answer.leases[1].shard, ShardId(11));
}

TEST_F(GroupsTest, AHeartbeatIsAnsweredAfterAThirdOfTheLimitAtTheLatest) {
    const Answer joined = join("a");
    EXPECT_EQ(ask(of(GroupOp::Heartbeat, "a", joined)).error.code, Errc::kTimeout);
    EXPECT_EQ(groups.next_deadline_ns(), now.monotonic_ns + kGroupHeartbeatMsDefault / 3 * kMs);
    now.monotonic_ns += kGroupHeartbeatMsDefault / 3 * kMs;
    const auto answers = turn();
    ASSERT_EQ(answers.size(), 1U);
    EXPECT_EQ(answers[0].version, joined.version);
}

TEST_F(GroupsTest, LeavingTellsTheOthersInTheSameTurn) {
    join("a");
    const Answer b = join("b");
    ASSERT_TRUE(b.leases.empty());
    const Answer a = join("a");  // Its process was started anew: two of its shards are asked back.
    Ask beat = of(GroupOp::Heartbeat, "b", b);
    beat.ticket = 1000;
    groups.take(beat, now);
    EXPECT_TRUE(turn().empty());
    Ask leave = of(GroupOp::Leave, "a", a);
    for (const Held& each : a.leases) leave.marks.push_back({each.shard, each.token, SequenceNumber(40 + each.shard.value), false, false});
    leave.ticket = 1001;
    groups.take(leave, now);
    const auto answers = turn();
    ASSERT_EQ(answers.size(), 2U);
    const Answer& told = answers[0].ticket == 1000 ? answers[0] : answers[1];
    ASSERT_EQ(told.leases.size(), 4U);
    for (const Held& each : told.leases) EXPECT_EQ(each.next.value, 40 + each.shard.value);
}

TEST_F(GroupsTest, EverythingIsThereAfterARestart) {
    const Answer joined = join("a");
    Ask mark = of(GroupOp::Checkpoint, "a", joined);
    mark.marks = {{joined.leases[2].shard, joined.leases[2].token, SequenceNumber(33), false, false}};
    EXPECT_TRUE(ask(mark).refusals.empty());
    restart();
    // The member goes on as if nothing had been: session and tokens count.
    mark.marks[0].next = SequenceNumber(34);
    const Answer taken = ask(mark);
    EXPECT_EQ(taken.error.code, Errc::kOk);
    EXPECT_TRUE(taken.refusals.empty());
    ASSERT_EQ(taken.leases.size(), 4U);
    EXPECT_EQ(taken.leases[2].next, SequenceNumber(34));
    // And is not late by what control was away.
    now.monotonic_ns += 2 * kGroupHeartbeatMsDefault * kMs;
    groups.excuse_all(now);
    turn();
    EXPECT_EQ(groups.find("quotes", "g").value()->members().size(), 1U);
}

TEST_F(GroupsTest, AStreamThatIsDeletedTakesItsGroupsAlong) {
    const Answer joined = join("a");
    EXPECT_EQ(ask(of(GroupOp::Heartbeat, "a", joined)).error.code, Errc::kTimeout);
    put_stream(1, "quotes", {}, catalog::StreamState::kDeleting);
    groups.put_streams();
    const auto answers = turn();
    ASSERT_EQ(answers.size(), 1U);
    EXPECT_EQ(answers[0].error.code, Errc::kUnknownStream);
    EXPECT_EQ(ask(of(GroupOp::Heartbeat, "a", joined)).error.code, Errc::kUnknownStream);
    catalog::Change gone;
    gone.delete_streams.push_back({StreamId(1), table.find(StreamId(1))->row.revision});
    ASSERT_TRUE(catalog->apply(gone).value());
    groups.put_streams();
    EXPECT_TRUE(turn().empty());
    EXPECT_TRUE(catalog->groups().value().empty());
}

TEST_F(GroupsTest, DeletingAGroupEndsItsMembers) {
    const Answer joined = join("a");
    EXPECT_EQ(ask(of(GroupOp::Heartbeat, "a", joined)).error.code, Errc::kTimeout);
    ASSERT_TRUE(groups.remove("quotes", "g", true).has_value());
    const auto answers = turn();
    ASSERT_EQ(answers.size(), 1U);
    EXPECT_EQ(answers[0].error.code, Errc::kUnknownGroup);
    EXPECT_TRUE(catalog->groups().value().empty());
    EXPECT_EQ(ask(of(GroupOp::Heartbeat, "a", joined)).error.code, Errc::kUnknownGroup);
    // The same name is another group, from the beginning, with tokens above the old ones.
    const Answer again = join("a");
    EXPECT_EQ(again.leases[0].next, SequenceNumber(0));
    EXPECT_GT(again.leases[0].token, joined.leases[3].token);
}

TEST_F(GroupsTest, AGroupThatBeginsElsewhereWaitsForPositions) {
    Ask what;
    what.op = GroupOp::Join;
    what.stream = "trades";
    what.group = "late";
    what.member = "a";
    what.start_position = 1;
    EXPECT_TRUE(groups.needs_positions(what));
    ASSERT_TRUE(groups.create("trades", "late", 0, {{ShardId(9), SequenceNumber(70)}}, now).has_value());
    EXPECT_FALSE(groups.needs_positions(what));
    const Answer joined = ask(what);
    ASSERT_EQ(joined.leases.size(), 1U);
    EXPECT_EQ(joined.leases[0].next, SequenceNumber(70));
}

TEST_F(GroupsTest, NamesHaveABoundPerStream) {
    for (uint32_t i = 0; i < kGroupsPerStreamMax; ++i)
        ASSERT_TRUE(groups.create("quotes", "g" + std::to_string(i), 0, {}, now).has_value());
    const Status more = groups.create("quotes", "more", 0, {}, now);
    EXPECT_EQ(more.error().code, Errc::kLimitExceeded);
    EXPECT_EQ(more.error().detail, kGroupsPerStreamMax);
    EXPECT_TRUE(groups.create("trades", "more", 0, {}, now).has_value());
}

TEST(GroupCodec, RefusesWhatIsNoRequest) {
    const std::vector<std::byte> noise(64, std::byte{0x7F});
    EXPECT_EQ(decode_ask(noise).error().code, Errc::kBadSchema);
}

}  // namespace
}  // namespace eagre::consumers
