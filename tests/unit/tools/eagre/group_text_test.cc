// Groups as people and programs read them: what is not known is not shown as nothing.
#include "tools/eagre/group_text.h"

#include <gtest/gtest.h>

namespace eagre::cli {
namespace {

constexpr uint64_t kNowNs = 1'700'000'010'000'000'000ULL;

client::GroupDescription group() {
    client::GroupDescription group;
    group.stream = "quotes";
    group.name = "billing";
    group.heartbeat_ms = 3000;
    group.created_ns = 1'700'000'000'000'000'000ULL;
    group.member_count = 1;
    group.shard_count = 2;
    group.members.push_back({"node-1", group.created_ns, 12'000'000, 1});
    client::GroupShard read;
    read.shard = ShardId{1};
    read.member = "node-1";
    read.token = 7;
    read.next = SequenceNumber{1001};
    read.known = true;
    read.tail = SequenceNumber{1001};
    client::GroupShard behind = read;
    behind.shard = ShardId{2};
    behind.member.clear();
    behind.next = SequenceNumber{0};
    behind.tail = SequenceNumber{2501};
    behind.unread_records = 2500;
    behind.unread_bytes = 640'000;
    behind.unread_since_ns = kNowNs - 1'500'000'000;
    group.shards = {read, behind};
    group.known = true;
    group.unread_records = 2500;
    group.unread_bytes = 640'000;
    group.unread_since_ns = behind.unread_since_ns;
    return group;
}

TEST(GroupText, ShowsWhoReadsAndHowFarBehind) {
    const std::string text = group_text(group(), kNowNs);
    EXPECT_NE(text.find("billing reads quotes"), std::string::npos) << text;
    EXPECT_NE(text.find("2,500 records, 640 kB, the oldest for 1.50 s"), std::string::npos) << text;
    EXPECT_NE(text.find("nobody reads it"), std::string::npos) << text;
    EXPECT_EQ(text.find('?'), std::string::npos) << text;
}

TEST(GroupText, WhatIsNotKnownIsNotNothing) {
    client::GroupDescription unknown = group();
    unknown.known = false;
    unknown.shards[0].known = false;
    EXPECT_NE(group_text(unknown, kNowNs).find('?'), std::string::npos);
    const auto json = group_json(unknown, kNowNs);
    EXPECT_TRUE(json["lag"].is_null());
    EXPECT_TRUE(json["shards"][0]["lag"].is_null());
    EXPECT_EQ(json["shards"][1]["lag"]["records"], 2500);
    EXPECT_EQ(json["shards"][1]["lag"]["age_ms"], 1500);
    EXPECT_TRUE(json["shards"][1]["member"].is_null());
    EXPECT_TRUE(json["shards"][1]["checkpoint"].is_null());
    EXPECT_EQ(json["shards"][0]["checkpoint"], 1001);
}

TEST(GroupText, AClockThatRanBackMakesNoAge) {
    EXPECT_EQ(group_json(group(), 5)["lag"]["age_ms"], 0);
}

}  // namespace
}  // namespace eagre::cli
