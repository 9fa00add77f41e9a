// `eagre verify`: is everything on disk as it was written? Offline.
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tools/eagre/commands.h"
#include "tools/eagre/inspect/directory_check.h"
#include "tools/eagre/inspect/directory_lock.h"
#include "tools/eagre/progress.h"
#include "tools/eagre/text.h"

namespace eagre::cli {
namespace {

using Json = nlohmann::ordered_json;

struct VerifyOptions {
    std::string data;
    bool json = false;
};

Json to_json(const std::vector<inspect::Finding>& findings) {
    Json all = Json::array();
    for (const inspect::Finding& finding : findings)
        all.push_back({{"file", finding.file},
                       {"offset_bytes", finding.offset_bytes},
                       {"what", finding.what}});
    return all;
}

Json to_json(const std::string& data, const inspect::DirectoryReport& report) {
    const inspect::Totals& totals = report.totals;
    return {{"directory", data},
            {"ok", report.findings.problem_count == 0},
            {"journals", totals.journal_count},
            {"segments", totals.segment_count},
            {"ready_segments", totals.ready_count},
            {"relocated_segments", totals.relocated_count},
            {"footers", totals.footer_count},
            {"commits", totals.commit_count},
            {"runs", totals.run_count},
            {"records", totals.record_count},
            {"facts", totals.fact_count},
            {"stored_bytes", totals.stored_bytes},
            {"problem_count", report.findings.problem_count},
            {"problems", to_json(report.findings.problems)},
            {"note_count", report.findings.note_count},
            {"notes", to_json(report.findings.notes)}};
}

void print_findings(const char* kind, const std::vector<inspect::Finding>& findings,
                    uint64_t count) {
    for (const inspect::Finding& finding : findings)
        fmt::print("{} {} at {}: {}\n", kind, finding.file, finding.offset_bytes, finding.what);
    if (count > findings.size())
        fmt::print("{} ... and {} more\n", kind, grouped(count - findings.size()));
}

void print_report(const std::string& data, const inspect::DirectoryReport& report) {
    const inspect::Totals& totals = report.totals;
    print_findings("note   ", report.findings.notes, report.findings.note_count);
    print_findings("PROBLEM", report.findings.problems, report.findings.problem_count);
    fmt::print("{}: {} journals, {} segments, {} footers, {} commits, {} runs, {} records, {}: {}\n",
               data, totals.journal_count, totals.segment_count, totals.footer_count,
               grouped(totals.commit_count), grouped(totals.run_count),
               grouped(totals.record_count), bytes_text(static_cast<double>(totals.stored_bytes)),
               report.findings.problem_count == 0
                   ? "all good"
                   : fmt::format("{} PROBLEMS", grouped(report.findings.problem_count)));
}

int verify(const VerifyOptions& options) {
    if (!inspect::is_data_directory(options.data))
        throw std::runtime_error(
            fmt::format("{} is not a data directory: there is no eagre.box in it", options.data));
    const inspect::DirectoryLock lock(options.data);
    Progress progress(options.json);
    const auto report = inspect::check_directory(options.data, [&](const std::string& path) {
        progress.show("checking", -1, path);
    });
    progress.clear();
    if (options.json)
        fmt::print("{}\n", to_json(options.data, report).dump(-1, ' ', false,
                                                              Json::error_handler_t::replace));
    else
        print_report(options.data, report);
    return report.findings.problem_count == 0 ? 0 : 1;
}

}  // namespace

void add_verify(CLI::App& app, int& status) {
    CLI::App* command =
        app.add_subcommand("verify", "Check a data directory offline: every CRC, chain and index");
    auto options = std::make_shared<VerifyOptions>();
    command->add_option("directory", options->data, "The data directory of a stopped appliance")
        ->required();
    command->add_flag("--json", options->json, "Print one JSON object");
    command->footer(
        "Reads everything and changes nothing: segment headers, the chain of commits, cuts, every "
        "run and its\n"
        "stored bytes, footers, index and facts, producers, the catalogue. Says for each problem "
        "the file, the\n"
        "offset and what is wrong. A torn tail left by an unclean stop is a note, not a problem: "
        "it was never\n"
        "acknowledged. Refuses while eagred runs.\n\n"
        "Exit status: 0 all good, 1 a problem was found or the directory can't be checked.\n\n"
        "Examples:\n"
        "  eagre verify /var/lib/eagre\n"
        "  eagre verify /var/lib/eagre --json | jq '.problems[]'");
    command->callback([options, &status] { status = verify(*options); });
}

}  // namespace eagre::cli
