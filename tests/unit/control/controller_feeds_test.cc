// Feeds as operators ask for them: what the catalogue says the dataplane serves, whatever breaks in between; ids are never used twice, and an old
// catalogue brings nothing back.
#include <gtest/gtest.h>

#include <set>

#include "tests/support/control_rig.h"

namespace eagre {
namespace {

using test::AdminAnswer;
using test::ControlRig;
using wire::AdminOp;
using wire::CommandOp;

feeds::FeedSpec spec_of(const char* name, uint16_t port, const char* address = "10.0.0.1") {
    feeds::FeedSpec spec;
    spec.name = name;
    spec.stream_name = "quotes";
    spec.lines = {{address, port, "", ""}};
    spec.framing = feeds::Framing::kRaw;
    return spec;
}

AdminAnswer add(ControlRig& rig, const feeds::FeedSpec& spec) { return rig.ask({.op = AdminOp::AddFeed, .feed = spec}); }

std::set<std::string> served(const ControlRig& rig) {
    std::set<std::string> names;
    for (const feeds::FeedSpec& spec : rig.dataplane.feeds.feeds) names.insert(spec.paused ? spec.name + " paused" : spec.name);
    return names;
}

TEST(ControllerFeeds, WhatIsAddedIsServedAndListed) {
    ControlRig rig;
    rig.start_and_agree();
    EXPECT_EQ(add(rig, spec_of("itch", 5000)).code, Errc::kUnknownStream);
    ASSERT_EQ(rig.create("quotes", 1).code, Errc::kOk);
    const AdminAnswer added = add(rig, spec_of("itch", 5000));
    ASSERT_EQ(added.code, Errc::kOk) << added.message;
    ASSERT_EQ(added.feeds.size(), 1U);
    EXPECT_EQ(added.feeds[0].id, 1U);
    EXPECT_NE(added.feeds[0].stream.value, 0U);
    EXPECT_NE(added.feeds[0].created_ns, 0U);
    EXPECT_EQ(served(rig), (std::set<std::string>{"itch"}));

    EXPECT_EQ(add(rig, spec_of("itch", 5001)).code, Errc::kFeedExists) << "the name";
    EXPECT_EQ(add(rig, spec_of("other", 5000)).code, Errc::kFeedExists) << "the port";
    EXPECT_EQ(add(rig, spec_of("v6", 5005, "::1")).code, Errc::kOk);
    EXPECT_EQ(add(rig, spec_of("v6too", 5005, "0:0:0:0:0:0:0:1")).code, Errc::kFeedExists) << "however it is written";
    EXPECT_EQ(rig.ask({.op = AdminOp::RemoveFeed, .name = "v6"}).code, Errc::kOk);
    EXPECT_EQ(add(rig, spec_of("one", 5000, "239.1.1.1")).code, Errc::kOk);
    EXPECT_EQ(add(rig, spec_of("two", 5000, "239.1.1.1")).code, Errc::kOk) << "a group may have several";
    auto bad = spec_of("bad", 5009);
    bad.key = "bites:1";
    const AdminAnswer refused = add(rig, bad);
    EXPECT_EQ(refused.code, Errc::kBadArgument);
    EXPECT_NE(refused.message.find("'bites:1' is no key rule"), std::string::npos) << refused.message;
    EXPECT_EQ(rig.ask({.op = AdminOp::ListFeeds}).feeds.size(), 3U);
    EXPECT_EQ(rig.ask({.op = AdminOp::ListFeeds, .name = "one"}).feeds.size(), 1U);
    EXPECT_EQ(rig.ask({.op = AdminOp::ListFeeds, .name = "none"}).code, Errc::kUnknownFeed);

    EXPECT_EQ(rig.ask({.op = AdminOp::PauseFeed, .name = "itch"}).code, Errc::kOk);
    EXPECT_EQ(rig.ask({.op = AdminOp::PauseFeed, .name = "itch"}).code, Errc::kOk) << "safe to repeat";
    EXPECT_EQ(served(rig).count("itch paused"), 1U);
    EXPECT_EQ(rig.ask({.op = AdminOp::ResumeFeed, .name = "itch"}).code, Errc::kOk);
    EXPECT_EQ(rig.ask({.op = AdminOp::RemoveFeed, .name = "itch"}).code, Errc::kOk);
    EXPECT_EQ(rig.ask({.op = AdminOp::RemoveFeed, .name = "itch"}).code, Errc::kUnknownFeed);
    EXPECT_EQ(served(rig), (std::set<std::string>{"one", "two"}));
    EXPECT_EQ(add(rig, spec_of("itch", 5000)).feeds.at(0).id, 5U) << "ids are never used twice";
}

TEST(ControllerFeeds, ARestartTellsTheDataplaneWhatItDoesNotKnow) {
    ControlRig rig;
    rig.start_and_agree();
    ASSERT_EQ(rig.create("quotes", 1).code, Errc::kOk);
    ASSERT_EQ(add(rig, spec_of("itch", 5000)).code, Errc::kOk);
    rig.dataplane.lose_command = CommandOp::PutFeeds;  // The connection breaks, and comes back.
    EXPECT_EQ(rig.ask({.op = AdminOp::PauseFeed, .name = "itch"}).code, Errc::kOk);
    EXPECT_EQ(served(rig), (std::set<std::string>{"itch paused"}));
    rig.dataplane.feeds = {};  // A box without its file.
    rig.kill();
    rig.start_and_agree();
    EXPECT_TRUE(rig.run_until([&] { return served(rig).count("itch paused") != 0; }));
}

TEST(ControllerFeeds, WhatWasNotAnsweredWithOkDoesNotComeToBe) {
    ControlRig rig;
    rig.start_and_agree();
    ASSERT_EQ(rig.create("quotes", 1).code, Errc::kOk);
    rig.dataplane.refuse[CommandOp::PutFeeds] = {Errc::kBadArgument};
    EXPECT_EQ(add(rig, spec_of("itch", 5000)).code, Errc::kBadArgument);
    EXPECT_TRUE(rig.ask({.op = AdminOp::ListFeeds}).feeds.empty());
    rig.dataplane.refuse[CommandOp::PutFeeds] = {Errc::kDiskFull};
    EXPECT_EQ(add(rig, spec_of("itch", 5000)).code, Errc::kOk) << "what may be over in a moment is tried again";
}

TEST(ControllerFeeds, AnOldCatalogueBringsNothingBack) {
    ControlRig rig;
    rig.start_and_agree();
    ASSERT_EQ(rig.create("quotes", 1).code, Errc::kOk);
    ASSERT_EQ(add(rig, spec_of("itch", 5000)).code, Errc::kOk);
    feeds::FeedSet later = rig.dataplane.feeds;
    later.number = 40;
    later.feeds[0].name = "of-a-later-catalogue";
    rig.dataplane.feeds = later;
    rig.kill();
    rig.start_and_agree();
    rig.run_until([] { return false; }, 200);
    EXPECT_EQ(served(rig), (std::set<std::string>{"of-a-later-catalogue"})) << "it stands until an operator says otherwise";
    EXPECT_EQ(add(rig, spec_of("new", 5001)).code, Errc::kStaleFeeds) << "an id of the lost catalogue's must not be taken";
    const AdminAnswer again = add(rig, spec_of("new", 5001));
    ASSERT_EQ(again.code, Errc::kOk) << again.message;
    EXPECT_GT(again.feeds.at(0).id, 40U);
    EXPECT_EQ(served(rig), (std::set<std::string>{"itch", "new"}));
}

}  // namespace
}  // namespace eagre
