// What a feed is: it reads back as it was packed, a rotten file is refused, and what can't be served is told in a sentence.
#include "wire/feeds/spec/feed_spec.h"

#include <gtest/gtest.h>

#include "wire/feeds/feed_check.h"
#include "wire/feeds/spec/feed_codec.h"

namespace eagre::feeds {
namespace {

FeedSpec itch() {
    FeedSpec spec;
    spec.id = 7;
    spec.name = "itch";
    spec.stream = StreamId{3};
    spec.stream_name = "ticks";
    spec.lines = {{"239.1.1.1", 5000, "eth1", "10.0.0.9"}, {"239.1.1.2", 5000, "eth2", ""}};
    spec.framing = Framing::kMoldUdp64;
    spec.key = "bytes:1:2";
    spec.window_ms = 20;
    spec.created_ns = 1'700'000'000'000'000'000;
    return spec;
}

TEST(FeedSpec, ReadsBackAsItWasPacked) {
    FeedSpec other = itch();
    other.id = 3;
    other.name = "v6";
    other.lines = {{"ff02::1", 6000, "", ""}};
    other.paused = true;
    const auto set = decode_feed_file(encode_feed_file({42, {itch(), other}}));
    ASSERT_TRUE(set);
    EXPECT_EQ((*set)->number, 42U);
    EXPECT_EQ((*set)->feeds, (std::vector<FeedSpec>{other, itch()})) << "by id";
}

TEST(FeedSpec, AFileThatIsNotWholeIsRefused) {
    const auto file = encode_feed_file({42, {itch()}});
    for (size_t at = 0; at < file.size(); ++at) {
        auto rotten = file;
        rotten[at] ^= std::byte{0x10};
        EXPECT_FALSE(decode_feed_file(rotten)) << at;
        EXPECT_FALSE(decode_feed_file(std::span(file).first(at))) << at;
    }
    EXPECT_FALSE(decode_feed_file(encode_feed_file({42, {itch(), itch()}}))) << "an id twice";
}

TEST(FeedSpec, WhatCannotBeServedIsSaid) {
    EXPECT_EQ(check(itch()), "");
    const auto wrong = [](auto change) {
        FeedSpec spec = itch();
        change(spec);
        return check(spec);
    };
    EXPECT_NE(wrong([](FeedSpec& s) { s.name = "a b"; }), "");
    EXPECT_NE(wrong([](FeedSpec& s) { s.name = ""; }), "");
    EXPECT_NE(wrong([](FeedSpec& s) { s.lines.clear(); }), "");
    EXPECT_NE(wrong([](FeedSpec& s) { s.lines[1] = s.lines[0]; }), "");
    EXPECT_NE(wrong([](FeedSpec& s) { s.lines[0].address = "eth1"; }), "");
    EXPECT_NE(wrong([](FeedSpec& s) { s.lines[0].port = 0; }), "");
    EXPECT_NE(wrong([](FeedSpec& s) { s.lines[0].source = "239.1.1.9"; }), "") << "a group is no source";
    EXPECT_NE(wrong([](FeedSpec& s) { s.lines[0].source = "::1"; }), "");
    EXPECT_NE(wrong([](FeedSpec& s) { s.framing = Framing::kRaw; }), "") << "two lines need numbers";
    EXPECT_NE(wrong([](FeedSpec& s) { s.framing = static_cast<Framing>(9); }), "");
    EXPECT_NE(wrong([](FeedSpec& s) { s.key = "bytes"; }).find("key rule"), std::string::npos);
    EXPECT_NE(wrong([](FeedSpec& s) { s.window_ms = 60'001; }), "");
}

}  // namespace
}  // namespace eagre::feeds
