#include "tools/eagre/html_report.h"

#include <cerrno>
#include <cstring>
#include <ctime>
#include <stdexcept>
#include <thread>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "tools/eagre/latency_svg.h"

namespace eagre::cli {
namespace {

// Colours in pairs that keep their contrast on white and on near black.
constexpr const char* kStyle = R"(
:root { color-scheme: light dark; --page: #fcfcfb; --ink: #16160f; --soft: #5d5c55; --rule: #deddd5; --good: #006300;
  --bad: #c02626; --c0: #2a78d6; --c1: #d9541e; --c2: #11875d; --c3: #7a5ad0; --c4: #a97400; --c5: #c9427d; --c6: #3f7f0a;
  --c7: #d03b3b; }
@media (prefers-color-scheme: dark) { :root { --page: #161614; --ink: #f3f2ec; --soft: #b3b1a7; --rule: #3a3935;
  --good: #4cc04c; --bad: #ff7a70; --c0: #5a9df0; --c1: #f2814f; --c2: #2fb98a; --c3: #a594f2; --c4: #d9a42c; --c5: #ea7fab;
  --c6: #82bd4a; --c7: #f07878; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 1.5rem 1rem 4rem; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .3rem; } h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem; }
h3 { font-size: .95rem; margin: 0 0 .2rem; font-weight: 600; }
.good { color: var(--good); } .bad { color: var(--bad); font-weight: 600; } p, figure { margin: .2rem 0; }
.soft { color: var(--soft); }
.wide { overflow-x: auto; } .wide > svg { min-width: 40rem; } svg { display: block; width: 100%; height: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .9rem .25rem 0; border-bottom: 1px solid var(--rule); text-align: right; white-space: nowrap; }
th { font-weight: 600; } th:first-child, td:first-child { text-align: left; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 11rem), 1fr)); gap: .5rem 1.5rem; margin: 0; }
dt { color: var(--soft); font-size: .85rem; } dd { margin: 0; overflow-wrap: anywhere; }
ul { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1.4rem; padding: 0; margin: .2rem 0 .6rem; }
li i { display: inline-block; width: 1.6em; height: 0; border-top: .22em solid; vertical-align: middle; margin-right: .5em; }
li.dashed i { border-top-style: dashed; }
.bars { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 24rem), 1fr)); gap: 1.4rem; }
text { font: 12px system-ui, sans-serif; fill: var(--soft); } .grid { stroke: var(--rule); stroke-width: 1; }
.mark { stroke: var(--ink); stroke-width: 1; stroke-dasharray: 3 3; }
.line { fill: none; stroke: currentColor; stroke-linejoin: round; } .dashed { stroke-dasharray: 7 4; }
.bar { fill: currentColor; }
.c0 { color: var(--c0); } .c1 { color: var(--c1); } .c2 { color: var(--c2); } .c3 { color: var(--c3); }
.c4 { color: var(--c4); } .c5 { color: var(--c5); } .c6 { color: var(--c6); } .c7 { color: var(--c7); }
@media print { body { max-width: none; } }
)";

std::string table_html(const Table& table) {
    std::string html = "<div class=\"wide\"><table>\n<thead><tr>";
    for (const auto& cell : table.heading()) html += "<th>" + html_escaped(cell) + "</th>";
    html += "</tr></thead>\n<tbody>\n";
    for (const auto& row : table.rows()) {
        html += "<tr>";
        for (const auto& cell : row) html += "<td>" + html_escaped(cell) + "</td>";
        html += "</tr>\n";
    }
    return html + "</tbody></table></div>\n";
}

std::string conditions_html(const Conditions& conditions) {
    std::string html = "<dl>\n";
    for (const auto& [name, value] : conditions) {
        html += fmt::format("<div><dt>{}</dt><dd>{}</dd></div>\n", html_escaped(name),
                            html_escaped(value));
    }
    return html + "</dl>\n";
}

std::string legend_html(const std::vector<LatencySeries>& series) {
    std::string html = "<ul>\n";
    for (size_t i = 0; i < series.size(); ++i) {
        html += fmt::format("<li{}><i class=\"c{}\"></i>{}</li>\n",
                            i >= kSeriesColorCount ? " class=\"dashed\"" : "",
                            i % kSeriesColorCount, html_escaped(series[i].name));
    }
    return html + "</ul>\n";
}

