// The text format: what a scraper may rely on, byte by byte, and histograms whose figures agree
// with each other.
#include "control/metrics/exposition.h"

#include <gtest/gtest.h>

namespace eagre::metrics {
namespace {

/// The value of the only line that begins so; -1 when there is none.
double value_of(const std::string& text, const std::string& series) {
    const size_t at = text.find("\n" + series + " ");
    return at == std::string::npos ? -1 : std::stod(text.substr(at + series.size() + 2));
}

TEST(Exposition, WritesFamiliesAndSamples) {
    Exposition page;
    page.family("a_total", Kind::kCounter, "How many.");
    page.sample({}, uint64_t{7});
    page.family("b_seconds", Kind::kGauge, "How long.");
    page.sample({{"core", "0"}, {"state", "x"}}, 0.25);
    EXPECT_EQ(page.text(),
              "# HELP a_total How many.\n# TYPE a_total counter\na_total 7\n"
              "# HELP b_seconds How long.\n# TYPE b_seconds gauge\n"
              "b_seconds{core=\"0\",state=\"x\"} 0.25\n");
}

TEST(Exposition, EscapesLabelValues) {
    Exposition page;
    page.family("a", Kind::kGauge, "A.");
    page.sample({{"stream", "a\"b\\c\nd\x01\xff"}}, uint64_t{1});
    EXPECT_NE(page.text().find("{stream=\"a\\\"b\\\\c\\nd??\"} 1\n"), std::string::npos)
        << page.text();
}

TEST(Exposition, HistogramsAreCumulativeAndAgreeWithTheirCount) {
    Histogram values;
    values.record(900, 3);             // Below 1 us.
    values.record(40'000, 10);         // Below 50 us.
    values.record(3'000'000'000, 2);   // Below 5 s.
    values.record(60'000'000'000, 1);  // Above all bounds.
    Exposition page;
    page.family("t_seconds", Kind::kHistogram, "T.");
    page.histogram({{"core", "1"}}, values);
    const auto at = [&](const std::string& bound) {
        return value_of(page.text(), "t_seconds_bucket{core=\"1\",le=\"" + bound + "\"}");
    };
    EXPECT_EQ(at("1e-06"), 3);
    EXPECT_EQ(at("2e-05"), 3);
    EXPECT_EQ(at("5e-05"), 13);
    EXPECT_EQ(at("2"), 13);
    EXPECT_EQ(at("5"), 15);
    EXPECT_EQ(at("10"), 15);
    EXPECT_EQ(at("+Inf"), 16);
    EXPECT_EQ(value_of(page.text(), "t_seconds_count{core=\"1\"}"), 16);
    EXPECT_NEAR(value_of(page.text(), "t_seconds_sum{core=\"1\"}"), 66.0004027, 1e-9);
}

TEST(Exposition, AValueThatMayLieAboveABoundIsCountedAboveIt) {
    Histogram values;
    values.record(1'000);  // Its step reaches to 1,007 ns.
    Exposition page;
    page.family("t_seconds", Kind::kHistogram, "T.");
    page.histogram({}, values);
    EXPECT_EQ(value_of(page.text(), "t_seconds_bucket{le=\"1e-06\"}"), 0);
    EXPECT_EQ(value_of(page.text(), "t_seconds_bucket{le=\"2e-06\"}"), 1);
}

TEST(Exposition, AnEmptyHistogramHasAllItsBuckets) {
    Exposition page;
    page.family("t_seconds", Kind::kHistogram, "T.");
    page.histogram({}, Histogram{});
    EXPECT_EQ(value_of(page.text(), "t_seconds_bucket{le=\"+Inf\"}"), 0);
    EXPECT_EQ(value_of(page.text(), "t_seconds_count"), 0);
}

}  // namespace
}  // namespace eagre::metrics
