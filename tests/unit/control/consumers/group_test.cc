// One group: leases, tokens, checkpoints, parents before children; and at random, with members that
// die, sleep, come back and checkpoint late: there are never two holders whose tokens count.
#include "control/consumers/group.h"

#include <algorithm>
#include <set>

#include <gtest/gtest.h>

#include "wire/base/prng.h"

namespace eagre::consumers {
namespace {

constexpr uint64_t kMs = 1'000'000;
constexpr uint64_t kHeartbeatMs = 3000;

catalog::ShardRow shard_row(uint64_t id, uint64_t parent = 0, uint64_t adjacent = 0, bool open = true) {
    catalog::ShardRow row;
    row.id = ShardId(id);
    row.parent = ShardId(parent);
    row.adjacent_parent = ShardId(adjacent);
    row.open = open;
    row.first_sequence = SequenceNumber(1);
    return row;
}

class GroupRig {
  public:
    explicit GroupRig(uint32_t shard_count)
        : group(catalog::GroupRow{catalog::GroupId(1), StreamId(1), "g", kHeartbeatMs, 0, 0}) {
        for (uint32_t i = 1; i <= shard_count; ++i) shards.push_back(shard_row(i));
        group.put_shards(shards, fence);
    }
    uint64_t join(const std::string& name) {
        const auto session = group.join(name, fence, now);
        EXPECT_TRUE(session.has_value());
        settle();
        return session.value_or(0);
    }
    void settle() {
        group.expire(now);
        group.settle(fence, now);
    }
    void pass(uint64_t ms) {
        now.monotonic_ns += ms * kMs;
        now.wall_ns += ms * kMs;
        settle();
    }
    void beat(const std::string& name) { group.members().at(name).seen_ns = now.monotonic_ns; }
    Error mark(const std::string& name, const Mark& what) {
        std::vector<Refusal> refusals;
        group.take_marks(group.members().at(name), std::span(&what, 1), fence, now, refusals);
        settle();
        return refusals.empty() ? Error{} : refusals[0].error;
    }
    Held held(const std::string& name, size_t index = 0) { return group.leases_of(name).at(index); }
    size_t count(const std::string& name) { return group.leases_of(name).size(); }
    /// Gives back everything that is asked back, until nothing is.
    void oblige() {
        for (int i = 0; i < 10; ++i) {
            for (const auto& [name, member] : group.members()) {
                for (const Held& each : group.leases_of(name)) {
                    if (!each.release) continue;
                    EXPECT_EQ(mark(name, {each.shard, each.token, {}, false, true}).code, Errc::kOk);
                }
            }
        }
    }