/// For a script element: no text in it may end the element.
std::string data_html(const LoadReport& report, const Conditions& conditions,
                      const std::vector<LatencySeries>& series) {
    nlohmann::ordered_json json = report_json(report);
    json["conditions"] = nlohmann::ordered_json::object();
    for (const auto& [name, value] : conditions) json["conditions"][name] = value;
    json["series"] = nlohmann::ordered_json::array();
    for (const auto& [name, histogram] : series) {
        nlohmann::ordered_json buckets = nlohmann::ordered_json::array();
        histogram->for_each([&](uint64_t upper, uint64_t count) {
            buckets.push_back({upper, count});
        });
        json["series"].push_back({{"name", name}, {"buckets_ns", std::move(buckets)}});
    }
    std::string text = json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
    for (size_t at = 0; (at = text.find('<', at)) != std::string::npos;)
        text.replace(at, 1, "\\u003c");
    return "<script type=\"application/json\" id=\"eagre-report\">" + text + "</script>\n";
}

std::string value_in(const char* path, std::string_view key) {
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
        if (!line.starts_with(key)) continue;
        const size_t colon = line.find(':');
        const size_t begin =
            colon == std::string::npos ? colon : line.find_first_not_of(" \t", colon + 1);
        if (begin != std::string::npos) return line.substr(begin);
    }
    return "unknown";
}

}  // namespace

Conditions machine_conditions() {
    utsname system{};
    uname(&system);
    const auto pages = static_cast<double>(sysconf(_SC_PHYS_PAGES));
    return {{"time", fmt::format("{:%Y-%m-%d %H:%M:%S} UTC", fmt::gmtime(std::time(nullptr)))},
            {"kernel", fmt::format("{} {}", system.sysname, system.release)},
            {"processor", value_in("/proc/cpuinfo", "model name")},
            {"CPUs", fmt::format("{}", std::thread::hardware_concurrency())},
            {"memory", bytes_text(pages * static_cast<double>(sysconf(_SC_PAGESIZE)))}};
}

std::string html_report(const LoadReport& report, const std::string& title,
                        const Conditions& conditions) {
    const std::vector<LatencySeries> series = latency_series(report);
    std::string html = fmt::format(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
        "<title>Eagre: {0}</title>\n<style>{1}</style>\n</head>\n<body>\n<h1>Eagre: {0}</h1>\n"
        "<p class=\"{2}\">{3}</p>\n",
        html_escaped(title), kStyle, report.clean() ? "good" : "bad",
        html_escaped(verdict_text(report)));
    html += "<h2>Conditions</h2>\n" + conditions_html(conditions);
    html += "<h2>Figures</h2>\n" + table_html(figures_table(report));
    html += "<h2>Latency</h2>\n";
    if (series.empty()) {
        html += "<p class=\"soft\">Nothing was acknowledged or read: there are no latencies.</p>\n";
    } else {
        html += table_html(latencies_table(report));
        html += "<h2>Latency by percentile</h2>\n" + legend_html(series);
        html += "<figure class=\"wide\">" + percentile_svg(series) + "</figure>\n";
        html += "<h2>Latency histograms</h2>\n<div class=\"bars\">\n";
        const LatencyRange range = range_of(series);
        for (size_t i = 0; i < series.size(); ++i) {
            html += "<figure><h3>" + html_escaped(series[i].name) + "</h3>" +
                    histogram_svg(series[i], i, range) + "</figure>\n";
        }
        html +=
            "</div>\n<p class=\"soft\">Shares of all records of a series; the axes of latency "
            "are logarithmic and the same in each.</p>\n";
    }
    return html + data_html(report, conditions, series) + "</body>\n</html>\n";
}

ReportFile::ReportFile(std::string path) : path_(std::move(path)) {
    if (!wanted()) return;
    file_.open(path_, std::ios::trunc);
    if (!file_) {
        throw std::runtime_error(
            fmt::format("--report: {} cannot be written: {}", path_, std::strerror(errno)));
    }
}

void ReportFile::write(const std::string& page) {
    if (!wanted()) return;
    file_ << page << std::flush;
    if (!file_) {
        throw std::runtime_error(
            fmt::format("--report: {} cannot be written: {}", path_, std::strerror(errno)));
    }
    fmt::print(stderr, "eagre: report in {}\n", path_);
}

}  // namespace eagre::cli
