// Frames of a made-up box at many sizes: nothing is wider or taller than the screen, what matters
// is there, and what has no room says so.
#include "tools/eagre/top/layout.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "tests/unit/tools/eagre/top/top_rig.h"
#include "tools/eagre/text.h"

namespace eagre::cli::top {
namespace {

std::string text_of(const Frame& frame) {
    std::string text;
    for (const Line& line : frame.screen) text += line.text() + "\n";
    return text;
}

/// The line that begins with these words; empty when there is none.
std::string line_of(const Frame& frame, const std::string& words) {
    for (const Line& line : frame.screen) {
        if (line.text().starts_with(words)) return line.text();
    }
    return {};
}

bool has(const Frame& frame, const std::string& words) {
    return text_of(frame).find(words) != std::string::npos;
}

TEST(Layout, NeverLeavesTheScreen) {
    View long_names = made_view(60, 3, 9);
    for (StreamRow& stream : long_names.streams) stream.name = std::string(128, 'n') + stream.name;
    for (ShardRow& shard : long_names.shards) shard.stream = std::string(128, 'n');
    long_names.data = std::string(300, '/');
    long_names.alarms = {std::string(200, 'a'), "b"};
    for (int i = 0; i < 40; ++i) long_names.errors["Error" + std::to_string(i)] = 1;
    const View views[] = {View{}, made_view(), made_view(40, 5, 16), long_names};
    for (const View& view : views) {
        for (const size_t width : {40U, 79U, 80U, 115U, 116U, 132U, 200U, 400U}) {
            for (const size_t height : {10U, 19U, 20U, 24U, 50U, 100U}) {
                for (const bool help : {false, true}) {
                    Settings settings;
                    settings.help = help;
                    settings.table = kTableKinds[(width + height) % std::size(kTableKinds)];
                    const Frame frame = draw(view, settings, {width, height, width != 79});
                    EXPECT_EQ(frame.screen.size(), height);
                    for (const Line& line : frame.screen) {
                        EXPECT_LE(line.width(), width) << line.text();
                        EXPECT_EQ(line.width(), text_width(line.text()));
                    }
                }
            }
        }
    }
}

TEST(Layout, ShowsWhatMattersAt80Columns) {
    const View view = made_view();
    Settings settings;
    const Frame frame = draw(view, settings, {80, 24, true});
    EXPECT_TRUE(has(frame, "up 1:02:05  1 core  3 streams  6 shards"));
    EXPECT_NE(line_of(frame, "in ").find("1.23 M"), std::string::npos);
    EXPECT_NE(line_of(frame, "in ").find("45.6 MB/s"), std::string::npos);
    EXPECT_NE(line_of(frame, "in ").find("▇█"), std::string::npos);
    EXPECT_NE(line_of(frame, "acknowledge").find("1.28 ms"), std::string::npos);
    EXPECT_NE(line_of(frame, "disk").find("12.3 GB ours"), std::string::npos);
    EXPECT_NE(line_of(frame, "errors").find("Busy 12/s"), std::string::npos);
    EXPECT_TRUE(has(frame, "61 %"));
    EXPECT_NE(line_of(frame, "stream-2").find("3,000"), std::string::npos);
    EXPECT_TRUE(frame.screen.back().text().starts_with("q quit"));
}

TEST(Layout, ShowsMoreColumnsAt200) {
    const View view = made_view();
    Settings settings;
    const Frame narrow = draw(view, settings, {80, 24, true});
    const Frame wide = draw(view, settings, {200, 50, true});
    for (const char* title : {"retention", "newest", "segments", "closed", "in rec/s over time"}) {
        EXPECT_FALSE(has(narrow, title)) << title;
        EXPECT_TRUE(has(wide, title)) << title;
    }
    EXPECT_NE(line_of(wide, "in ").find("acknowledge"), std::string::npos) << "side by side";
    EXPECT_NE(line_of(wide, "disk").find("alive 80 %"), std::string::npos);
}

TEST(Layout, SaysWhatIsDown) {
    View view = made_view();
    view.dataplane_up = false;
    view.control = ControlState::kDown;
    view.why_down = "eagred has given no sign of life for 12 s";
    view.alarms = {"The disk is full: producers are refused"};
    Settings settings;
    settings.paused = true;
    const Frame frame = draw(view, settings, {80, 24, true});
    EXPECT_TRUE(has(frame, "DATAPLANE DOWN"));
    EXPECT_TRUE(has(frame, "CONTROL DOWN"));
    EXPECT_TRUE(has(frame, "PAUSED"));
    EXPECT_TRUE(has(frame, "no sign of life for 12 s; waiting for it"));
    EXPECT_TRUE(has(frame, "The disk is full"));
}

TEST(Layout, SortsFiltersAndScrolls) {
    const View view = made_view(100);
    Settings settings;
    Frame frame = draw(view, settings, {80, 24, true});
    ASSERT_EQ(frame.listing.keys.size(), 100U);
    EXPECT_EQ(frame.listing.keys[0], "stream-99") << "the busiest first";
    EXPECT_TRUE(has(frame, " of 100"));
    settings.selected = "stream-0";
    frame = draw(view, settings, {80, 24, true});
    EXPECT_FALSE(line_of(frame, "stream-0 ").empty()) << "what is selected is in sight";
    settings.current().filter = "-42";
    frame = draw(view, settings, {80, 24, true});
    EXPECT_EQ(frame.listing.keys, std::vector<std::string>{"stream-42"});
    EXPECT_TRUE(settings.selected.empty()) << "what is gone is not selected";
    settings.current().filter = "nowhere";
    EXPECT_TRUE(has(draw(view, settings, {80, 24, true}), "nothing has 'nowhere' in its name"));
}

TEST(Layout, ShowsHowFarGroupsAreBehind) {
    const View view = made_view();
    Settings settings;
    settings.table = TableKind::kGroups;
    const Frame frame = draw(view, settings, {80, 24, true});
    EXPECT_EQ(frame.listing.keys, (std::vector<std::string>{"stream-1/audit", "stream-0/billing"}))
        << "what can't be measured comes first";
    EXPECT_NE(line_of(frame, "billing").find("12,345"), std::string::npos);
    EXPECT_NE(line_of(frame, "billing").find("90 s"), std::string::npos);
    EXPECT_NE(line_of(frame, "audit").find("?"), std::string::npos);
}

TEST(Layout, OfManyCoresShowsTheBusiest) {
    const View view = made_view(3, 2, 64);
    Settings settings;
    const Frame frame = draw(view, settings, {120, 24, true});
    EXPECT_TRUE(has(frame, "and 61 cores less busy"));
    settings = {};
    EXPECT_FALSE(has(draw(view, settings, {120, kAllRows, true}), "less busy"));
}

TEST(Layout, PrintsEverythingWhenThereIsNoScreen) {
    const View view = made_view(300);
    Settings settings;
    const Frame frame = draw(view, settings, {80, kAllRows, true});
    EXPECT_GT(frame.screen.size(), 300U);
    EXPECT_FALSE(has(frame, "q quit"));
    EXPECT_FALSE(line_of(frame, "stream-0 ").empty());
}

TEST(CountText, IsShortAndRight) {
    EXPECT_EQ(count_text(0), "0");
    EXPECT_EQ(count_text(0.4), "0.4");
    EXPECT_EQ(count_text(7), "7");
    EXPECT_EQ(count_text(12'345), "12,345");
    EXPECT_EQ(count_text(999'999), "999,999");
    EXPECT_EQ(count_text(1'234'567), "1.23 M");
    EXPECT_EQ(count_text(5e12), "5.00 T");
}

}  // namespace
}  // namespace eagre::cli::top
