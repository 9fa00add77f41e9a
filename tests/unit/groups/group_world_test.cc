// Consumer groups end to end in one thread: two cores, control, a producer and members on the simulated network, driven from a
// seed. Members come, leave, die and fall asleep, control dies and comes back. In good order every record is handed out once;
// whatever happens, every record is handed out, in order, and checkpoints end at the tail.
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/sim_control.h"
#include "tests/sim/sim_eagred.h"
#include "tests/support/sim_transport.h"
#include "wire/client/group_consumer.h"

namespace eagre::test {
namespace {

constexpr uint64_t kMs = 1'000'000;
constexpr uint64_t kSecondNs = 1'000 * kMs;
constexpr uint64_t kHeartbeatNs = 1'000 * kMs;
constexpr uint64_t kLimitNs = 60 * kSecondNs;
constexpr const char* kStream = "quotes";

class World {
  public:
    explicit World(uint64_t seed, uint32_t shard_count = 4) : prng(seed), world(seed), control(world) {
        Options options;
        options.cpus = {0, 1};
        options.wait = reactor::WaitPolicy::kSpin;
        options.stats_shard_capacity = 64;
        options.ack_queue_count = 4096;
        options.journal.segment_bytes = 1 << 20U;
        options.journal.ready_segment_count = 1;
        options.journal.window_bytes = 1 << 20U;
        options.journal.commit_bytes_max = 32 << 10U;
        options.journal.run_index_count = 4096;
        options.journal.shard_count_max = 64;
        options.journal.producer_state_count_max = 64;
        options.journal.disk_reserve_bytes = 0;
        auto started = SimEagred::start(world, disk, options);
        EXPECT_TRUE(started.has_value());
        eagred = std::move(*started);
        control.start();
        EXPECT_TRUE(world.run_until([this] { return control.ready(); }, kLimitNs));
        EXPECT_TRUE(control.create_stream(kStream, shard_count).has_value());
        producer_client = connect();
        producer_actor = world.add_actor([this] { producer_client->poll(0); });
        auto made = producer_client->make_producer(kStream, {});
        EXPECT_TRUE(made.has_value());
        producer = std::move(*made);
        producer->on_outcome([this](const client::BatchOutcome& outcome) {
            EXPECT_EQ(outcome.error.code, Errc::kOk);
            for (uint32_t i = 0; i < outcome.record_count; ++i)
                sent.insert({outcome.shard.value, outcome.first_sequence.value + i});
        });
    }
    ~World() {
        members.clear();
        world.remove_actor(producer_actor);
        producer.reset();
        producer_client.reset();
        control.kill();
        (void)eagred->stop();
    }
    World(const World&) = delete;
    World& operator=(const World&) = delete;

    struct Member {
        explicit Member(World& owner) : world(owner) {}
        ~Member() {
            world.world.remove_actor(actor);
            consumer.reset();
            client.reset();
        }
        Member(const Member&) = delete;
        Member& operator=(const Member&) = delete;
        World& world;
        std::unique_ptr<client::Client> client;
        std::unique_ptr<client::GroupConsumer> consumer;
        io::sim::SimWorld::ActorId actor = 0;
        uint64_t asleep_until_ns = 0;
        std::map<uint64_t, uint64_t> next;  // By shard, since its last lease: what must come next.
        std::map<uint64_t, uint64_t> tokens;
    };

