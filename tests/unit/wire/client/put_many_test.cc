// A burst is stored as if its records had been put one by one.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/fake_box.h"
#include "wire/client/client.h"

namespace eagre::client {
namespace {

using test::FakeBox;

class PutMany : public ::testing::Test {
  protected:
    void start(uint32_t shards, const ProducerOptions& options) {
        box = std::make_unique<FakeBox>(shards);
        client = std::move(*Client::connect(box->transport(), {}));
        producer = std::move(*client->make_producer("ticks", options));
    }
    void fill(size_t count, size_t keys) {
        for (size_t i = 0; i < count; ++i) {
            texts.push_back("k" + std::to_string(i % keys));
            texts.push_back(std::to_string(i));
        }
        for (size_t i = 0; i < count; ++i) {
            const std::string& data = texts[2 * i + 1];
            records.push_back({texts[2 * i], std::as_bytes(std::span(data.data(), data.size())), {}, 0, 0});
        }
    }
    std::unique_ptr<FakeBox> box;
    std::unique_ptr<Client> client;
    std::unique_ptr<Producer> producer;
    std::vector<std::string> texts;
    std::vector<frame::RecordView> records;
};

TEST_F(PutMany, StoresWhatPutWouldStore) {
    start(8, {});
    fill(1000, 37);
    records[10].explicit_hash = HashKey{};  // Goes to the first shard whatever its key says.
    ASSERT_EQ(*producer->put_many(records, 5), records.size());
    ASSERT_TRUE(producer->drain(60'000'000'000ULL).has_value());
    EXPECT_EQ(producer->stats().record_count, records.size());

    FakeBox other(8);
    auto second = std::move(*Client::connect(other.transport(), {}));
    auto single = std::move(*second->make_producer("ticks", {}));
    for (const frame::RecordView& record : records) ASSERT_TRUE(single->put(record, 5).has_value());
    ASSERT_TRUE(single->drain(60'000'000'000ULL).has_value());
    EXPECT_EQ(box->all_records(), other.all_records());
}

TEST_F(PutMany, TakesWhatTheWindowHoldsAndTellsHowMuch) {
    ProducerOptions options;
    options.window_bytes = 2000;
    start(4, options);
    fill(500, 20);
    size_t done = 0;
    size_t refusals = 0;
    for (int tries = 0; done < records.size(); ++tries) {
        ASSERT_LT(tries, 1'000'000);
        const auto taken = producer->put_many(std::span(records).subspan(done));
        if (taken) {
            EXPECT_GT(*taken, 0U);
            EXPECT_LE(producer->in_flight_bytes(), options.window_bytes);
            done += *taken;
        } else {
            ASSERT_EQ(taken.error().code, Errc::kBusy);
            ++refusals;
            client->poll(1'000'000);
        }
    }
    ASSERT_TRUE(producer->drain(60'000'000'000ULL).has_value());
    EXPECT_GT(refusals, 0U);
    EXPECT_EQ(box->all_records().size(), records.size());
}

TEST_F(PutMany, ABadRecordEndsTheBurstBeforeItAndIsNamedWhenItIsTheFirst) {
    start(4, {});
    fill(10, 3);
    records[4].partition_key = {};
    EXPECT_EQ(*producer->put_many(records), 4U);
    EXPECT_EQ(producer->put_many(std::span(records).subspan(4)).error().code, Errc::kBadPartitionKey);
    EXPECT_EQ(*producer->put_many(std::span(records).subspan(5)), 5U);
    ASSERT_TRUE(producer->drain(60'000'000'000ULL).has_value());
    EXPECT_EQ(box->all_records().size(), 9U);
}

// However long the linger: a producer and a box that work in turn are half as fast.
TEST_F(PutMany, OpenBatchesHoldAtMostHalfOfTheWindow) {
    ProducerOptions options;
    options.window_bytes = 8000;
    options.linger_ns = 3'600'000'000'000ULL;
    start(32, options);
    fill(1000, 300);
    for (size_t i = 0; producer->in_flight_bytes() < 3900; ++i) ASSERT_TRUE(producer->put(records[i]).has_value());
    EXPECT_EQ(producer->stats().batch_count, 0U);
    for (size_t i = 500; producer->in_flight_bytes() < 6000; ++i) ASSERT_TRUE(producer->put(records[i]).has_value());
    EXPECT_GT(producer->stats().batch_count, 0U);
    for (int i = 0; i < 50; ++i) client->poll(1'000'000);
    EXPECT_LE(producer->in_flight_bytes(), options.window_bytes / 2);
}

}  // namespace
}  // namespace eagre::client