    Fence fence;
    Now now{1'000'000'000, 50'000'000'000};
    std::vector<catalog::ShardRow> shards;
    Group group;
};

TEST(Group, TheFirstMemberGetsEverything) {
    GroupRig rig(4);
    rig.join("a");
    EXPECT_EQ(rig.count("a"), 4U);
}

TEST(Group, ASecondMemberGetsNothingBeforeTheFirstGivesItUp) {
    GroupRig rig(4);
    rig.join("a");
    rig.join("b");
    EXPECT_EQ(rig.count("a"), 4U);
    EXPECT_EQ(rig.count("b"), 0U);
    const auto held = rig.group.leases_of("a");
    EXPECT_EQ(std::count_if(held.begin(), held.end(), [](const Held& each) { return each.release; }), 2);
    const Held last = held.back();
    ASSERT_TRUE(last.release);
    EXPECT_EQ(rig.mark("a", {last.shard, last.token, SequenceNumber(77), false, true}).code, Errc::kOk);
    ASSERT_EQ(rig.count("b"), 1U);
    EXPECT_EQ(rig.held("b").shard, last.shard);
    EXPECT_EQ(rig.held("b").next, SequenceNumber(77)) << "goes on where the first one was";
    EXPECT_GT(rig.held("b").token, last.token);
}

TEST(Group, WhoKeepsWhatWasAskedBackLosesIt) {
    GroupRig rig(1);
    rig.join("a");
    const Held before = rig.held("a");
    rig.group.row().heartbeat_ms = 1'000'000;
    rig.shards.push_back(shard_row(2));
    rig.group.put_shards(rig.shards, rig.fence);
    rig.settle();
    rig.join("b");
    const auto held = rig.group.leases_of("a");
    ASSERT_EQ(held.size(), 2U);
    ASSERT_TRUE(held[1].release);
    rig.pass(kReleaseNsMax / kMs);
    EXPECT_EQ(rig.count("b"), 1U);
    EXPECT_EQ(rig.mark("a", {held[1].shard, held[1].token, SequenceNumber(5), false, false}).code, Errc::kLeaseLost);
    EXPECT_EQ(rig.mark("a", {before.shard, before.token, SequenceNumber(5), false, false}).code, Errc::kOk);
}

TEST(Group, LeavingHandsOverAtOnce) {
    GroupRig rig(4);
    rig.join("a");
    rig.join("b");
    rig.oblige();
    ASSERT_EQ(rig.count("a"), 2U);
    ASSERT_EQ(rig.count("b"), 2U);
    rig.group.leave("a", error_of(Errc::kUnknownMember));
    rig.settle();
    EXPECT_EQ(rig.count("b"), 4U);
}

TEST(Group, TheSilentAreTakenForDeadAfterTheLimitAndNotBefore) {
    GroupRig rig(2);
    const uint64_t session = rig.join("a");
    rig.join("b");
    rig.oblige();
    const Held lost = rig.held("a");
    rig.pass(kHeartbeatMs - 1);
    rig.beat("b");
    EXPECT_EQ(rig.count("b"), 1U);
    rig.pass(1);
    EXPECT_EQ(rig.count("b"), 2U);
    EXPECT_EQ(rig.group.find("a", session).error().code, Errc::kUnknownMember);
    // It comes back, and does not get its old token back.
    rig.join("a");
    EXPECT_EQ(rig.mark("a", {lost.shard, lost.token, SequenceNumber(9), false, false}).code, Errc::kLeaseLost);
}

TEST(Group, ANewProcessUnderTheSameNameKeepsTheShardsAndFencesTheOldOne) {
    GroupRig rig(2);
    const uint64_t first = rig.join("a");
    const Held before = rig.held("a");
    const uint64_t second = rig.join("a");
    EXPECT_NE(first, second);
    EXPECT_EQ(rig.count("a"), 2U);
    EXPECT_EQ(rig.group.find("a", first).error().code, Errc::kMemberReplaced);
    EXPECT_EQ(rig.mark("a", {before.shard, before.token, SequenceNumber(3), false, false}).code, Errc::kLeaseLost);
    EXPECT_EQ(rig.mark("a", {before.shard, rig.held("a").token, SequenceNumber(3), false, false}).code, Errc::kOk);
}

TEST(Group, CheckpointsDoNotRunBackwards) {
    GroupRig rig(1);
    rig.join("a");
    const Held held = rig.held("a");
    EXPECT_EQ(rig.mark("a", {held.shard, held.token, SequenceNumber(10), false, false}).code, Errc::kOk);
    EXPECT_EQ(rig.mark("a", {held.shard, held.token, SequenceNumber(10), false, false}).code, Errc::kOk);
    const Error behind = rig.mark("a", {held.shard, held.token, SequenceNumber(9), false, true});
    EXPECT_EQ(behind.code, Errc::kCheckpointBehind);
    EXPECT_EQ(behind.detail, 10U);
    EXPECT_EQ(rig.count("a"), 1U) << "what was refused was not given back either";
    EXPECT_EQ(rig.mark("a", {ShardId(9), 1, SequenceNumber(1), false, false}).code, Errc::kUnknownShard);
}

TEST(Group, ParentsComeBeforeChildren) {
    GroupRig rig(1);
    rig.join("a");
    // 1 is split into 2 and 3; these are merged into 4.
    rig.shards = {shard_row(1, 0, 0, false), shard_row(2, 1, 0, false), shard_row(3, 1, 0, false), shard_row(4, 2, 3)};
    rig.group.put_shards(rig.shards, rig.fence);
    rig.settle();
    const auto ids = [&] {
        std::vector<uint64_t> list;
        for (const Held& each : rig.group.leases_of("a")) list.push_back(each.shard.value);
        return list;
    };
    const auto end = [&](uint64_t shard) {
        for (const Held& each : rig.group.leases_of("a")) {
            if (each.shard.value == shard) return rig.mark("a", {each.shard, each.token, SequenceNumber(100), true, false});
        }
        return error_of(Errc::kUnknownShard);
    };
    EXPECT_EQ(ids(), std::vector<uint64_t>{1});
    EXPECT_EQ(end(1).code, Errc::kOk);
    EXPECT_EQ(ids(), (std::vector<uint64_t>{2, 3}));
    EXPECT_EQ(end(2).code, Errc::kOk);
    EXPECT_EQ(ids(), std::vector<uint64_t>{3}) << "a merged shard waits for both parents";
    EXPECT_EQ(end(3).code, Errc::kOk);
    EXPECT_EQ(ids(), std::vector<uint64_t>{4});
    EXPECT_EQ(end(4).code, Errc::kBusy) << "an open shard has no end";
    // A reset to the beginning takes the child away until its parents have been read again.
    const std::vector<std::pair<ShardId, SequenceNumber>> all = {
        {ShardId(1), {}}, {ShardId(2), {}}, {ShardId(3), {}}, {ShardId(4), {}}};
    rig.group.reset(all, rig.fence, rig.now);
    rig.settle();
    EXPECT_EQ(ids(), std::vector<uint64_t>{1});
    // Retention takes 1, 2 and 3: nothing is left to wait for.
    rig.shards = {shard_row(4, 2, 3)};
    rig.group.put_shards(rig.shards, rig.fence);
    rig.settle();
    EXPECT_EQ(ids(), std::vector<uint64_t>{4});
}

TEST(Group, APlannedShardIsNobodysYet) {
    GroupRig rig(1);
    rig.join("a");
    rig.shards.push_back(shard_row(2));
    rig.shards.back().first_sequence = SequenceNumber(0);
    rig.group.put_shards(rig.shards, rig.fence);
    rig.settle();
    EXPECT_EQ(rig.count("a"), 1U);
    rig.shards.back().first_sequence = SequenceNumber(90);
    rig.group.put_shards(rig.shards, rig.fence);
    rig.settle();
    EXPECT_EQ(rig.count("a"), 2U);
}

TEST(Group, ResetFencesWhoReads) {
    GroupRig rig(1);
    rig.join("a");
    const Held before = rig.held("a");
    EXPECT_EQ(rig.mark("a", {before.shard, before.token, SequenceNumber(50), false, false}).code, Errc::kOk);
    const std::vector<std::pair<ShardId, SequenceNumber>> back = {{ShardId(1), SequenceNumber(7)}};
    rig.group.reset(back, rig.fence, rig.now);
    rig.settle();
    EXPECT_EQ(rig.mark("a", {before.shard, before.token, SequenceNumber(60), false, false}).code, Errc::kLeaseLost);
    EXPECT_EQ(rig.held("a").next, SequenceNumber(7));
}

TEST(Group, IsTheSameAfterItWasWrittenDownAndReadBack) {
    GroupRig rig(3);
    rig.join("a");
    rig.join("b");
    rig.oblige();
    const Held held = rig.held("a");
    rig.mark("a", {held.shard, held.token, SequenceNumber(12), false, false});
    catalog::Change change;
    rig.group.take_changes(change);
    Group again(rig.group.row());
    Fence fence;
    again.restore(change.put_leases, change.put_members, fence, rig.now);
    again.put_shards(rig.shards, fence);
    again.settle(fence, rig.now);
    for (const char* name : {"a", "b"}) {
        const auto before = rig.group.leases_of(name);
        const auto after = again.leases_of(name);
        ASSERT_EQ(before.size(), after.size());
        for (size_t i = 0; i < before.size(); ++i) {
            EXPECT_EQ(before[i].shard, after[i].shard);
            EXPECT_EQ(before[i].token, after[i].token);
            EXPECT_EQ(before[i].next, after[i].next);
        }
    }
    // A new lease gets a token above all that were ever given.
    EXPECT_GT(fence.next(), held.token);
}

TEST(Group, HasABound) {
    GroupRig rig(1);
    for (uint32_t i = 0; i < kMembersPerGroupMax; ++i)
        ASSERT_TRUE(rig.group.join("m" + std::to_string(i), rig.fence, rig.now).has_value());
    EXPECT_EQ(rig.group.join("more", rig.fence, rig.now).error().code, Errc::kLimitExceeded);
}

/// Members as they are: each believes what it was last told, and some never hear of it.
class RandomMembers {
  public:
    explicit RandomMembers(uint64_t seed) : prng_(seed), rig_(1 + static_cast<uint32_t>(seed % 7)) {}

