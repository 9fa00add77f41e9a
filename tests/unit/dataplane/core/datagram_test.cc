// Batches by datagram, from the client library through the simulated network into a whole box: nothing is lost or doubled and
// keys stay in order whatever the network does; who has no right to send changes nothing and hears nothing.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/unit/dataplane/core/core_rig.h"
#include "wire/client/client.h"

namespace eagre::test {
namespace {

constexpr uint32_t kCores = 2;
constexpr uint32_t kShards = 4;
constexpr uint64_t kSecondNs = 1'000'000'000;

class Listener final : public io::sim::SimDatagramOwner {
  public:
    void datagram_arrived(const io::Address&, std::span<const std::byte>) override { ++count; }
    int count = 0;
};

class DatagramRig {
  public:
    explicit DatagramRig(uint64_t seed = 1) : rig(kCores, seed) {
        EXPECT_EQ(rig.open_stream(rig.connect_control(), kShards), Errc::kOk);
        for (const auto& core : rig.cores) rig.world.add_actor([&core] { core->turn(); });
        client = connect(true);
    }
    std::unique_ptr<client::Client> connect(bool datagrams) {
        client::ClientOptions options;
        options.port = 5000;
        options.datagrams = datagrams;
        options.name = "tester";
        auto made = std::make_unique<SimTransport>(rig.world, uint8_t{7});
        if (datagrams) transport = made.get();
        auto connected = client::Client::connect(std::move(made), options);
        EXPECT_TRUE(connected.has_value());
        return connected ? std::move(*connected) : nullptr;
    }
    std::unique_ptr<client::Producer> producer(client::ProducerOptions options = {}) {
        auto made = client->make_producer("ticks", options);
        EXPECT_TRUE(made.has_value());
        return made ? std::move(*made) : nullptr;
    }
    /// Record i has key i % keys and i as its data.
    void put(client::Producer& to, uint32_t first, uint32_t count, uint32_t keys = 40) {
        for (uint32_t i = first; i < first + count; ++i) {
            const std::string key = "key-" + std::to_string(i % keys);
            const std::string data = std::to_string(i) + std::string(200, '.');
            frame::RecordView record;
            record.partition_key = key;
            record.data = std::as_bytes(std::span(data));
            for (Status taken = to.put(record); !taken; taken = to.put(record)) {
                ASSERT_EQ(taken.error().code, Errc::kBusy);
                client->poll(100'000);
            }
            if (i % 16 == 0) client->poll(0);
        }
    }
    /// All that is stored, by key, in order. `count`: how many to wait for.
    std::map<std::string, std::vector<uint32_t>> read(uint64_t count) {
        std::map<std::string, std::vector<uint32_t>> found;
        uint64_t read = 0;
        auto reader = connect(false);
        auto consumer = reader->make_consumer("ticks", {});
        EXPECT_TRUE(consumer.has_value());
        (*consumer)->on_delivery([&](const client::Delivery& delivery) {
            for (uint32_t i = delivery.skip; i < delivery.batch.record_count(); ++i, ++read) {
                const auto record = delivery.batch.record(i);
                const std::string data(reinterpret_cast<const char*>(record.data.data()), record.data.size());
                found[std::string(record.partition_key)].push_back(static_cast<uint32_t>(std::stoul(data)));
            }
        });
        const uint64_t deadline = rig.world.now_ns() + 20 * kSecondNs;
        while ((read < count || !(*consumer)->at_tail()) && rig.world.now_ns() < deadline) reader->poll(1'000'000);
        return found;
    }
    uint64_t sum(uint64_t shm::CoreStats::*member) const {
        uint64_t total = 0;
        for (uint32_t core = 0; core < kCores; ++core) total += shm::core_stats(rig.box.board, core)->*member;
        return total;
    }
    static void expect_all(const std::map<std::string, std::vector<uint32_t>>& found, uint32_t count, uint32_t keys = 40) {
        for (uint32_t key = 0; key < keys; ++key) {
            const auto at = found.find("key-" + std::to_string(key));
            ASSERT_NE(at, found.end()) << key;
            std::vector<uint32_t> expected;
            for (uint32_t i = key; i < count; i += keys) expected.push_back(i);
            ASSERT_EQ(at->second, expected) << "key " << key << ": lost, doubled or out of order";
        }
    }

    CoreRig rig;
    SimTransport* transport = nullptr;
    std::unique_ptr<client::Client> client;
};

client::ProducerOptions small_batches() {
    client::ProducerOptions options;
    options.linger_ns = 100'000;
    options.delivery_timeout_ns = 300 * kSecondNs;
    return options;
}

class BadNetwork : public ::testing::TestWithParam<uint32_t> {};

TEST_P(BadNetwork, AcknowledgedModeLosesAndDoublesNothing) {
    constexpr uint32_t kCount = 3000;
    for (uint64_t seed = 1; seed <= 3; ++seed) {
        DatagramRig datagrams(seed);
        auto producer = datagrams.producer(small_batches());
        io::sim::SimFaults& faults = datagrams.rig.world.faults();
        faults.datagram_loss_per_million = GetParam();
        faults.datagram_repeat_per_million = GetParam();
        faults.datagram_delay_per_million = GetParam();
        faults.datagram_corrupt_per_million = GetParam();
        uint64_t acknowledged = 0;
        producer->on_outcome([&](const client::BatchOutcome& outcome) {
            ASSERT_EQ(outcome.error.code, Errc::kOk);
            acknowledged += outcome.record_count;
        });
        datagrams.put(*producer, 0, kCount);
        ASSERT_TRUE(producer->drain(300 * kSecondNs).has_value()) << "seed " << seed;
        EXPECT_EQ(acknowledged, kCount);
        EXPECT_GT(datagrams.sum(&shm::CoreStats::datagrams_in), kCount / 10);
        DatagramRig::expect_all(datagrams.read(kCount), kCount);
    }
}

INSTANTIATE_TEST_SUITE_P(PerMillion, BadNetwork, ::testing::Values(0U, 50'000U, 300'000U));

TEST(Datagrams, OnAGoodNetworkNothingIsSentTwice) {
    DatagramRig datagrams;
    auto producer = datagrams.producer(small_batches());
    datagrams.put(*producer, 0, 1000);
    ASSERT_TRUE(producer->drain(60 * kSecondNs).has_value());
    EXPECT_EQ(datagrams.sum(&shm::CoreStats::batches_repeated), 0U);
    EXPECT_EQ(datagrams.sum(&shm::CoreStats::datagrams_refused), 0U);
    EXPECT_LT(datagrams.sum(&shm::CoreStats::datagrams_out), datagrams.sum(&shm::CoreStats::datagrams_in))
        << "answers share datagrams";
}

TEST(Datagrams, FireAndForgetCountsWhatIsMissing) {
    DatagramRig datagrams;
    client::ProducerOptions options = small_batches();
    options.ack = frame::AckMode::kNone;
    auto producer = datagrams.producer(options);
    datagrams.rig.world.faults().datagram_loss_per_million = 200'000;
    datagrams.rig.world.faults().datagram_repeat_per_million = 200'000;
    datagrams.put(*producer, 0, 2000);
    ASSERT_TRUE(producer->drain(60 * kSecondNs).has_value());
    datagrams.rig.world.faults().datagram_loss_per_million = 0;
    // Two more batches to each core show the last gap.
    datagrams.put(*producer, 2000, 40);
    ASSERT_TRUE(producer->drain(60 * kSecondNs).has_value());
    for (int i = 0; i < 2000; ++i) datagrams.rig.world.turn();
    uint64_t received = 0;
    uint64_t missing = 0;
    for (uint32_t core = 0; core < kCores; ++core) {
        for (const auto& slot : shm::core_stats(datagrams.rig.box.board, core)->datagram_producers) {
            if (slot.session == 0) continue;
            EXPECT_STREQ(slot.name, "tester");
            received += slot.received;
            missing += slot.missing;
        }
    }
    EXPECT_EQ(received + missing, producer->stats().batch_count);
    EXPECT_GT(missing, producer->stats().batch_count / 10);
    EXPECT_EQ(missing, datagrams.sum(&shm::CoreStats::datagrams_missing));
    EXPECT_EQ(received, datagrams.sum(&shm::CoreStats::batches_appended));
}

TEST(Datagrams, WithoutTheTokenNothingChangesAndNothingIsAnswered) {
    DatagramRig datagrams;
    auto producer = datagrams.producer(small_batches());
    datagrams.put(*producer, 0, 200);
    ASSERT_TRUE(producer->drain(60 * kSecondNs).has_value());
    auto& network = datagrams.rig.world.network();
    Listener attacker;
    const uint16_t port = *network.bind_datagrams(attacker, 0);
    const uint64_t before = datagrams.sum(&shm::CoreStats::batches_appended);
    const auto good = datagrams.transport->last_datagram;

    // The very next packet, seen on the wire by somebody at another address: his host is not the token's.
    std::vector<std::byte> next = good;
    frame::DatagramHeader header;
    std::memcpy(static_cast<void*>(&header), next.data(), sizeof(header));
    const auto send = [&](uint8_t host, uint16_t from_port, frame::DatagramHeader each) {
        frame::seal_datagram(each);
        std::memcpy(next.data(), &each, sizeof(each));
        for (uint16_t core = 0; core < kCores; ++core) {
            network.send_datagram(io::sim::SimNetwork::address_of_host(host, from_port),
                                  io::sim::SimNetwork::address_of_host(io::sim::kSimServerHost, static_cast<uint16_t>(5000 + core)), next);
        }
    };
    header.packet += 1;
    send(66, port, header);
    // From the right host, but another port.
    send(7, port, header);
    // With a token that is a bit off, and for sessions that never were.
    frame::DatagramHeader forged = header;
    forged.token.low ^= 1;
    send(7, port, forged);
    for (uint64_t session = 0; session < 50; ++session) {
        forged.session = session << 32U | session;
        send(7, port, forged);
    }
    for (int i = 0; i < 500; ++i) datagrams.rig.world.turn();
    EXPECT_EQ(attacker.count, 0) << "no answer, not even a refusal";
    EXPECT_EQ(datagrams.sum(&shm::CoreStats::batches_appended), before);
    EXPECT_EQ(datagrams.sum(&shm::CoreStats::datagrams_refused), kCores * 53);

    // The session goes on as if nothing had been.
    datagrams.put(*producer, 200, 200);
    ASSERT_TRUE(producer->drain(60 * kSecondNs).has_value());
    DatagramRig::expect_all(datagrams.read(400), 400);
    network.unbind_datagrams(attacker);
}

TEST(Datagrams, AReplayedDatagramAndAStaleTokenAreWorthNothing) {
    DatagramRig datagrams;
    auto producer = datagrams.producer(small_batches());
    datagrams.put(*producer, 0, 100);
    ASSERT_TRUE(producer->drain(60 * kSecondNs).has_value());
    const auto replayed = datagrams.transport->last_datagram;
    const uint64_t stored = datagrams.sum(&shm::CoreStats::records_appended);
    auto& world = datagrams.rig.world;
    // Its sender's port is the last that was bound; both cores get it, one of them knows it.
    const auto replay = [&] {
        for (uint16_t port = 40000; port < 40010; ++port) {
            for (uint16_t core = 0; core < kCores; ++core) {
                world.network().send_datagram(io::sim::SimNetwork::address_of_host(7, port),
                                              io::sim::SimNetwork::address_of_host(io::sim::kSimServerHost, static_cast<uint16_t>(5000 + core)),
                                              replayed);
            }
        }
        for (int i = 0; i < 500; ++i) world.turn();
    };
    replay();
    EXPECT_GE(datagrams.sum(&shm::CoreStats::datagrams_repeated), 1U);
    EXPECT_EQ(datagrams.sum(&shm::CoreStats::records_appended), stored);
    producer.reset();
    datagrams.client.reset();
    for (int i = 0; i < 500; ++i) world.turn();
    EXPECT_EQ(datagrams.sum(&shm::CoreStats::datagram_sessions), 0U);
    const uint64_t refused = datagrams.sum(&shm::CoreStats::datagrams_refused);
    const uint64_t repeated = datagrams.sum(&shm::CoreStats::datagrams_repeated);
    replay();
    EXPECT_EQ(datagrams.sum(&shm::CoreStats::datagrams_refused), refused + 20) << "the token died with its connection";
    EXPECT_EQ(datagrams.sum(&shm::CoreStats::datagrams_repeated), repeated);
    EXPECT_EQ(datagrams.sum(&shm::CoreStats::records_appended), stored);
}

TEST(Datagrams, APathThatShrinksSendsSmallerOnesAndTheRestByTcp) {
    DatagramRig datagrams;
    auto producer = datagrams.producer(small_batches());
    datagrams.put(*producer, 0, 500);
    datagrams.transport->path_bytes = 700;
    datagrams.put(*producer, 500, 1000);
    ASSERT_TRUE(producer->drain(60 * kSecondNs).has_value());
    EXPECT_EQ(producer->stats().failed_count, 0U);
    DatagramRig::expect_all(datagrams.read(1500), 1500);
    EXPECT_LE(datagrams.transport->last_datagram.size(), 700U);
}

TEST(Datagrams, ARecordTooLargeForADatagramGoesByTcp) {
    DatagramRig datagrams;
    auto producer = datagrams.producer(small_batches());
    datagrams.put(*producer, 0, 50);
    const std::string data(100'000, 'x');
    frame::RecordView record;
    record.partition_key = "large";
    record.data = std::as_bytes(std::span(data));
    ASSERT_TRUE(producer->put(record).has_value());
    datagrams.put(*producer, 50, 50);
    ASSERT_TRUE(producer->drain(60 * kSecondNs).has_value());
    EXPECT_EQ(datagrams.sum(&shm::CoreStats::records_appended), 101U);
}

TEST(Datagrams, ANetworkThatTakesNothingIsATypedErrorInTime) {
    DatagramRig datagrams;
    client::ProducerOptions options = small_batches();
    options.delivery_timeout_ns = 3 * kSecondNs;
    auto producer = datagrams.producer(options);
    datagrams.rig.world.faults().datagram_loss_per_million = 1'000'000;
    datagrams.put(*producer, 0, 10);
    const auto drained = producer->drain(30 * kSecondNs);
    ASSERT_FALSE(drained.has_value());
    EXPECT_EQ(drained.error().code, Errc::kTimeout);
    EXPECT_EQ(producer->stats().failed_count, 10U);
    EXPECT_EQ(producer->in_flight_bytes(), 0U);
}

}  // namespace
}  // namespace eagre::test
