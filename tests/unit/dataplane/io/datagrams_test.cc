// Conformance of Datagrams: what is sent arrives whole and with its source, in bursts; a wait ends with it; what is too large
// is dropped and counted. The port talks to itself, so both back ends are their own outside.
#include "dataplane/io/datagrams.h"

#include <set>
#include <string>
#include <vector>

#include "tests/unit/dataplane/io/io_rig.h"
#include "wire/base/limits.h"

namespace eagre::io {
namespace {

class DatagramsConformance : public IoConformance {
  protected:
    void open() {
        const auto port = io().datagrams.open("127.0.0.1", 0);
        ASSERT_TRUE(port);
        here_.family = 4;
        here_.port = *port;
        here_.ip = {std::byte{127}, std::byte{0}, std::byte{0}, std::byte{1}};
    }
    size_t send(const std::vector<std::string>& texts) {
        std::vector<TxPacket> packets;
        for (const std::string& text : texts) packets.push_back({std::as_bytes(std::span(text)), here_});
        return io().datagrams.tx_burst(packets);
    }
    // Takes one burst in and gives it back at once.
    void receive() {
        std::array<RxPacket, kDatagramBurstMax> packets;
        const size_t count = io().datagrams.rx_burst(packets);
        for (const RxPacket& packet : std::span(packets).first(count)) {
            got_.emplace_back(reinterpret_cast<const char*>(packet.bytes.data()), packet.bytes.size());
            EXPECT_EQ(packet.from.port, here_.port);
            EXPECT_EQ(packet.from.family, 4U);
            EXPECT_EQ(reinterpret_cast<uintptr_t>(packet.bytes.data()) % 8, 0U);
            EXPECT_GT(packet.received_ns, 0U);
        }
        io().datagrams.release(std::span(packets).first(count));
    }

