#include "tools/eagre/doctor/doctor.h"

#include <optional>
#include <utility>

#include "tools/eagre/doctor/probes.h"

namespace eagre::doctor {
namespace {

void add(Checks& all, Checks more) {
    for (Check& check : more) all.push_back(std::move(check));
}

void measure(const MachineView& view, const DoctorOptions& options, const std::string& directory,
             const Progress& progress, Checks& all) {
    ProbePlace place{directory, options.cores.front(), std::nullopt};
    if (const auto others = other_cores(view, options.cores); !others.empty())
        place.other_core = others.front();
    progress("durable writes", 0.05);
    add(all, commit_checks(measure_commits(place)));
    progress("scheduling classes", 0.4);
    add(all, schedule_checks(measure_scheduling(place)));
    progress("pauses", 0.75);
    add(all, pause_checks(view, measure_pauses(place.core)));
}

}  // namespace

Checks run_doctor(const MachineView& view, const DoctorOptions& options, const Progress& progress) {
    Checks all;
    progress("the machine", 0);
    add(all, kernel_checks(view, ask_uring()));
    add(all, memory_checks(view));
    add(all, limit_checks(view));
    add(all, cpu_checks(view, options.cores, measure_clock_ns()));
    add(all, interrupt_checks(view, options.cores));
    const DirectoryAnswer directory = ask_directory(options.data);
    add(all, storage_checks(view, directory));
    if (options.measure) measure(view, options, directory.path, progress, all);
    return all;
}

const char* grade_name(Grade grade) {
    switch (grade) {
        case Grade::kGood:
            return "good";
        case Grade::kWarn:
            return "warn";
        case Grade::kBad:
            return "bad";
    }
    return "?";
}

}  // namespace eagre::doctor