    void run(uint32_t steps) {
        for (uint32_t i = 0; i < steps; ++i) {
            step();
            check();
            if (testing::Test::HasFatalFailure()) return;
        }
    }

  private:
    struct Belief {
        std::string member;
        uint64_t session = 0;
        Held held;
    };
    std::string some_member() { return std::string(1, static_cast<char>('a' + prng_.next() % 5)); }

    void step() {
        const std::string name = some_member();
        const bool there = rig_.group.members().count(name) != 0;
        switch (prng_.next() % 10) {
            case 0:
                sessions_[name] = rig_.join(name);
                break;
            case 1:
                if (there) rig_.group.leave(name, error_of(Errc::kUnknownMember));
                rig_.settle();
                break;
            case 2:
                rig_.pass(prng_.next() % kHeartbeatMs);
                break;
            case 3:
            case 4:
                if (there) rig_.beat(name);
                break;
            default:
                if (!beliefs_.empty()) late_mark(beliefs_[prng_.next() % beliefs_.size()]);
        }
        for (const auto& [member, entry] : rig_.group.members()) {
            for (const Held& held : rig_.group.leases_of(member)) {
                if (seen_.insert(held.token).second) beliefs_.push_back({member, entry.row.session, held});
            }
        }
    }

    /// With whatever token it once had, now or long after.
    void late_mark(const Belief& belief) {
        const auto member = rig_.group.find(belief.member, belief.session);
        const Lease before = rig_.group.leases().at(belief.held.shard);
        if (!member) {
            ASSERT_TRUE(member.error().code == Errc::kUnknownMember || member.error().code == Errc::kMemberReplaced);
            return;
        }
        Mark mark{belief.held.shard, belief.held.token, SequenceNumber(before.row.next.value + prng_.next() % 3), false,
                  prng_.next() % 3 == 0};
        const Error error = rig_.mark(belief.member, mark);
        const bool counts = before.row.member == belief.member && before.row.token == belief.held.token;
        ASSERT_EQ(error.code == Errc::kOk, counts) << errc_name(error.code);
        if (!counts) {
            ASSERT_EQ(rig_.group.leases().at(belief.held.shard).row.next, before.row.next);
        }
    }