    Address here_;
    std::vector<std::string> got_;
};

TEST_P(DatagramsConformance, WhatIsSentArrivesWhole) {
    open();
    const std::vector<std::string> texts = {"a", std::string(1400, 'b'), std::string(kDatagramBytesMax, 'c'), ""};
    ASSERT_EQ(send(texts), texts.size());
    ASSERT_TRUE(until([&] {
        receive();
        return got_.size() >= texts.size();
    }));
    std::multiset<std::string> expected(texts.begin(), texts.end());
    EXPECT_EQ(std::multiset<std::string>(got_.begin(), got_.end()), expected);
}

TEST_P(DatagramsConformance, NothingThereIsNoWait) {
    open();
    io().events.poll();
    receive();
    EXPECT_TRUE(got_.empty());
}

TEST_P(DatagramsConformance, MoreThanABurstComesInSeveral) {
    open();
    for (int round = 0; round < 4; ++round) ASSERT_EQ(send(std::vector<std::string>(50, "x")), 50U);
    ASSERT_TRUE(until([&] {
        receive();
        return got_.size() >= 200;
    }));
    EXPECT_EQ(got_.size(), 200U);
    EXPECT_EQ(io().datagrams.dropped(), 0U);
}

TEST_P(DatagramsConformance, AWaitEndsWithADatagram) {
    open();
    io().events.poll();
    ASSERT_EQ(send({"wake up"}), 1U);
    const uint64_t before_ns = io().clock.monotonic_ns();
    io().events.wait(60'000'000'000);
    EXPECT_LT(io().clock.monotonic_ns() - before_ns, 10'000'000'000U);
    receive();
    EXPECT_EQ(got_.size(), 1U);
}

TEST_P(DatagramsConformance, TooLargeIsDroppedAndCounted) {
    open();
    ASSERT_EQ(send({std::string(kDatagramBytesMax + 1, 'x'), "behind it"}), 2U);
    ASSERT_TRUE(until([&] {
        receive();
        return !got_.empty() && io().datagrams.dropped() != 0;
    }));
    EXPECT_EQ(got_, std::vector<std::string>{"behind it"});
    EXPECT_EQ(io().datagrams.dropped(), 1U);
}

TEST_P(DatagramsConformance, OneThatCantBeSentDoesNotStopTheNext) {
    open();
    if (is_sim()) GTEST_SKIP() << "the simulated network takes everything";
    Address nowhere = here_;
    nowhere.ip = {std::byte{255}, std::byte{255}, std::byte{255}, std::byte{255}};  // Broadcast: not allowed.
    const std::string text = "text";
    const std::array<TxPacket, 2> packets{TxPacket{std::as_bytes(std::span(text)), nowhere}, TxPacket{std::as_bytes(std::span(text)), here_}};
    ASSERT_EQ(io().datagrams.tx_burst(packets), 2U);
    ASSERT_TRUE(until([&] {
        receive();
        return !got_.empty();
    }));
}

TEST_P(DatagramsConformance, ATakenPortIsAnError) {
    open();
    if (is_sim()) {
        EXPECT_EQ(world_->start_node(disk_).io().datagrams.open("127.0.0.1", here_.port).error().code, Errc::kPortInUse);
        return;
    }
    auto second = UringIo::create({root_});
    ASSERT_TRUE(second);
    EXPECT_EQ((*second)->io().datagrams.open("127.0.0.1", here_.port).error().code, Errc::kPortInUse);
    EXPECT_EQ((*second)->io().datagrams.open("not an address", 0).error().code, Errc::kBadArgument);
}

class InletsConformance : public DatagramsConformance {
  protected:
    // A free port, as far as one look can tell.
    Address inlet_address() {
        Address address = here_;
        address.port = static_cast<uint16_t>(here_.port < 60'000 ? here_.port + 101 : here_.port - 101);
        return address;
    }
    size_t send_to(const Address& to, const std::vector<std::string>& texts) {
        std::vector<TxPacket> packets;
        for (const std::string& text : texts) packets.push_back({std::as_bytes(std::span(text)), to});
        return io().datagrams.tx_burst(packets);
    }
    void receive_from(InletId inlet) {
        std::array<RxPacket, kDatagramBurstMax> packets;
        const size_t count = io().datagrams.rx_inlet(inlet, packets);
        for (const RxPacket& packet : std::span(packets).first(count)) {
            got_.emplace_back(reinterpret_cast<const char*>(packet.bytes.data()), packet.bytes.size());
            EXPECT_EQ(packet.from.port, here_.port);
            // When it arrived: before now by this machine's clock, and not long before.
            EXPECT_LE(packet.stamped_ns, io().clock.wall_ns());
            EXPECT_GT(packet.stamped_ns + 60'000'000'000, io().clock.wall_ns());
        }
        io().datagrams.release(std::span(packets).first(count));
    }
};

TEST_P(InletsConformance, TakeWhatIsSentToThemAndNothingElse) {
    open();
    Address first = inlet_address();
    Address second = first;
    ++second.port;
    const auto a = io().datagrams.open_inlet({first, {}, {}});
    const auto b = io().datagrams.open_inlet({second, {}, {}});
    ASSERT_TRUE(a && b);
    EXPECT_NE(a->value, b->value);
    ASSERT_EQ(send_to(first, {"for a", std::string(1400, 'a')}), 2U);
    ASSERT_EQ(send_to(second, {"for b"}), 1U);
    ASSERT_EQ(send_to(here_, {"for the port"}), 1U);
    ASSERT_TRUE(until([&] {
        receive_from(*a);
        return got_.size() >= 2;
    }));
    EXPECT_EQ(std::multiset<std::string>(got_.begin(), got_.end()), (std::multiset<std::string>{"for a", std::string(1400, 'a')}));
    got_.clear();
    ASSERT_TRUE(until([&] {
        receive_from(*b);
        return !got_.empty();
    }));
    EXPECT_EQ(got_, std::vector<std::string>{"for b"});
    got_.clear();
    ASSERT_TRUE(until([&] {
        receive();
        return !got_.empty();
    }));
    EXPECT_EQ(got_, std::vector<std::string>{"for the port"});
    EXPECT_EQ(io().datagrams.inlet_dropped(*a), 0U);
}

TEST_P(InletsConformance, AClosedOneGivesItsPortBack) {
    open();
    const Address at = inlet_address();
    const auto first = io().datagrams.open_inlet({at, {}, {}});
    ASSERT_TRUE(first);
    EXPECT_EQ(io().datagrams.open_inlet({at, {}, {}}).error().code, Errc::kPortInUse);
    io().datagrams.close_inlet(*first);
    io().datagrams.close_inlet(*first);
    receive_from(*first);  // Nothing, and no harm.
    Result<InletId> second = Errc::kPortInUse;
    ASSERT_TRUE(until([&] {
        second = io().datagrams.open_inlet({at, {}, {}});
        return bool{second};
    }));
    EXPECT_NE(first->value, second->value);
    ASSERT_EQ(send_to(at, {"again"}), 1U);
    ASSERT_TRUE(until([&] {
        receive_from(*second);
        return !got_.empty();
    }));
}

TEST_P(InletsConformance, AWaitEndsWithADatagram) {
    open();
    const auto inlet = io().datagrams.open_inlet({inlet_address(), {}, {}});
    ASSERT_TRUE(inlet);
    io().events.poll();
    receive_from(*inlet);
    ASSERT_EQ(send_to(inlet_address(), {"wake up"}), 1U);
    const uint64_t before_ns = io().clock.monotonic_ns();
    io().events.wait(60'000'000'000);
    EXPECT_LT(io().clock.monotonic_ns() - before_ns, 10'000'000'000U);
    receive_from(*inlet);
    EXPECT_EQ(got_.size(), 1U);
}

TEST_P(InletsConformance, GroupsAreJoined) {
    open();
    if (is_sim()) GTEST_SKIP() << "the simulated network has no groups";
    Address group = inlet_address();
    group.ip = {std::byte{239}, std::byte{1}, std::byte{2}, std::byte{3}};
    const auto any = io().datagrams.open_inlet({group, {}, "lo"});
    ASSERT_TRUE(any);
    EXPECT_TRUE(io().datagrams.open_inlet({group, here_, "lo"})) << "a group may have several listeners, and sources";
    EXPECT_EQ(io().datagrams.open_inlet({group, {}, "no-such-one"}).error().code, Errc::kBadArgument);
    Address elsewhere = inlet_address();
    elsewhere.ip = {std::byte{203}, std::byte{0}, std::byte{113}, std::byte{9}};
    EXPECT_EQ(io().datagrams.open_inlet({elsewhere, {}, {}}).error().code, Errc::kBadArgument);
    EXPECT_EQ(io().datagrams.open_inlet({Address{}, {}, {}}).error().code, Errc::kBadArgument);
}

EAGRE_BOTH_BACK_ENDS(DatagramsConformance);
EAGRE_BOTH_BACK_ENDS(InletsConformance);

}  // namespace
}  // namespace eagre::io
