// `eagre doctor`: is this machine set up for Eagre, and what mends it?
#include <algorithm>
#include <memory>
#include <stdexcept>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tools/eagre/commands.h"
#include "tools/eagre/doctor/doctor.h"
#include "tools/eagre/feed_view.h"
#include "tools/eagre/inspect/directory_lock.h"
#include "tools/eagre/nic_view.h"
#include "tools/eagre/progress.h"
#include "tools/eagre/target.h"

namespace eagre::cli {
namespace {

using Json = nlohmann::ordered_json;
using doctor::Check;
using doctor::Checks;
using doctor::Grade;

struct DoctorArguments {
    Target target;
    std::string cores = "0";
    bool json = false;
    bool no_measure = false;
};

uint64_t count_of(const Checks& checks, Grade grade) {
    return static_cast<uint64_t>(std::count_if(
        checks.begin(), checks.end(), [&](const Check& check) { return check.grade == grade; }));
}

void print_json(const Checks& checks) {
    Json all = Json::array();
    for (const Check& check : checks)
        all.push_back({{"family", check.family},
                       {"name", check.name.substr(check.name.find_first_not_of(' '))},
                       {"grade", doctor::grade_name(check.grade)},
                       {"value", check.value},
                       {"mend", check.mend}});
    fmt::print("{}\n", Json{{"ok", count_of(checks, Grade::kBad) == 0},
                            {"good", count_of(checks, Grade::kGood)},
                            {"warn", count_of(checks, Grade::kWarn)},
                            {"bad", count_of(checks, Grade::kBad)},
                            {"checks", all}}
                           .dump(-1, ' ', false, Json::error_handler_t::replace));
}

void print_text(const Checks& checks) {
    size_t family_width = 0;
    size_t name_width = 0;
    for (const Check& check : checks) {
        family_width = std::max(family_width, check.family.size());
        name_width = std::max(name_width, check.name.size());
    }
    std::string family;
    for (const Check& check : checks) {
        fmt::print("{:<4}  {:<{}}  {:<{}}  {}\n", doctor::grade_name(check.grade),
                   check.family == family ? "" : check.family, family_width, check.name, name_width,
                   check.value);
        if (!check.mend.empty())
            fmt::print("{:{}}-> {}\n", "", 4 + 2 + family_width + 2 + name_width + 2, check.mend);
        family = check.family;
    }
    fmt::print("\n{} good, {} warn, {} bad\n", count_of(checks, Grade::kGood),
               count_of(checks, Grade::kWarn), count_of(checks, Grade::kBad));
}

int visit(const DoctorArguments& arguments) {
    const auto cores = doctor::parse_cpu_list(arguments.cores);
    if (!cores || cores->empty())
        throw std::runtime_error(
            fmt::format("--cores can't be '{}': give CPUs as 0 or 0,2 or 0-3", arguments.cores));
    Progress progress(arguments.json);
    Checks checks = doctor::run_doctor(
        doctor::MachineView(), {arguments.target.data, *cores, !arguments.no_measure},
        [&](const std::string& what, double share) { progress.show("doctor", share, what); });
    progress.clear();
    if (!arguments.no_measure && inspect::directory_in_use(arguments.target.data))
        checks.push_back({"disk", "appliance", Grade::kWarn,
                          "running here: it and the measurements disturb each other",
                          "measure before 'eagre up'"});
    for (Check& check : nic_checks(arguments.target.stats_file())) checks.push_back(std::move(check));
    for (Check& check : feed_checks(arguments.target.stats_file())) checks.push_back(std::move(check));
    if (arguments.json)
        print_json(checks);
    else
        print_text(checks);
    return count_of(checks, Grade::kBad) == 0 ? 0 : 1;
}

}  // namespace

void add_doctor(CLI::App& app, int& status) {
    CLI::App* command =
        app.add_subcommand("doctor", "Check the machine, measure it, say what mends it");
    auto arguments = std::make_shared<DoctorArguments>();
    arguments->target.add_data_option(*command);
    command->add_option("--cores", arguments->cores,
                        "CPUs of the reactors, as for 'eagre up': 0 or 0,2 or 0-3 [0]");
    command->add_flag("--no-measure", arguments->no_measure,
                      "Only look, at once; without it this takes about 8 s");
    command->add_flag("--json", arguments->json, "Print one JSON object");
    command->footer(
        "Looks at kernel and io_uring, memory, limits, cores, interrupts, clock, file system and "
        "device; then measures\n"
        "durable writes in two ways with the other core idle and busy, the commit loop under two "
        "scheduling classes,\n"
        "and how long a bare loop is kept from its core. 'bad': Eagre does not run, or durable "
        "would not be durable.\n"
        "'warn': it runs slower than it could. Behind -> stands what mends it. Changes nothing.\n\n"
        "Exit status: 0, or 1 when something is bad.\n\n"
        "Examples:\n"
        "  eagre doctor --data /var/lib/eagre --cores 2-3\n"
        "  eagre doctor --json | jq '.checks[] | select(.grade != \"good\")'");
    command->callback([arguments, &status] { status = visit(*arguments); });
}

}  // namespace eagre::cli
