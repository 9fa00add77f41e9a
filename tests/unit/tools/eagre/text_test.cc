// Figures, tables and plots as people see them, at the borders between units.
#include "tools/eagre/text.h"

#include <gtest/gtest.h>

namespace eagre::cli {
namespace {

TEST(Text, GroupsThousands) {
    EXPECT_EQ(grouped(uint64_t{0}), "0");
    EXPECT_EQ(grouped(uint64_t{999}), "999");
    EXPECT_EQ(grouped(uint64_t{1000}), "1,000");
    EXPECT_EQ(grouped(uint64_t{1079934}), "1,079,934");
    EXPECT_EQ(grouped(1234.6), "1,235");
    EXPECT_EQ(grouped(-1.0), "0");
}

TEST(Text, GivesThreeDigitsAndAUnit) {
    EXPECT_EQ(bytes_text(512), "512 B");
    EXPECT_EQ(bytes_text(1234567), "1.23 MB");
    EXPECT_EQ(bytes_text(999.6), "1.00 kB");
    EXPECT_EQ(bytes_text(4.7e9), "4.70 GB");
    EXPECT_EQ(duration_text(850), "850 ns");
    EXPECT_EQ(duration_text(163'000), "163 us");
    EXPECT_EQ(duration_text(1'240'000), "1.24 ms");
    EXPECT_EQ(duration_text(12'340'000'000), "12.3 s");
    EXPECT_EQ(clock_text(7.25), "7.2 s");
    EXPECT_EQ(clock_text(245), "4:05");
    EXPECT_EQ(clock_text(3723), "1:02:03");
}

TEST(Text, TableAlignsFiguresRightAndWordsLeft) {
    Table table({"name", "count"});
    table.add({"a", "7"});
    table.add({"longer", "1,234"});
    EXPECT_EQ(table.text(2), "  name    count\n  a           7\n  longer  1,234\n");
}

TEST(Text, WidthCountsCharactersNotBytes) {
    EXPECT_EQ(text_width("abc"), 3U);
    EXPECT_EQ(text_width("\xC3\xBC\xE2\x96\x88"), 2U);
}

TEST(Text, PlotShowsEveryValueAndTheGapsBetween) {
    Histogram histogram;
    histogram.record(120'000, 900);
    histogram.record(900'000, 100);
    const std::string plot = latency_plot(histogram, 2, false);
    // 100-150 us, then 150-200, 200-300, 300-500, 500-700 us without any, then 700 us - 1 ms.
    EXPECT_EQ(std::count(plot.begin(), plot.end(), '\n'), 6) << plot;
    EXPECT_NE(
        plot.find("<   150 us  ########################################   90.00 %            900"),
        std::string::npos)
        << plot;
    EXPECT_NE(plot.find("10.00 %            100"), std::string::npos) << plot;
    EXPECT_NE(latency_plot(histogram, 2, true).find("█"), std::string::npos);
    EXPECT_EQ(latency_plot(Histogram{}, 2, false), "");
}

TEST(Text, PlotEndsForTheLongestValues) {
    Histogram histogram;
    histogram.record(0);
    histogram.record(1);
    histogram.record(UINT64_MAX / 2);
    const std::string plot = latency_plot(histogram, 0, false);
    EXPECT_LT(std::count(plot.begin(), plot.end(), '\n'), 200) << plot;
}

}  // namespace
}  // namespace eagre::cli
