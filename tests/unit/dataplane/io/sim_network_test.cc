// The simulated network: order under chunking, resets, refused and broken connections, and what the
// death of a process means for its peers. Method: one node that listens, and client transports that
// connect to it.
#include "dataplane/io/sim/sim_network.h"

#include <array>
#include <string>

#include <gtest/gtest.h>

#include "dataplane/io/sim/sim_world.h"
#include "tests/support/sim_transport.h"

namespace eagre::io::sim {
namespace {

class SimNetworkTest : public ::testing::Test {
  protected:
    void open(const SimFaults& faults = {}) {
        world_ = std::make_unique<SimWorld>(3, faults);
        node_ = &world_->start_node(disk_);
        client_ = std::make_unique<test::SimTransport>(*world_);
        listener_ = *io().connections.listen("127.0.0.1", 4000);
    }
    Io io() { return node_->io(); }
    void connect() {
        pipe_ = *client_->connect("127.0.0.1", 4000);
        std::array<ConnectionEvent, 1> events{};
        for (int i = 0; i < 100 && io().connections.events(events) == 0; ++i)
            io().events.wait(1'000'000);
        ASSERT_EQ(events[0].kind, ConnectionEvent::Kind::kAccepted);
        connection_ = events[0].connection;
    }
    Result<size_t> client_send(std::string_view text) {
        const client::Slice slice{reinterpret_cast<const std::byte*>(text.data()), text.size()};
        return client_->send(pipe_, {&slice, 1});
    }
    Result<size_t> server_send(std::string_view text) {
        const ByteSlice slice{reinterpret_cast<const std::byte*>(text.data()), text.size()};
        return io().connections.send(connection_, {&slice, 1});
    }
    std::string client_receive() {
        std::string text;
        std::array<std::byte, 64> target{};
        for (;;) {
            const auto got = client_->receive(pipe_, target);
            if (!got) return text + "<end>";
            if (*got == 0) return text;
            text.append(reinterpret_cast<const char*>(target.data()), *got);
        }
    }
    SimDisk disk_;
    std::unique_ptr<SimWorld> world_;
    SimNode* node_ = nullptr;
    std::unique_ptr<test::SimTransport> client_;
    ListenerId listener_;
    client::PipeId pipe_;
    ConnectionId connection_;
};

TEST_F(SimNetworkTest, PiecesArriveInOrderHoweverDelayed) {
    SimFaults faults;
    faults.chunk_bytes_max = 3;
    faults.net_delay_per_million = 300'000;
    open(faults);
    connect();
    std::string want;
    for (int i = 0; i < 200; ++i) want += std::to_string(i) + ",";
    ASSERT_EQ(*client_send(want), want.size());
    world_->advance(60'000'000'000);
    std::string got;
    std::array<std::byte, 16> target{};
    for (;;) {
        const auto count = io().connections.receive(connection_, target);
        ASSERT_TRUE(count);
        if (*count == 0) break;
        got.append(reinterpret_cast<const char*>(target.data()), *count);
    }
    EXPECT_EQ(got, want);
}

TEST_F(SimNetworkTest, ResetLosesWhatIsOnItsWayAndTellsBothSides) {
    open();
    connect();
    ASSERT_TRUE(server_send("never seen"));
    world_->network().reset_all();
    world_->advance(1'000'000);
    EXPECT_EQ(client_receive(), "<end>");
    EXPECT_FALSE(client_send("x"));
    EXPECT_FALSE(server_send("x"));
}

TEST_F(SimNetworkTest, NobodyListensIsDisconnected) {
    open();
    pipe_ = *client_->connect("127.0.0.1", 4001);
    EXPECT_EQ(*client_send("early"), 0U) << "not known yet";
    world_->advance(1'000'000);
    EXPECT_FALSE(client_send("late"));
}

TEST_F(SimNetworkTest, WhatAKilledProcessHadSentStillArrives) {
    open();
    connect();
    ASSERT_TRUE(server_send("acknowledged"));
    world_->crash(*node_, CrashPlan::killed());
    world_->advance(1'000'000);
    EXPECT_EQ(client_receive(), "acknowledged<end>");
}

TEST_F(SimNetworkTest, PortIsFreeAgainWhenItsProcessIsDead) {
    open();
    SimNode& rival = world_->start_node(disk_);
    EXPECT_EQ(rival.io().connections.listen("127.0.0.1", 4000).error().code, Errc::kPortInUse);
    world_->crash(*node_, CrashPlan::power_lost());
    EXPECT_TRUE(rival.io().connections.listen("127.0.0.1", 4000));
}

TEST_F(SimNetworkTest, ChosenResetsHappen) {
    SimFaults faults;
    faults.reset_per_million = 1'000'000;
    open(faults);
    connect();
    EXPECT_EQ(client_send("x").error().code, Errc::kDisconnected);
}

TEST_F(SimNetworkTest, ActorsTakeTurnsWhileAClientWaits) {
    open();
    connect();
    int turns = 0;
    const auto actor = world_->add_actor([&] {
        ++turns;
        io().events.poll();
        std::array<std::byte, 16> target{};
        const auto got = io().connections.receive(connection_, target);
        if (got && *got != 0) {
            EXPECT_TRUE(server_send("pong"));
        }
    });
    ASSERT_TRUE(client_send("ping"));
    std::string got;
    for (int i = 0; i < 100 && got.empty(); ++i) {
        client_->wait(10'000'000);
        got = client_receive();
    }
    EXPECT_EQ(got, "pong");
    EXPECT_GT(turns, 0);
    world_->remove_actor(actor);
}

}  // namespace
}  // namespace eagre::io::sim
