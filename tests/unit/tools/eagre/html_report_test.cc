// The HTML report of known loads: every series is drawn and in its data, nothing leads out of the
// file, hostile names stay text, and drawings of odd histograms stay in their frame.
#include "tools/eagre/html_report.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>

#include <gtest/gtest.h>
#include <unistd.h>

#include "tools/eagre/latency_svg.h"

namespace eagre::cli {
namespace {

LoadReport report_of(size_t readers) {
    LoadReport report;
    LoadPart part;
    part.name = "paced";
    part.rate_per_s = 1000;
    part.result.producers.sent_count = part.result.producers.acknowledged_count = 1000;
    for (uint64_t i = 1; i <= 1000; ++i) part.result.producers.ack_ns.record(i * i * 1000);
    part.result.producing_seconds = part.result.seconds = 1;
    for (size_t i = 0; i < readers; ++i) {
        report.reader_names.push_back("reader " + std::to_string(i + 1));
        part.result.readers.emplace_back().read_count = 1000;
        part.result.readers.back().latency_ns.record(200'000 * (i + 1), 1000);
    }
    report.parts.push_back(std::move(part));
    return report;
}

size_t count_of(const std::string& text, const std::string& part) {
    size_t count = 0;
    for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) ++count;
    return count;
}

/// Every number of a drawing's points is inside its view box, and a number.
void expect_inside(const std::string& svg) {
    const std::regex box("viewBox=\"0 0 ([0-9]+) ([0-9]+)\"");
    std::smatch size;
    ASSERT_TRUE(std::regex_search(svg, size, box));
    const double width = std::stod(size[1]);
    const double height = std::stod(size[2]);
    EXPECT_EQ(svg.find("nan"), std::string::npos);
    EXPECT_EQ(svg.find("inf"), std::string::npos);
    const std::regex point("([-0-9.]+),([-0-9.]+) ");
    for (std::sregex_iterator at(svg.begin(), svg.end(), point), end; at != end; ++at) {
        EXPECT_GE(std::stod((*at)[1]), 0);
        EXPECT_LE(std::stod((*at)[1]), width);
        EXPECT_GE(std::stod((*at)[2]), 0);
        EXPECT_LE(std::stod((*at)[2]), height);
    }
    const std::regex bar("<rect [^>]*y=\"([-0-9.]+)\"[^>]*height=\"([-0-9.]+)\"");
    for (std::sregex_iterator at(svg.begin(), svg.end(), bar), end; at != end; ++at) {
        EXPECT_GE(std::stod((*at)[1]), 0);
        EXPECT_GT(std::stod((*at)[2]), 0);
        EXPECT_LE(std::stod((*at)[1]) + std::stod((*at)[2]), height);
    }
}

TEST(HtmlReport, DrawsEverySeriesAndHoldsItsCounts) {
    const LoadReport report = report_of(10);
    const std::string html = html_report(report, "a run", {{"kernel", "Linux 6"}});
    EXPECT_EQ(count_of(html, "<polyline "), 11U);
    EXPECT_EQ(count_of(html, "<svg "), 12U) << "one for percentiles, one for each series";
    EXPECT_EQ(count_of(html, "class=\"line c2 dashed\""), 1U)
        << "the 11th series has a used colour";
    EXPECT_NE(html.find("Linux 6"), std::string::npos);
    const std::string open = "id=\"eagre-report\">";
    const size_t begin = html.find(open) + open.size();
    const auto json = nlohmann::json::parse(html.substr(begin, html.find("</script>") - begin));
    ASSERT_EQ(json["series"].size(), 11U);
    EXPECT_EQ(json["series"][0]["name"], "paced: acknowledged");
    for (const auto& series : json["series"]) {
        uint64_t count = 0;
        for (const auto& bucket : series["buckets_ns"]) count += bucket[1].get<uint64_t>();
        EXPECT_EQ(count, 1000U) << series["name"];
    }
}

TEST(HtmlReport, LeadsNowhereAndRunsNothing) {
    const std::string html = html_report(report_of(2), "a run", machine_conditions());
    for (const char* banned :
         {"http:", "https:", "//", "src=", "href=", "url(", "@import", "javascript", "onload"})
        EXPECT_EQ(html.find(banned), std::string::npos) << banned;
    EXPECT_EQ(count_of(html, "<script"), count_of(html, "<script type=\"application/json\""));
}

TEST(HtmlReport, NamesStayText) {
    LoadReport report = report_of(1);
    report.reader_names[0] = "</script><b onclick=\"x\">&'";
    const std::string html = html_report(report, "<i>", {{"<u>", "</script>"}});
    EXPECT_EQ(html.find("<b "), std::string::npos);
    EXPECT_EQ(html.find("<i>"), std::string::npos);
    EXPECT_EQ(html.find("<u>"), std::string::npos);
    EXPECT_EQ(count_of(html, "</script>"), 1U);
}

TEST(HtmlReport, SaysWhenThereIsNothingToDraw) {
    LoadReport report;
    report.parts.emplace_back().name = "paced";
    const std::string html = html_report(report, "a run", {});
    EXPECT_EQ(html.find("<svg"), std::string::npos);
    EXPECT_NE(html.find("no latencies"), std::string::npos);
    EXPECT_NE(html.find("class=\"bad\""), std::string::npos);
}

TEST(LatencySvg, OddHistogramsStayInTheFrame) {
    std::vector<Histogram> histograms(6);
    histograms[0].record(0);
    histograms[1].record(1);
    histograms[2].record(999'999, 1'000'000);
    histograms[3].record(UINT64_MAX / 4);
    histograms[4].record(1, 1'000'000'000);
    histograms[4].record(3'600'000'000'000);
    for (uint64_t ns = 100; ns < 1'000'000'000; ns += ns / 50) histograms[5].record(ns);
    std::vector<LatencySeries> all;
    for (const Histogram& histogram : histograms) all.push_back({"series", &histogram});
    for (size_t i = 0; i < all.size(); ++i) {
        SCOPED_TRACE(i);
        const std::span<const LatencySeries> one(&all[i], 1);
        const LatencyRange range = range_of(one);
        EXPECT_LE(range.low, std::max<double>(1, static_cast<double>(histograms[i].min())));
        EXPECT_GE(range.high, static_cast<double>(histograms[i].max()));
        expect_inside(percentile_svg(one));
        expect_inside(histogram_svg(all[i], i, range));
        expect_inside(histogram_svg(all[i], i, range_of(all)));
    }
    expect_inside(percentile_svg(all));
}

TEST(LatencySvg, BarsHoldEveryRecord) {
    Histogram histogram;
    for (uint64_t i = 0; i < 400; ++i) histogram.record(1000 + i * i * 37);
    const LatencySeries series{"series", &histogram};
    const std::string svg = histogram_svg(series, 0, range_of({&series, 1}));
    const std::regex title(": ([0-9,]+) \\(");
    uint64_t count = 0;
    for (std::sregex_iterator at(svg.begin(), svg.end(), title), end; at != end; ++at)
        count += std::stoull((*at)[1]);
    EXPECT_EQ(count, 400U);
}

TEST(ReportFile, SaysBeforeTheRunThatItCannotWrite) {
    EXPECT_THROW(ReportFile("/proc/nothing/report.html"), std::runtime_error);
    const auto path = std::filesystem::temp_directory_path() /
                      ("eagre-report-" + std::to_string(getpid()) + ".html");
    {
        ReportFile file(path.string());
        file.write("page");
    }
    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    std::filesystem::remove(path);
    EXPECT_EQ(text.str(), "page");
}

}  // namespace
}  // namespace eagre::cli
