// What keys do, one after the other.
#include "tools/eagre/top/settings.h"

#include <gtest/gtest.h>

namespace eagre::cli::top {
namespace {

class Keys : public testing::Test {
  protected:
    After hit(Key key, char character = 0) { return press({key, character}, listing_, settings_); }
    After hit(char character) { return hit(Key::kCharacter, character); }
    void type(const std::string& text) {
        for (const char c : text) hit(c);
    }

    Listing listing_{{"a", "b", "c", "d", "e"}, {"a", "b", "c", "d", "e"}, {0, 2, 4}, 2};
    Settings settings_;
};

TEST_F(Keys, Quit) {
    EXPECT_EQ(hit('x'), After::kGoOn);
    EXPECT_EQ(hit('q'), After::kQuit);
}

TEST_F(Keys, PauseHelpAndReverse) {
    hit('p');
    EXPECT_TRUE(settings_.paused);
    hit(' ');
    EXPECT_FALSE(settings_.paused);
    hit('?');
    EXPECT_TRUE(settings_.help);
    hit(Key::kEscape);
    EXPECT_FALSE(settings_.help);
    hit('r');
    EXPECT_TRUE(settings_.current().reversed);
}

TEST_F(Keys, SortGoesRoundTheColumnsShown) {
    EXPECT_EQ(settings_.current().column, 2U);
    hit('r');
    hit('s');
    EXPECT_EQ(settings_.current().column, 4U);
    EXPECT_FALSE(settings_.current().reversed);
    hit(Key::kRight);
    EXPECT_EQ(settings_.current().column, 0U);
    hit('S');
    EXPECT_EQ(settings_.current().column, 4U);
    settings_.current().column = 3;  // No longer shown.
    hit('s');
    EXPECT_EQ(settings_.current().column, 0U);
}

TEST_F(Keys, SelectAndEnterAStreamAndComeBack) {
    hit(Key::kDown);
    EXPECT_EQ(settings_.selected, "a");
    hit(Key::kDown);
    hit('j');
    EXPECT_EQ(settings_.selected, "c");
    hit(Key::kPageDown);
    EXPECT_EQ(settings_.selected, "e");
    hit(Key::kDown);
    EXPECT_EQ(settings_.selected, "e");
    hit(Key::kHome);
    EXPECT_EQ(settings_.selected, "a");
    hit(Key::kUp);
    EXPECT_EQ(settings_.selected, "a");
    hit(Key::kEnter);
    EXPECT_EQ(settings_.table, TableKind::kShards);
    EXPECT_EQ(settings_.current().filter, "a");
    EXPECT_TRUE(settings_.current().exact);
    hit(Key::kEscape);
    EXPECT_EQ(settings_.table, TableKind::kStreams);
    hit(Key::kTab);
    EXPECT_EQ(settings_.table, TableKind::kShards);
    EXPECT_TRUE(settings_.current().filter.empty());
}

TEST_F(Keys, EnterWithoutASelectionDoesNothing) {
    hit(Key::kEnter);
    EXPECT_EQ(settings_.table, TableKind::kStreams);
}

TEST_F(Keys, AFilterIsTypedAndKeptOrEnded) {
    hit('/');
    type("qs p");
    EXPECT_TRUE(settings_.typing);
    EXPECT_FALSE(settings_.paused);
    EXPECT_EQ(settings_.current().filter, "qs p");
    hit(Key::kBackspace);
    hit(Key::kBackspace);
    EXPECT_EQ(settings_.current().filter, "qs");
    hit(Key::kEnter);
    EXPECT_FALSE(settings_.typing);
    EXPECT_EQ(settings_.current().filter, "qs");
    EXPECT_EQ(hit('q'), After::kQuit) << "keys are keys again";
    hit(Key::kEscape);
    EXPECT_TRUE(settings_.current().filter.empty());
    hit('/');
    type(std::string(500, 'x'));
    EXPECT_EQ(settings_.current().filter.size(), kFilterBytesMax);
    hit(Key::kEscape);
    EXPECT_TRUE(settings_.current().filter.empty());
    EXPECT_FALSE(settings_.typing);
}

TEST_F(Keys, NothingToSelectIsNoReasonToFall) {
    listing_ = {};
    for (const Key key : {Key::kUp, Key::kDown, Key::kPageUp, Key::kPageDown, Key::kHome, Key::kEnd,
                          Key::kEnter, Key::kLeft, Key::kRight})
        hit(key);
    hit('s');
    EXPECT_TRUE(settings_.selected.empty());
    keep_in_sight(listing_, settings_);
    EXPECT_EQ(settings_.first_row, 0U);
}

TEST_F(Keys, TheWindowFollowsTheSelection) {
    settings_.selected = "d";
    keep_in_sight(listing_, settings_);
    EXPECT_EQ(settings_.first_row, 2U);
    settings_.selected = "a";
    keep_in_sight(listing_, settings_);
    EXPECT_EQ(settings_.first_row, 0U);
    settings_.first_row = 100;
    settings_.selected.clear();
    keep_in_sight(listing_, settings_);
    EXPECT_EQ(settings_.first_row, 3U) << "no blank rows at the end";
}

}  // namespace
}  // namespace eagre::cli::top
