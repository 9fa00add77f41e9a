// The client library against a box in memory that breaks connections, loses answers, refuses and splits. The promise under
// test: what is acknowledged is stored once, in order per key; what is not is told so.
#include "wire/client/client.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "tests/support/fake_box.h"

namespace eagre::client {
namespace {

using test::FakeBox;

frame::RecordView record(std::string_view key, std::string_view data) {
    return {key, std::as_bytes(std::span(data.data(), data.size())), {}, 0, 0};
}

class ClientTest : public ::testing::Test {
  protected:
    std::unique_ptr<Client> connect(FakeBox& box) {
        auto client = Client::connect(box.transport(), {});
        EXPECT_TRUE(client.has_value());
        return std::move(*client);
    }
    // Puts "k<i % keys>" = "<i>" and waits; every record must be stored, once, in order per key.
    void run(FakeBox& box, Producer& producer, Client& client, uint64_t count, uint64_t keys = 20) {
        for (uint64_t i = 0; i < count; ++i) {
            const std::string key = "k" + std::to_string(i % keys);
            const std::string data = std::to_string(i);
            for (int tries = 0;; ++tries) {
                const Status status = producer.put(record(key, data), i);
                if (status) break;
                ASSERT_EQ(status.error().code, Errc::kBusy);
                ASSERT_LT(tries, 1000000);
                client.poll(1'000'000);
            }
            if (step) step(i);
            if (i % 7 == 0) client.poll(0);
        }
        const Status drained = producer.drain(60'000'000'000ULL);
        ASSERT_TRUE(drained.has_value()) << errc_name(drained.error().code);
        std::map<std::string, uint64_t> last;
        std::multiset<uint64_t> seen;
        for (const std::string& each : box.all_records()) {
            const size_t equals = each.find('=');
            const uint64_t value = std::stoull(each.substr(equals + 1));
            const std::string key = each.substr(0, equals);
            // Shards are listed parents first, so that order per key is the order of the list.
            ASSERT_TRUE(!last.contains(key) || last[key] < value) << key << " " << value;
            last[key] = value;
            seen.insert(value);
        }
        ASSERT_EQ(seen.size(), count);
        ASSERT_EQ(std::set<uint64_t>(seen.begin(), seen.end()).size(), count);
        EXPECT_EQ(producer.stats().acknowledged_count, count);
    }
    std::function<void(uint64_t)> step;
};

ProducerOptions small_batches() {
    ProducerOptions options;
    options.batch_bytes = 600;
    options.linger_ns = 100'000;
    options.window_bytes = 20'000;
    return options;
}

TEST_F(ClientTest, BatchesByBytesCountAndLinger) {
    FakeBox box(1);
    auto client = connect(box);
    ProducerOptions options;
    options.batch_record_count = 10;
    options.linger_ns = 5'000'000;
    auto producer = client->make_producer("ticks", options);
    ASSERT_TRUE(producer.has_value());
    std::vector<uint32_t> sizes;
    (*producer)->on_outcome([&](const BatchOutcome& outcome) { sizes.push_back(outcome.record_count); });
    for (int i = 0; i < 25; ++i) ASSERT_TRUE((*producer)->put(record("a", "x")).has_value());
    for (int i = 0; i < 3; ++i) client->poll(0);
    EXPECT_EQ(sizes, (std::vector<uint32_t>{10, 10}));
    for (int i = 0; i < 20; ++i) client->poll(1'000'000);
    EXPECT_EQ(sizes, (std::vector<uint32_t>{10, 10, 5}));
}

TEST_F(ClientTest, FullWindowAnswersBusyAndNothingIsLost) {
    FakeBox box(4);
    auto client = connect(box);
    ProducerOptions options = small_batches();
    options.window_bytes = 3000;
    auto producer = client->make_producer("ticks", options);
    ASSERT_TRUE(producer.has_value());
    run(box, **producer, *client, 2000);
}

TEST_F(ClientTest, RecordsThatCannotBeAreRefusedAtOnce) {
    FakeBox box(1);
    auto client = connect(box);
    auto producer = client->make_producer("ticks", {});
    EXPECT_EQ((*producer)->put(record("", "x")).error().code, Errc::kBadPartitionKey);
    EXPECT_EQ((*producer)->put(record(std::string(257, 'k'), "x")).error().code, Errc::kBadPartitionKey);
    EXPECT_EQ((*producer)->put(record("k", std::string(kRecordDataBytesDefault + 1, 'x'))).error().code, Errc::kRecordTooLarge);
    EXPECT_EQ((*producer)->in_flight_bytes(), 0U);
}

TEST_F(ClientTest, LostAnswersAndBrokenConnectionsStoreNothingTwice) {
    FakeBox box(4, 9);
    box.break_per_million = 60'000;
    box.piece_bytes_max = 300;
    auto client = connect(box);
    auto producer = client->make_producer("ticks", small_batches());
    ASSERT_TRUE(producer.has_value());
    run(box, **producer, *client, 4000);
    EXPECT_GT((*producer)->stats().resend_count, 10U);
}

TEST_F(ClientTest, BusyGoesBackAndKeepsOrder) {
    FakeBox box(4);
    Prng prng(4);
    box.refuse = [&](const frame::FrameHeader&) {
        return prng.chance(200'000) ? error_of(Errc::kBusy, 1000) : Error{};
    };
    auto client = connect(box);
    auto producer = client->make_producer("ticks", small_batches());
    run(box, **producer, *client, 3000);
}

TEST_F(ClientTest, SplitUnderLoadKeepsOrderPerKeyAndLosesNothing) {
    FakeBox box(2, 5);
    box.break_per_million = 20'000;
    auto client = connect(box);
    auto producer = client->make_producer("ticks", small_batches());
    step = [&](uint64_t i) {
        if (i == 500) box.split(1);
        if (i == 1200) box.split(2);
        if (i == 1800) box.split(3);
    };
    run(box, **producer, *client, 3000);
    EXPECT_GT((*producer)->stats().map_refresh_count, 0U);
}

TEST_F(ClientTest, AnswerLostJustBeforeASplitIsAskedAtTheParent) {
    FakeBox box(1);
    auto client = connect(box);
    ProducerOptions options;
    options.linger_ns = 0;
    auto producer = client->make_producer("ticks", options);
    bool split_done = false;
    box.lose_answer = [&](const frame::FrameHeader&) {
        if (split_done) return false;
        split_done = true;
        box.split(1);
        box.break_connections();
        return true;
    };
    ASSERT_TRUE((*producer)->put(record("a", "once")).has_value());
    ASSERT_TRUE((*producer)->drain(10'000'000'000ULL).has_value());
    EXPECT_EQ(box.all_records(), std::vector<std::string>{"a=once"});
}

TEST_F(ClientTest, RefusedBatchIsReportedAndLaterOnesAreStored) {
    FakeBox box(1);
    auto client = connect(box);
    ProducerOptions options;
    options.linger_ns = 0;
    auto producer = client->make_producer("ticks", options);
    uint64_t refused = 0;
    box.refuse = [&](const frame::FrameHeader&) { return refused++ == 1 ? error_of(Errc::kRecordTooLarge, 5) : Error{}; };
    std::vector<Errc> outcomes;
    (*producer)->on_outcome([&](const BatchOutcome& outcome) { outcomes.push_back(outcome.error.code); });
    for (const char* data : {"1", "2", "3", "4"}) ASSERT_TRUE((*producer)->put(record("a", data)).has_value());
    EXPECT_EQ((*producer)->drain(10'000'000'000ULL).error().code, Errc::kRecordTooLarge);
    EXPECT_EQ(outcomes, (std::vector<Errc>{Errc::kOk, Errc::kRecordTooLarge, Errc::kOk, Errc::kOk}));
    EXPECT_EQ(box.all_records(), (std::vector<std::string>{"a=1", "a=3", "a=4"}));
}

TEST_F(ClientTest, SilentBoxEndsInATimeout) {
    FakeBox box(1);
    auto client = connect(box);
    ProducerOptions options;
    options.delivery_timeout_ns = 50'000'000;
    auto producer = client->make_producer("ticks", options);
    box.lose_answer = [](const frame::FrameHeader&) { return true; };
    ASSERT_TRUE((*producer)->put(record("a", "x")).has_value());
    EXPECT_EQ((*producer)->drain(1'000'000'000ULL).error().code, Errc::kTimeout);
    EXPECT_EQ((*producer)->in_flight_bytes(), 0U);
}

TEST_F(ClientTest, PutSyncTellsShardAndSequenceNumber) {
    FakeBox box(1);
    auto client = connect(box);
    auto producer = client->make_producer("ticks", {});
    for (uint64_t i = 1; i <= 3; ++i) {
        const auto stored = (*producer)->put_sync(record("a", "x"));
        ASSERT_TRUE(stored.has_value());
        EXPECT_EQ(stored->first, ShardId{1});
        EXPECT_EQ(stored->second.value, i);
    }
}

TEST_F(ClientTest, LyingBoxGetsATypedErrorAndAReconnect) {
    FakeBox box(1);
    auto client = connect(box);
    auto producer = client->make_producer("ticks", small_batches());
    Prng prng(8);
    box.tamper = [&](std::vector<std::byte>& bytes) {
        if (prng.chance(50'000)) bytes[prng.below(bytes.size())] ^= std::byte{0x10};
    };
    run(box, **producer, *client, 2000);
    EXPECT_GT(box.connection_count, 1U);
}

// Reads everything with one consumer; returns "shard:sequence" -> record in the order of delivery per shard.
std::map<uint64_t, std::vector<std::string>> read_all(Client& client, FakeBox& box, const ConsumerOptions& options) {
    auto consumer = client.make_consumer("ticks", options);
    EXPECT_TRUE(consumer.has_value());
    std::map<uint64_t, std::vector<std::string>> seen;
    (*consumer)->on_delivery([&](const Delivery& delivery) {
        for (uint32_t i = delivery.skip; i < delivery.batch.record_count(); ++i) {
            const frame::RecordView each = delivery.batch.record(i);
            seen[delivery.shard.value].push_back(std::string(each.partition_key) + "=" +
                                                 std::string(reinterpret_cast<const char*>(each.data.data()), each.data.size()));
        }
    });
    for (int i = 0; i < 5000 && !(*consumer)->at_tail(); ++i) {
        client.poll(1'000'000);
        if (i % 50 == 25 && options.credit_bytes < 10000) box.break_connections();
    }
    EXPECT_TRUE((*consumer)->at_tail());
    return seen;
}

TEST_F(ClientTest, ConsumersSeeEveryRecordOnceInOrder) {
    FakeBox box(4);
    auto client = connect(box);
    auto producer = client->make_producer("ticks", small_batches());
    run(box, **producer, *client, 2000);
    for (const auto mode : {ConsumerOptions::Mode::kSubscribe, ConsumerOptions::Mode::kPull}) {
        for (const uint32_t credit : {1U << 22U, 4096U}) {
            ConsumerOptions options;
            options.mode = mode;
            options.credit_bytes = credit;
            options.pull_bytes = credit;
            const auto seen = read_all(*client, box, options);
            for (const auto& [id, shard] : box.shards) EXPECT_EQ(seen.at(id), box.records(id));
        }
    }
}

TEST_F(ClientTest, ConsumerResumesInTheMiddleOfARun) {
    FakeBox box(1);
    auto client = connect(box);
    auto producer = client->make_producer("ticks", small_batches());
    run(box, **producer, *client, 300);
    ConsumerOptions options;
    options.resume = {{ShardId{1}, SequenceNumber{117}}};
    const auto seen = read_all(*client, box, options);
    auto all = box.records(1);
    all.erase(all.begin(), all.begin() + 116);
    EXPECT_EQ(seen.at(1), all);
}

TEST_F(ClientTest, EndOfAClosedShardIsTold) {
    FakeBox box(1);
    auto client = connect(box);
    auto producer = client->make_producer("ticks", small_batches());
    run(box, **producer, *client, 50);
    box.split(1);
    auto consumer = client->make_consumer("ticks", {});
    std::vector<std::pair<uint64_t, Errc>> events;
    (*consumer)->on_event([&](ShardId shard, Error error) { events.emplace_back(shard.value, error.code); });
    for (int i = 0; i < 100; ++i) client->poll(1'000'000);
    EXPECT_EQ(events, (std::vector<std::pair<uint64_t, Errc>>{{1, Errc::kShardClosed}}));
    EXPECT_EQ((*consumer)->stats().record_count, 50U);
}

// What an application does at the end of a shard: finish with it, then make a consumer of its children.
TEST_F(ClientTest, AfterAClosedShardItsChildrenAreReadByAConsumerOfTheirOwn) {
    FakeBox box(1);
    auto client = connect(box);
    auto producer = client->make_producer("ticks", small_batches());
    run(box, **producer, *client, 50);
    box.split(1);
    auto consumer = client->make_consumer("ticks", {.shards = {ShardId{1}}});
    int closed = 0;
    (*consumer)->on_event([&](ShardId, Error error) { closed += error.code == Errc::kShardClosed ? 1 : 0; });
    for (int i = 0; i < 100; ++i) client->poll(1'000'000);
    EXPECT_EQ(closed, 1);
    EXPECT_TRUE((*consumer)->at_tail());
    EXPECT_EQ((*consumer)->position(), (std::vector{std::pair{ShardId{1}, SequenceNumber{51}}}));

    for (int i = 0; i < 50; ++i) {
        const std::string key = "later-" + std::to_string(i);
        ASSERT_TRUE((*producer)->put({key, std::as_bytes(std::span(key)), {}, 0, 0}).has_value());
    }
    ASSERT_TRUE((*producer)->drain(1'000'000'000ULL).has_value());
    ConsumerOptions options;
    const auto stream = client->describe("ticks");
    ASSERT_TRUE(stream.has_value());
    for (const ShardDescription& shard : stream->shards) {
        if (shard.parent == ShardId{1}) options.shards.push_back(shard.id);
    }
    ASSERT_EQ(options.shards.size(), 2U);
    auto children = client->make_consumer("ticks", options);
    ASSERT_TRUE(children.has_value());
    for (int i = 0; i < 100; ++i) client->poll(1'000'000);
    EXPECT_EQ((*children)->stats().record_count, 50U);
    EXPECT_EQ((*consumer)->stats().record_count, 50U);
    EXPECT_EQ(closed, 1);
}

TEST_F(ClientTest, AConsumerOfAShardThatIsNotThereIsAnError) {
    FakeBox box(2);
    auto client = connect(box);
    const auto consumer = client->make_consumer("ticks", {.shards = {ShardId{2}, ShardId{77}}});
    ASSERT_FALSE(consumer.has_value());
    EXPECT_EQ(consumer.error().code, Errc::kUnknownShard);
    EXPECT_EQ(consumer.error().detail, 77U);
}

TEST_F(ClientTest, DescribeAndLocate) {
    FakeBox box(3);
    auto client = connect(box);
    const auto stream = client->describe("ticks");
    ASSERT_TRUE(stream.has_value());
    EXPECT_EQ(stream->shards.size(), 3U);
    EXPECT_EQ(stream->shard_count, 3U);
    EXPECT_EQ(client->locate(ShardId{1}, frame::Position::kTrimHorizon, 0)->value, 1U);
    EXPECT_EQ(client->describe("").error().code, Errc::kBadArgument);
}

}  // namespace
}  // namespace eagre::client
