// A consumer of a whole stream goes through splits and merges by itself: every record once, in order per key, each child
// only when all its parents have been read, whatever breaks meanwhile.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "tests/support/fake_box.h"
#include "wire/client/client.h"

namespace eagre::client {
namespace {

using test::FakeBox;
using Mode = ConsumerOptions::Mode;

class ConsumerChildren : public ::testing::TestWithParam<Mode> {
  protected:
    ConsumerChildren() : box_(2) {
        client_ = std::move(*Client::connect(box_.transport(), {}));
        ProducerOptions options;
        options.batch_bytes = 600;
        producer_ = std::move(*client_->make_producer("ticks", options));
        options_.mode = GetParam();
    }
    void put(int count) {
        for (int i = 0; i < count; ++i) {
            const std::string key = "k" + std::to_string(put_ % 23);
            const std::string data = std::to_string(put_++);
            ASSERT_TRUE(producer_->put({key, std::as_bytes(std::span(data)), {}, 0, 0}).has_value());
        }
        ASSERT_TRUE(producer_->drain(10'000'000'000ULL).has_value());
    }
    void consume() {
        consumer_ = std::move(*client_->make_consumer("ticks", options_));
        consumer_->on_delivery([this](const Delivery& delivery) {
            for (uint32_t i = delivery.skip; i < delivery.batch.record_count(); ++i) {
                const frame::RecordView record = delivery.batch.record(i);
                const int value = std::stoi(std::string(reinterpret_cast<const char*>(record.data.data()), record.data.size()));
                const std::string key(record.partition_key);
                EXPECT_TRUE(!last_.contains(key) || last_[key] < value) << key << " " << value;
                last_[key] = value;
                EXPECT_TRUE(seen_.insert(value).second) << value << " came twice";
            }
            const auto& shard = box_.shards.at(delivery.shard.value);
            for (const ShardId parent : {shard.parent, shard.adjacent_parent}) {
                EXPECT_TRUE(!begun_.contains(parent.value) || ended_.contains(parent.value)) << parent.value;
            }
            begun_.insert(delivery.shard.value);
        });
        consumer_->on_event([this](ShardId shard, Error error) {
            EXPECT_EQ(error.code, Errc::kShardClosed);
            EXPECT_TRUE(ended_.insert(shard.value).second);
        });
    }
    void poll(int turns = 200) {
        for (int i = 0; i < turns; ++i) client_->poll(1'000'000);
    }
    uint64_t newest() const { return box_.shards.rbegin()->first; }

    FakeBox box_;
    std::unique_ptr<Client> client_;
    std::unique_ptr<Producer> producer_;
    std::unique_ptr<Consumer> consumer_;
    ConsumerOptions options_;
    int put_ = 0;
    std::map<std::string, int> last_;
    std::set<int> seen_;
    std::set<uint64_t> begun_;
    std::set<uint64_t> ended_;
};

TEST_P(ConsumerChildren, ReadsAHistoryOfSplitsAndMergesInOrder) {
    put(200);
    box_.split(1);  // 3, 4
    put(200);
    box_.merge(4, 2);  // 5
    put(200);
    box_.split(3);  // 6, 7
    put(200);
    consume();
    poll();
    EXPECT_EQ(seen_.size(), 800U);
    EXPECT_TRUE(consumer_->at_tail());
    EXPECT_EQ(ended_, (std::set<uint64_t>{1, 2, 3, 4}));
}

TEST_P(ConsumerChildren, AClosedShardIsNotAtItsTailBeforeItsEndWasTold) {
    put(200);
    box_.split(1);
    options_.shards = {ShardId{1}};
    box_.piece_bytes_max = 40;
    consume();
    for (int i = 0; i < 20000 && !consumer_->at_tail(); ++i) client_->poll(1'000'000);
    EXPECT_TRUE(consumer_->at_tail());
    EXPECT_EQ(ended_, (std::set<uint64_t>{1}));
}

TEST_P(ConsumerChildren, FollowsWhatHappensWhileItReads) {
    consume();
    for (int round = 0; round < 6; ++round) {
        put(100);
        poll(round);
        const uint64_t before = newest();
        round % 2 == 0 ? box_.split(before) : box_.merge(before - 1, before);
        put(50);
        poll(3);
        if (round == 3) box_.break_connections();
    }
    poll(400);
    EXPECT_EQ(seen_.size(), 900U);
    EXPECT_TRUE(consumer_->at_tail());
}

TEST_P(ConsumerChildren, ALatestConsumerMissesNothingOfAChildThatOpensLater) {
    put(100);
    box_.split(1);
    put(100);
    options_.start = {frame::Position::kLatest, 0};
    consume();
    poll(50);
    EXPECT_TRUE(seen_.empty());
    box_.split(3);
    put(100);
    box_.split(5);
    put(100);
    poll();
    EXPECT_EQ(seen_.size(), 200U);
}

TEST_P(ConsumerChildren, GoesOnFromACheckpointInAParent) {
    put(200);
    options_.resume = {{ShardId{1}, SequenceNumber{box_.shards.at(1).next}}, {ShardId{2}, SequenceNumber{box_.shards.at(2).next}}};
    options_.start = {frame::Position::kLatest, 0};
    box_.split(1);
    put(100);
    box_.merge(4, 2);
    put(100);
    consume();
    EXPECT_EQ(consumer_->position().size(), 2U);  // Those that wait have no position yet.
    poll();
    EXPECT_EQ(seen_.size(), 200U);
    EXPECT_EQ(consumer_->position().size(), 5U);
}

TEST_P(ConsumerChildren, IsNotAtTheTailBeforeTheChildrenAreKnown) {
    put(50);
    consume();
    poll();
    EXPECT_TRUE(consumer_->at_tail());
    box_.split(1);
    put(50);
    // Until all is seen it may never say that it has seen all.
    for (int i = 0; i < 200 && seen_.size() < 100; ++i) {
        client_->poll(1'000'000);
        const bool between = ended_.contains(1) && seen_.size() < 100;
        EXPECT_FALSE(between && consumer_->at_tail());
    }
    EXPECT_EQ(seen_.size(), 100U);
}

TEST_P(ConsumerChildren, GoesOnWhenAParentWasDroppedBeforeItsEndWasTold) {
    put(50);
    consume();
    poll();
    std::set<uint64_t> dropped;
    consumer_->on_event([&](ShardId shard, Error error) {
        EXPECT_EQ(error.code, Errc::kUnknownShard);
        EXPECT_TRUE(dropped.insert(shard.value).second);
        ended_.insert(shard.value);
    });
    // While the reader is not connected shard 1 is split, and taken by retention; others write on.
    box_.split(1);
    box_.shards.erase(1);
    box_.break_connections();
    const auto other = std::move(*Client::connect(box_.transport(), {}));
    producer_ = std::move(*other->make_producer("ticks", {}));
    put(50);
    for (int i = 0; i < 400 && seen_.size() < 100; ++i) {
        client_->poll(1'000'000);
        EXPECT_FALSE(!dropped.empty() && consumer_->at_tail() && seen_.size() < 100);
    }
    EXPECT_EQ(seen_.size(), 100U) << "the children of which nobody was told are read all the same";
    EXPECT_EQ(dropped, std::set<uint64_t>{1});
    producer_.reset();  // Before its client.
}

TEST_P(ConsumerChildren, ADeletedStreamIsToldOnceByItsName) {
    put(50);
    consume();
    poll();
    std::vector<Errc> told;
    consumer_->on_event([&](ShardId, Error error) { told.push_back(error.code); });
    box_.shards.clear();
    poll();
    EXPECT_EQ(told, std::vector<Errc>{Errc::kUnknownStream});
    EXPECT_TRUE(consumer_->at_tail()) << "nothing more will come";
}

TEST_P(ConsumerChildren, NamedShardsAreReadAndNoOthers) {
    put(100);
    const size_t of_first = box_.records(1).size();
    box_.split(1);
    put(100);
    options_.shards = {ShardId{1}};
    consume();
    poll();
    EXPECT_EQ(seen_.size(), of_first);
    EXPECT_TRUE(consumer_->at_tail());
}

INSTANTIATE_TEST_SUITE_P(Modes, ConsumerChildren, ::testing::Values(Mode::kSubscribe, Mode::kPull));

}  // namespace
}  // namespace eagre::client
