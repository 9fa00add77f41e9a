#include <gtest/gtest.h>

#include <memory>

#include "dataplane/io/packets/arp_cache.h"
#include "dataplane/io/packets/steering.h"

namespace eagre::io::packets {
namespace {

constexpr Mac kMac{std::byte{2}, std::byte{0}, std::byte{0}, std::byte{0}, std::byte{0}, std::byte{9}};
constexpr Ip4 kPeer{0x0a000009};
constexpr uint64_t kNow = 5'000'000'000ULL;

TEST(ArpCache, AsksOnceASecondUntilItKnows) {
    const auto cache = std::make_unique<ArpCache>();
    EXPECT_TRUE(cache->find(kPeer, kNow).ask);
    EXPECT_FALSE(cache->find(kPeer, kNow + 1).ask);
    EXPECT_TRUE(cache->find(kPeer, kNow + ArpCache::kAskAgainNs).ask);
    cache->learn(kPeer, kMac, kNow + 2, false);
    const auto answer = cache->find(kPeer, kNow + 3);
    ASSERT_NE(answer.mac, nullptr);
    EXPECT_EQ(*answer.mac, kMac);
    EXPECT_FALSE(answer.ask);
}

TEST(ArpCache, WhatIsOldIsAskedAgainAndThenForgotten) {
    const auto cache = std::make_unique<ArpCache>();
    cache->learn(kPeer, kMac, kNow, true);
    auto answer = cache->find(kPeer, kNow + ArpCache::kFreshNs + 1);
    EXPECT_NE(answer.mac, nullptr);
    EXPECT_TRUE(answer.ask);
    answer = cache->find(kPeer, kNow + ArpCache::kGoodNs + 1);
    EXPECT_EQ(answer.mac, nullptr);
    EXPECT_TRUE(answer.ask);
}

TEST(ArpCache, AnswersThatNobodyAskedForGetNoPlace) {
    const auto cache = std::make_unique<ArpCache>();
    cache->learn(kPeer, kMac, kNow, false);
    EXPECT_EQ(cache->find(kPeer, kNow).mac, nullptr);
    cache->learn(Ip4{0xe0000001}, kMac, kNow, true);
    EXPECT_EQ(cache->find(Ip4{0xe0000001}, kNow).mac, nullptr);
    cache->learn(Ip4{0x0a000001}, kBroadcastMac, kNow, true);
    EXPECT_EQ(cache->find(Ip4{0x0a000001}, kNow).mac, nullptr);
}

TEST(ArpCache, AFloodDoesNotPushOutWhoIsInUse) {
    const auto cache = std::make_unique<ArpCache>();
    cache->learn(kPeer, kMac, kNow, true);
    for (uint32_t i = 0; i < 100'000; ++i) {
        cache->learn(Ip4{0x0b000000 + i}, kMac, kNow + i, true);
        if (i % 16 != 0) continue;
        ASSERT_NE(cache->find(kPeer, kNow + i).mac, nullptr) << i;
    }
}

TEST(SteerBook, AnAddressIsForOneAndAGroupForAll) {
    SteerBook book;
    ASSERT_TRUE(book.claim({kPeer, 9000, {}, 0, kOwnPort}).has_value());
    EXPECT_EQ(book.claim({kPeer, 9000, {}, 1, 7}).error().code, Errc::kPortInUse);
    ASSERT_TRUE(book.claim({kPeer, 9001, {}, 1, kOwnPort}).has_value());
    const Ip4 group{0xef010101};
    ASSERT_TRUE(book.claim({group, 9000, {}, 0, 256}).has_value());
    ASSERT_TRUE(book.claim({group, 9000, kPeer, 1, 257}).has_value());
    EXPECT_TRUE(book.wanted(group, {}));
    EXPECT_EQ(book.groups().size(), 1U);
    book.drop(0, 256);
    EXPECT_FALSE(book.wanted(group, {}));
    EXPECT_TRUE(book.wanted(group, kPeer));
}

TEST(SteerBook, GenerationMovesWithEveryChangeOnly) {
    SteerBook book;
    const uint64_t before = book.generation();
    book.drop(3, 4);
    EXPECT_EQ(book.generation(), before);
    ASSERT_TRUE(book.claim({kPeer, 1, {}, 0, 0}).has_value());
    EXPECT_GT(book.generation(), before);
    uint64_t seen = 0;
    EXPECT_EQ(book.claims(seen).size(), 1U);
    EXPECT_EQ(seen, book.generation());
}

TEST(SteerTable, FindsAllOfMany) {
    SteerTable table;
    EXPECT_TRUE(table.find(kPeer, 1).empty());
    std::vector<Claim> claims;
    for (uint32_t i = 0; i < 2000; ++i) claims.push_back({Ip4{0xef000000 + i / 3}, static_cast<uint16_t>(9000 + i / 3), {}, i % 3, i});
    table.rebuild(claims);
    for (uint32_t i = 0; i < 2000; ++i) {
        const auto found = table.find(Ip4{0xef000000 + i / 3}, static_cast<uint16_t>(9000 + i / 3));
        ASSERT_EQ(found.size(), i / 3 == 666 ? 2U : 3U) << i;
        EXPECT_EQ(found[i % 3].inlet, i);
        EXPECT_EQ(found[i % 3].core, i % 3);
    }
    EXPECT_TRUE(table.find(Ip4{0xef000000}, 9001).empty());
}

}  // namespace
}  // namespace eagre::io::packets
