// Text as wide as it should be, in columns and not in bytes.
#include "tools/eagre/top/screen.h"

#include <gtest/gtest.h>

#include "tools/eagre/text.h"

namespace eagre::cli::top {
namespace {

TEST(Screen, CutsTextAndShowsIt) {
    EXPECT_EQ(cut_text("quotes", 6, true), "quotes");
    EXPECT_EQ(cut_text("quotes", 5, true), "quot…");
    EXPECT_EQ(cut_text("quotes", 5, false), "quot~");
    EXPECT_EQ(cut_text("▁▂▃▄", 3, true), "▁▂…");
    EXPECT_EQ(cut_text("quotes", 0, true), "");
}

TEST(Screen, ClipsALineAcrossItsSpans) {
    const auto clipped = [](size_t width) {
        Line line;
        line.add("abc", Style::kStrong).add("def").add("ghi", Style::kDim);
        line.clip(width, true);
        EXPECT_LE(text_width(line.text()), width);
        EXPECT_EQ(line.width(), std::min<size_t>(width, 9));
        return line.text();
    };
    EXPECT_EQ(clipped(20), "abcdefghi");
    EXPECT_EQ(clipped(9), "abcdefghi");
    EXPECT_EQ(clipped(8), "abcdefg…");
    EXPECT_EQ(clipped(6), "abcde…");
    EXPECT_EQ(clipped(3), "ab…");
    EXPECT_EQ(clipped(1), "…");
}

TEST(Screen, DrawsSparklinesToTheGreatest) {
    EXPECT_EQ(sparkline({0, 1, 4, 8}, 4, true), " ▁▄█");
    EXPECT_EQ(sparkline({0, 1, 4, 8}, 4, false), " .=#");
    EXPECT_EQ(sparkline({5}, 3, true), "  █");
    EXPECT_EQ(sparkline({100, 1, 2}, 2, true), "▄█") << "what is not shown does not count";
    EXPECT_EQ(sparkline({0, 0}, 4, true), "    ");
    EXPECT_EQ(sparkline({}, 2, true), "  ");
    EXPECT_EQ(sparkline({1e9, 1}, 2, true), "█▁") << "little is seen, too";
}

TEST(Screen, DrawsSharesThatAreSeen) {
    EXPECT_EQ(share_bar(0, 4, true), "░░░░");
    EXPECT_EQ(share_bar(0.001, 4, true), "█░░░");
    EXPECT_EQ(share_bar(0.5, 4, false), "##..");
    EXPECT_EQ(share_bar(1.7, 4, true), "████");
}

}  // namespace
}  // namespace eagre::cli::top
