// Idempotent producers: exactly the last number + 1 is new, a repeated number gets the first answer, anything else its own
// typed error; the table is bounded and expires by idle time only.
#include "dataplane/shard/producer_table.h"

#include <gtest/gtest.h>

namespace eagre::shard {
namespace {

constexpr ProducerId kProducer{77};
constexpr ShardId kShard{3};

journal::BatchResult result(uint64_t number, uint64_t first, uint32_t count = 10, uint32_t crc = 0xABCD) {
    return {BatchNumber{number}, SequenceNumber{first}, count, crc};
}

TEST(ProducerTable, OnlyTheLastNumberPlusOneIsNew) {
    ProducerTable table(16, 1000);
    EXPECT_EQ(table.check(kProducer, kShard, BatchNumber{5}, 1, 1).error().code, Errc::kUnknownProducer);
    ASSERT_TRUE(table.check(kProducer, kShard, BatchNumber{0}, 1, 1).has_value());
    table.record(kProducer, kShard, result(0, 100), 1);
    EXPECT_FALSE(table.check(kProducer, kShard, BatchNumber{1}, 1, 1)->repeated);
    const auto ahead = table.check(kProducer, kShard, BatchNumber{2}, 1, 1);
    ASSERT_FALSE(ahead.has_value());
    EXPECT_EQ(ahead.error().code, Errc::kBatchOutOfOrder);
    EXPECT_EQ(ahead.error().detail, 1U);
}

TEST(ProducerTable, RepeatedNumberGetsTheFirstAnswerUnlessTheBytesDiffer) {
    ProducerTable table(16, 1000);
    table.record(kProducer, kShard, result(0, 100), 1);
    table.record(kProducer, kShard, result(1, 110), 2);
    const auto again = table.check(kProducer, kShard, BatchNumber{0}, 0xABCD, 10);
    ASSERT_TRUE(again.has_value());
    EXPECT_TRUE(again->repeated);
    EXPECT_EQ(again->first.first_sequence.value, 100U);
    EXPECT_EQ(table.check(kProducer, kShard, BatchNumber{0}, 0xABCE, 10).error().code, Errc::kBatchMismatch);
    EXPECT_EQ(table.check(kProducer, kShard, BatchNumber{0}, 0xABCD, 11).error().code, Errc::kBatchMismatch);
}

TEST(ProducerTable, KeepsAWindowOfAnswers) {
    ProducerTable table(16, 1000);
    for (uint64_t number = 0; number < kProducerWindow + 3; ++number) {
        table.record(kProducer, kShard, result(number, 100 + 10 * number), number);
    }
    EXPECT_EQ(table.check(kProducer, kShard, BatchNumber{2}, 0xABCD, 10).error().code, Errc::kBatchForgotten);
    EXPECT_EQ(table.check(kProducer, kShard, BatchNumber{3}, 0xABCD, 10)->first.first_sequence.value, 130U);
}

TEST(ProducerTable, NumbersCountPerShard) {
    ProducerTable table(16, 1000);
    table.record(kProducer, kShard, result(0, 100), 1);
    EXPECT_FALSE(table.check(kProducer, ShardId{4}, BatchNumber{0}, 0xABCD, 10)->repeated);
    table.forget_shard(kShard);
    EXPECT_EQ(table.count(), 0U);
}

TEST(ProducerTable, FullTableRefusesNewIdsAndForgetsOnlyIdleOnes) {
    ProducerTable table(2, 1000);
    table.record(ProducerId{1}, kShard, result(0, 1), 5000);
    table.record(ProducerId{2}, kShard, result(0, 11), 6000);
    EXPECT_EQ(table.check(ProducerId{3}, kShard, BatchNumber{0}, 1, 1).error().code, Errc::kLimitExceeded);
    EXPECT_TRUE(table.check(ProducerId{1}, kShard, BatchNumber{1}, 1, 1).has_value());
    table.expire(6500);
    EXPECT_EQ(table.count(), 1U);
    EXPECT_TRUE(table.check(ProducerId{3}, kShard, BatchNumber{0}, 1, 1).has_value());
    EXPECT_TRUE(table.check(ProducerId{2}, kShard, BatchNumber{1}, 1, 1).has_value());
}

}  // namespace
}  // namespace eagre::shard
