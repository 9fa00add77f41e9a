#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include "tools/eagre/doctor/checks.h"

namespace eagre::doctor {
namespace {

constexpr double kClockNsMax = 200;

std::vector<uint32_t> list_in(const MachineView& view, const std::string& path) {
    return parse_cpu_list(view.read(path).value_or("")).value_or(std::vector<uint32_t>{});
}

bool among(const std::vector<uint32_t>& cpus, uint32_t cpu) {
    return std::find(cpus.begin(), cpus.end(), cpu) != cpus.end();
}

Check online_check(const MachineView& view, const std::vector<uint32_t>& cores) {
    const auto online = list_in(view, "/sys/devices/system/cpu/online");
    Check check{"cpu", "cores", Grade::kGood,
                fmt::format("{} of {}", cpu_list_text(cores), cpu_list_text(online)), ""};
    for (const uint32_t core : cores) {
        if (!online.empty() && !among(online, core)) {
            check.grade = Grade::kBad;
            check.value = fmt::format("CPU {} is not among {}", core, cpu_list_text(online));
            check.mend = fmt::format("choose from them: --cores {}", online.back());
        }
    }
    if (check.grade == Grade::kGood && online.size() == cores.size()) {
        check.grade = Grade::kWarn;
        check.value += ": none is left for anything else";
        check.mend = "leave a core to the system and to eagre-control";
    }
    return check;
}

Check governor_check(const MachineView& view, const std::vector<uint32_t>& cores) {
    Check check{"cpu", "governor", Grade::kGood, "frequency is not the kernel's to set here", ""};
    for (const uint32_t core : cores) {
        const auto governor = view.read(
            fmt::format("/sys/devices/system/cpu/cpu{}/cpufreq/scaling_governor", core));
        if (!governor) continue;
        check.value = fmt::format("{} on CPU {}", *governor, core);
        if (*governor == "performance") continue;
        check.grade = Grade::kWarn;
        check.mend = fmt::format("sudo cpupower -c {} frequency-set -g performance",
                                 cpu_list_text(cores));
        return check;
    }
    return check;
}

Check isolation_check(const MachineView& view, const std::vector<uint32_t>& cores) {
    const auto isolated = list_in(view, "/sys/devices/system/cpu/isolated");
    Check check{"cpu", "isolated", Grade::kGood,
                isolated.empty() ? "none" : cpu_list_text(isolated), ""};
    if (!std::all_of(cores.begin(), cores.end(), [&](uint32_t c) { return among(isolated, c); })) {
        const std::string list = cpu_list_text(cores);
        check.grade = Grade::kWarn;
        check.mend = fmt::format(
            "boot with isolcpus=managed_irq,domain,{} nohz_full={} rcu_nocbs={}", list, list, list);
    }
    return check;
}

Check sibling_check(const MachineView& view, const std::vector<uint32_t>& cores) {
    Check check{"cpu", "hyperthreads", Grade::kGood, "no sibling is shared", ""};
    for (const uint32_t core : cores) {
        auto siblings = list_in(
            view,
            fmt::format("/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list", core));
        siblings.erase(std::remove(siblings.begin(), siblings.end(), core), siblings.end());
        if (siblings.empty()) continue;
        check.grade = Grade::kWarn;
        check.value = fmt::format("CPU {} shares its core with {}", core, cpu_list_text(siblings));
        check.mend = fmt::format(
            "leave them idle: echo 0 | sudo tee /sys/devices/system/cpu/cpu{}/online",
            siblings.front());
        return check;
    }
    return check;
}

Check clock_check(const MachineView& view, double clock_ns) {
    const std::string source =
        view.read("/sys/devices/system/clocksource/clocksource0/current_clocksource")
            .value_or("unknown");
    Check check{"cpu", "clock source", Grade::kGood,
                fmt::format("{}, {:.0f} ns a reading", source, clock_ns), ""};
    if (clock_ns > kClockNsMax) {
        const auto available =
            view.read("/sys/devices/system/clocksource/clocksource0/available_clocksource")
                .value_or("");
        check.grade = Grade::kWarn;
        check.mend = available.find("tsc") != std::string::npos
                         ? "echo tsc | sudo tee "
                           "/sys/devices/system/clocksource/clocksource0/current_clocksource"
                         : "boot with tsc=reliable, or use a host that gives its guests a clock";
    }
    return check;
}

}  // namespace

std::vector<uint32_t> other_cores(const MachineView& view, const std::vector<uint32_t>& cores) {
    std::vector<uint32_t> others;
    for (const uint32_t cpu : list_in(view, "/sys/devices/system/cpu/online")) {
        if (!among(cores, cpu)) others.push_back(cpu);
    }
    return others;
}

Checks cpu_checks(const MachineView& view, const std::vector<uint32_t>& cores, double clock_ns) {
    return {online_check(view, cores), governor_check(view, cores), isolation_check(view, cores),
            sibling_check(view, cores), clock_check(view, clock_ns)};
}

}  // namespace eagre::doctor