    std::unique_ptr<client::Client> connect() {
        client::ClientOptions options;
        auto connected = client::Client::connect(std::make_unique<SimTransport>(world), options);
        EXPECT_TRUE(connected.has_value());
        return std::move(*connected);
    }
    /// Null: control did not take it.
    Member* join(const std::string& name) {
        auto member = std::make_unique<Member>(*this);
        Member* raw = member.get();
        raw->client = connect();
        client::GroupOptions options;
        options.member = name;
        options.heartbeat_ns = kHeartbeatNs;
        options.checkpoint_interval_ns = 200 * kMs;
        auto joined = raw->client->join_group(kStream, "g", options);
        if (!joined) {
            refusals.push_back(joined.error().code);
            return nullptr;
        }
        raw->consumer = std::move(*joined);
        raw->consumer->on_granted([raw](const client::GroupLease& lease) { granted(*raw, lease); });
        for (const client::GroupLease& lease : raw->consumer->leases()) granted(*raw, lease);
        raw->consumer->on_delivery([raw](const client::Delivery& delivery) { raw->world.take(*raw, delivery); });
        raw->actor = world.add_actor([raw] {
            if (raw->world.world.now_ns() >= raw->asleep_until_ns) raw->client->poll(0);
        });
        members[name] = std::move(member);
        return raw;
    }
    void leave(const std::string& name) {
        EXPECT_TRUE(members.at(name)->consumer->leave(10 * kSecondNs).has_value());
        members.erase(name);
    }
    static void granted(Member& member, const client::GroupLease& lease) {
        member.next[lease.shard.value] = std::max<uint64_t>(1, lease.next.value);
        EXPECT_GT(lease.token, member.tokens[lease.shard.value]);
        member.tokens[lease.shard.value] = lease.token;
    }
    void take(Member& member, const client::Delivery& delivery) {
        for (uint32_t i = delivery.skip; i < delivery.batch.record_count(); ++i) {
            const uint64_t sequence = delivery.first_sequence.value + i;
            EXPECT_EQ(sequence, member.next[delivery.shard.value]) << "a gap, or out of order";
            member.next[delivery.shard.value] = sequence + 1;
            ++seen[{delivery.shard.value, sequence}];
        }
    }
    void put(uint32_t count) {
        for (uint32_t i = 0; i < count; ++i) {
            const std::string key = "k" + std::to_string(prng.below(1000));
            const uint64_t number = ++numbers;
            EXPECT_TRUE(producer->put({key, std::as_bytes(std::span(&number, 1)), {}, 0, 0}).has_value());
        }
    }
    bool until(const std::function<bool()>& done) { return world.run_until(done, kLimitNs); }
    void pass(uint64_t ns) {
        const uint64_t end = world.now_ns() + ns;
        (void)world.run_until([&] { return world.now_ns() >= end; }, 2 * ns + kSecondNs);
    }
    bool all_seen() const {
        if (sent.size() != numbers) return false;
        for (const auto& record : sent) {
            if (seen.count(record) == 0) return false;
        }
        return true;
    }
    /// Each has its part, and nobody is asked for one.
    bool shared_out(size_t shards) const {
        size_t total = 0;
        size_t least = shards;
        size_t most = 0;
        for (const auto& [name, member] : members) {
            const size_t count = member->consumer->leases().size();
            total += count;
            least = std::min(least, count);
            most = std::max(most, count);
        }
        return total == shards && most - least <= 1;
    }

