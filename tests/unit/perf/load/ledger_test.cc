// Feeds the ledger correct runs and runs with one planted fault each (a gap, a repetition, a swap,
// a changed byte, a record stored twice), and checks that exactly that fault is counted, for
// exactly that reader.
#include "perf/load/ledger.h"

#include <numeric>
#include <thread>

#include <gtest/gtest.h>

namespace eagre::load {
namespace {

constexpr ShardId kShard{7};

std::vector<Stamp> stamps_of(uint64_t first, uint64_t count) {
    std::vector<Stamp> stamps;
    for (uint64_t i = 0; i < count; ++i) stamps.push_back({1000 + first + i, 10 * (first + i)});
    return stamps;
}
std::vector<uint64_t> hashes_of(uint64_t first, uint64_t count) {
    std::vector<uint64_t> hashes(count);
    std::iota(hashes.begin(), hashes.end(), 1000 + first);
    return hashes;
}
void acknowledge(Ledger& ledger, uint64_t first, uint64_t count) {
    ledger.acknowledged(kShard, SequenceNumber{first}, stamps_of(first, count));
}
void see(Ledger& ledger, uint32_t reader, uint64_t first, uint64_t count) {
    ledger.seen(reader, kShard, SequenceNumber{first}, hashes_of(first, count), 10 * first + 500);
}
void expect_clean(const ReaderVerdict& verdict, uint64_t read_count) {
    EXPECT_EQ(verdict.read_count, read_count);
    EXPECT_EQ(verdict.lost_count, 0U);
    EXPECT_EQ(verdict.duplicated_count, 0U);
    EXPECT_EQ(verdict.out_of_order_count, 0U);
}

TEST(Ledger, CleanRunInAnyInterleavingIsClean) {
    Ledger ledger(2);
    // Reader 0 sees records before the producer hears of them; reader 1 long after. Batches cross
    // block borders.
    for (uint64_t first = 1; first < 10'000; first += 300) {
        see(ledger, 0, first, 300);
        acknowledge(ledger, first, 300);
    }
    const uint64_t count = 34 * 300;
    EXPECT_GT(ledger.outstanding_count(), count - 1024);
    for (uint64_t first = 1; first < 10'200; first += 150) see(ledger, 1, first, 150);
    EXPECT_LE(ledger.outstanding_count(), 2048U) << "whole blocks are dropped once all have passed";
    const auto verdicts = ledger.finish(0);
    ASSERT_EQ(verdicts.size(), 2U);
    expect_clean(verdicts[0], count);
    expect_clean(verdicts[1], count);
    EXPECT_EQ(verdicts[0].latency_ns.count(), count);
    EXPECT_LE(verdicts[0].latency_ns.max(), 510U);
}

TEST(Ledger, CountsAGapAsLostForThatReaderOnly) {
    Ledger ledger(2);
    acknowledge(ledger, 1, 5000);
    see(ledger, 0, 1, 5000);
    see(ledger, 1, 1, 2999);
    see(ledger, 1, 3010, 1991);
    const auto verdicts = ledger.finish(0);
    expect_clean(verdicts[0], 5000);
    EXPECT_EQ(verdicts[1].lost_count, 10U);
    EXPECT_EQ(verdicts[1].duplicated_count, 0U);
    EXPECT_EQ(verdicts[1].out_of_order_count, 0U);
}

TEST(Ledger, CountsRepetitionsBeforeAndAfterABlockWasDropped) {
    Ledger ledger(1);
    acknowledge(ledger, 1, 4000);
    see(ledger, 0, 1, 4000);
    see(ledger, 0, 3990, 11);
    see(ledger, 0, 1500, 5);
    const auto verdicts = ledger.finish(0);
    EXPECT_EQ(verdicts[0].duplicated_count, 16U);
    EXPECT_EQ(verdicts[0].lost_count, 0U);
}

TEST(Ledger, CountsLateOnesAsOutOfOrder) {
    Ledger ledger(1);
    acknowledge(ledger, 1, 100);
    see(ledger, 0, 1, 50);
    see(ledger, 0, 61, 40);
    see(ledger, 0, 51, 10);
    const auto verdicts = ledger.finish(0);
    EXPECT_EQ(verdicts[0].out_of_order_count, 10U);
    EXPECT_EQ(verdicts[0].lost_count, 0U);
}

TEST(Ledger, TellsASwapFromAChangedByte) {
    Ledger ledger(1);
    acknowledge(ledger, 1, 100);
    auto hashes = hashes_of(1, 100);
    std::swap(hashes[10], hashes[20]);
    hashes[30] ^= 0x10;
    ledger.seen(0, kShard, SequenceNumber{1}, hashes, 9000);
    const auto verdicts = ledger.finish(0);
    EXPECT_EQ(verdicts[0].out_of_order_count, 2U);
    EXPECT_EQ(verdicts[0].lost_count, 1U);
}

TEST(Ledger, WhatNobodyWasToldOfIsDuplicatedUnlessTheOutcomeIsUnknown) {
    for (const uint64_t unknown : {0U, 4U, 10U}) {
        Ledger ledger(1);
        acknowledge(ledger, 1, 90);
        see(ledger, 0, 1, 100);
        const auto verdicts = ledger.finish(unknown);
        EXPECT_EQ(verdicts[0].duplicated_count, 10 - unknown);
        EXPECT_EQ(verdicts[0].lost_count, 0U);
    }
}

TEST(Ledger, OneNumberGivenTwiceLosesARecord) {
    Ledger ledger(1);
    acknowledge(ledger, 1, 10);
    acknowledge(ledger, 10, 10);
    see(ledger, 0, 1, 19);
    EXPECT_EQ(ledger.finish(0)[0].lost_count, 1U);
}

TEST(Ledger, ThreadsMayShareIt) {
    Ledger ledger(2);
    constexpr uint64_t kCount = 200'000;
    std::thread producer([&] {
        for (uint64_t first = 1; first < kCount; first += 100) acknowledge(ledger, first, 100);
    });
    std::thread readers[2];
    for (uint32_t reader = 0; reader < 2; ++reader) {
        readers[reader] = std::thread([&ledger, reader] {
            for (uint64_t first = 1; first < kCount; first += 250) see(ledger, reader, first, 250);
        });
    }
    producer.join();
    for (auto& reader : readers) reader.join();
    const auto verdicts = ledger.finish(0);
    expect_clean(verdicts[0], kCount);
    expect_clean(verdicts[1], kCount);
}

}  // namespace
}  // namespace eagre::load