    void check() {
        size_t free = 0;
        for (const auto& [shard, lease] : rig_.group.leases()) {
            // Of all tokens ever given for a shard one counts, the largest; checkpoints never fall.
            ASSERT_GE(lease.row.token, tokens_[shard]);
            ASSERT_GE(lease.row.next, checkpoints_[shard]);
            tokens_[shard] = lease.row.token;
            checkpoints_[shard] = lease.row.next;
            for (const Belief& belief : beliefs_) {
                ASSERT_TRUE(belief.held.shard != shard || belief.held.token <= lease.row.token);
            }
            if (lease.row.member.empty()) ++free;
        }
        ASSERT_TRUE(free == 0 || rig_.group.members().empty()) << "a shard that nobody reads though somebody could";
    }

    Prng prng_;
    GroupRig rig_;
    std::map<std::string, uint64_t> sessions_;
    std::vector<Belief> beliefs_;
    std::set<uint64_t> seen_;
    std::map<ShardId, uint64_t> tokens_;
    std::map<ShardId, SequenceNumber> checkpoints_;
};

TEST(Group, NeverHasTwoHoldersWhoseTokensCount) {
    for (uint64_t seed = 1; seed <= 60; ++seed) {
        SCOPED_TRACE(seed);
        RandomMembers(seed).run(250);
        if (HasFatalFailure()) return;
    }
}

}  // namespace
}  // namespace eagre::consumers