    Prng prng;
    io::sim::SimWorld world;
    io::sim::SimDisk disk;
    SimControl control;
    std::unique_ptr<SimEagred> eagred;
    std::unique_ptr<client::Client> producer_client;
    std::unique_ptr<client::Producer> producer;
    io::sim::SimWorld::ActorId producer_actor = 0;
    std::map<std::string, std::unique_ptr<Member>> members;
    std::set<std::pair<uint64_t, uint64_t>> sent;
    std::map<std::pair<uint64_t, uint64_t>, uint32_t> seen;
    std::vector<Errc> refusals;
    uint64_t numbers = 0;
};

TEST(GroupWorld, InGoodOrderEveryRecordIsHandedOutOnce) {
    World world(1);
    world.put(200);
    ASSERT_NE(world.join("a"), nullptr);
    ASSERT_TRUE(world.until([&] { return world.all_seen(); }));
    world.put(200);
    ASSERT_NE(world.join("b"), nullptr);
    world.put(200);
    ASSERT_TRUE(world.until([&] { return world.shared_out(4); }));
    ASSERT_NE(world.join("c"), nullptr);
    world.put(200);
    ASSERT_TRUE(world.until([&] { return world.shared_out(4) && world.all_seen(); }));
    world.leave("a");
    world.put(200);
    ASSERT_TRUE(world.until([&] { return world.shared_out(4) && world.all_seen(); }));
    world.leave("b");
    world.leave("c");
    world.put(200);
    ASSERT_NE(world.join("a"), nullptr);
    ASSERT_TRUE(world.until([&] { return world.all_seen(); }));
    EXPECT_EQ(world.seen.size(), 1200U);
    for (const auto& [record, times] : world.seen) EXPECT_EQ(times, 1U) << record.first << " " << record.second;
}

TEST(GroupWorld, ACleanLeaveIsNotADeath) {
    World world(2);
    ASSERT_NE(world.join("a"), nullptr);
    ASSERT_NE(world.join("b"), nullptr);
    ASSERT_TRUE(world.until([&] { return world.shared_out(4); }));
    const uint64_t began_ns = world.world.now_ns();
    world.leave("a");
    ASSERT_TRUE(world.until([&] { return world.shared_out(4); }));
    EXPECT_LT(world.world.now_ns() - began_ns, 100 * kMs);
}

TEST(GroupWorld, ADeathIsNoticedWithinTheLimit) {
    World world(3);
    ASSERT_NE(world.join("a"), nullptr);
    ASSERT_NE(world.join("b"), nullptr);
    ASSERT_TRUE(world.until([&] { return world.shared_out(4); }));
    const uint64_t began_ns = world.world.now_ns();
    world.members.at("a")->asleep_until_ns = UINT64_MAX;
    ASSERT_TRUE(world.until([&] { return world.members.at("b")->consumer->leases().size() == 4; }));
    EXPECT_LE(world.world.now_ns() - began_ns, kHeartbeatNs + 100 * kMs);
    EXPECT_GE(world.world.now_ns() - began_ns, kHeartbeatNs / 2);
}

TEST(GroupWorld, WithoutControlReadingGoesOnAndJoiningDoesNot) {
    World world(4);
    ASSERT_NE(world.join("a"), nullptr);
    world.put(50);
    ASSERT_TRUE(world.until([&] { return world.all_seen(); }));
    world.control.kill();
    world.put(50);
    ASSERT_TRUE(world.until([&] { return world.all_seen(); }));
    EXPECT_EQ(world.join("b"), nullptr);
    EXPECT_EQ(world.refusals, std::vector<Errc>{Errc::kUnavailable});
    world.pass(3 * kHeartbeatNs);
    world.control.start();
    ASSERT_TRUE(world.until([&] { return world.control.ready(); }));
    ASSERT_NE(world.join("b"), nullptr);
    ASSERT_TRUE(world.until([&] { return world.shared_out(4); }));
    world.put(50);
    ASSERT_TRUE(world.until([&] { return world.all_seen(); }));
    EXPECT_EQ(world.members.at("a")->consumer->stats().lost_count, 0U);
    for (const auto& [record, times] : world.seen) EXPECT_EQ(times, 1U);
}

TEST(GroupWorld, WhateverHappensEveryRecordIsHandedOutInOrder) {
    for (uint64_t seed = 10; seed < 22; ++seed) {
        SCOPED_TRACE(seed);
        World world(seed, 1 + static_cast<uint32_t>(seed % 5));
        uint32_t control_down = 0;
        for (uint32_t step = 0; step < 60; ++step) {
            world.put(static_cast<uint32_t>(world.prng.below(20)));
            const std::string name(1, static_cast<char>('a' + world.prng.below(4)));
            const bool there = world.members.count(name) != 0;
            if (control_down > 0 && --control_down == 0) {
                world.control.start();
                ASSERT_TRUE(world.until([&] { return world.control.ready(); }));
            }
            switch (world.prng.below(8)) {
                case 0:
                case 1:
                case 2:
                    if (!there) world.join(name);
                    break;
                case 3:
                    if (there && control_down == 0 && world.members.at(name)->asleep_until_ns <= world.world.now_ns()) world.leave(name);
                    break;
                case 4:
                    world.members.erase(name);  // As by SIGKILL.
                    break;
                case 5:
                    if (there) world.members.at(name)->asleep_until_ns = world.world.now_ns() + world.prng.below(3 * kHeartbeatNs);
                    break;
                case 6:
                    if (control_down == 0 && world.prng.below(3) == 0) {
                        world.control.kill();
                        control_down = 1 + static_cast<uint32_t>(world.prng.below(4));
                    }
                    break;
                default:
                    world.pass(world.prng.below(2 * kHeartbeatNs));
            }
        }
        if (control_down > 0) world.control.start();
        ASSERT_TRUE(world.until([&] { return world.control.ready(); }));
        world.pass(4 * kHeartbeatNs);
        if (world.members.empty()) {
            ASSERT_NE(world.join("z"), nullptr);
        }
        ASSERT_TRUE(world.until([&] { return world.all_seen(); })) << "a record was handed out to nobody";
        // Everything has been checkpointed when all have left.
        while (!world.members.empty()) world.leave(world.members.begin()->first);
        World::Member* last = world.join("last");
        ASSERT_NE(last, nullptr);
        const auto seen = world.seen;
        world.pass(kSecondNs);
        EXPECT_EQ(world.seen, seen) << "what had been checkpointed was handed out again";
    }
}

}  // namespace
}  // namespace eagre::test
