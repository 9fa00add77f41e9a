// What measurements mean.
#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "tools/eagre/doctor/checks.h"

namespace eagre::doctor {
namespace {

// Below this a sync can't have reached any device.
constexpr uint64_t kSyncNsMin = 3'000;
constexpr uint64_t kSyncNsSlow = 20'000'000;
// Two ways, or two classes, differ when the ratio is beyond noise.
constexpr double kBetterRatio = 0.8;
constexpr double kScheduleRatioMax = 2.0;
constexpr uint64_t kPauseNsMax = 1'000'000;

std::string us(uint64_t ns) {
    return ns < 100'000 ? fmt::format("{:.1f} us", static_cast<double>(ns) / 1e3)
                        : fmt::format("{:.0f} us", static_cast<double>(ns) / 1e3);
}

std::string figures_of(const Histogram& histogram) {
    return fmt::format("p50 {}, p99 {}", us(histogram.percentile(50)),
                       us(histogram.percentile(99)));
}

bool clearly_better(const Histogram& a, const Histogram& b) {
    if (a.count() == 0 || b.count() == 0) return true;
    return static_cast<double>(a.percentile(50)) <
               kBetterRatio * static_cast<double>(b.percentile(50)) &&
           a.percentile(99) <= b.percentile(99);
}

Check sync_check(const char* name, const Histogram& histogram) {
    Check check{"disk", name, Grade::kGood, figures_of(histogram), ""};
    if (histogram.percentile(50) < kSyncNsMin) {
        check.grade = Grade::kWarn;
        check.value += ": faster than any device";
        check.mend = "find out whether the host throws flushes away (cache=unsafe)";
    } else if (histogram.percentile(99) > kSyncNsSlow) {
        check.grade = Grade::kWarn;
        check.mend = "use a faster device, or stop what else writes to it";
    }
    return check;
}

}  // namespace

Checks commit_checks(const CommitFigures& figures) {
    if (figures.os_errno != 0)
        return {{"disk", "durable writes", Grade::kBad,
                 fmt::format("can't be measured: {}", std::strerror(figures.os_errno)),
                 "make the data directory writable for this user, with direct I/O"}};
    Checks checks;
    checks.push_back(sync_check("write, fdatasync", figures.sync_idle));
    checks.push_back({"disk", "RWF_DSYNC write", Grade::kGood, figures_of(figures.dsync_idle), ""});
    if (figures.has_other_core) {
        checks.push_back(sync_check("  other core busy", figures.sync_busy));
        checks.push_back(
            {"disk", "  RWF_DSYNC, busy", Grade::kGood, figures_of(figures.dsync_busy), ""});
    }
    // Eagre writes, then syncs. It would have to be told if that were the wrong way here.
    const bool dsync = clearly_better(figures.dsync_idle, figures.sync_idle) &&
                       clearly_better(figures.dsync_busy, figures.sync_busy);
    Check use{"disk", "use", Grade::kGood, "write, then fdatasync: what eagred does", ""};
    if (dsync) {
        use.grade = Grade::kWarn;
        use.value = "RWF_DSYNC writes would be faster here; eagred writes, then syncs";
        use.mend = "nothing to set: please report the figures of this device";
    }
    checks.push_back(use);
    return checks;
}

Checks schedule_checks(const ScheduleFigures& figures) {
    if (figures.os_errno != 0)
        return {{"scheduling", "commit loop", Grade::kWarn,
                 fmt::format("can't be measured: {}", std::strerror(figures.os_errno)),
                 "make the data directory writable, and SCHED_IDLE allowed, for this user"}};
    Check check{"scheduling", "commit loop", Grade::kGood, "", ""};
    const auto other = static_cast<double>(figures.other.percentile(99));
    const auto idle = static_cast<double>(figures.idle.percentile(99));
    check.value = fmt::format("p99 SCHED_OTHER {}, SCHED_IDLE {}", us(figures.other.percentile(99)),
                              us(figures.idle.percentile(99)));
    if (other > kScheduleRatioMax * idle) {
        check.grade = Grade::kWarn;
        check.value += fmt::format(" ({:.1f} x): kernel workers wait behind the reactor",
                                   other / std::max(idle, 1.0));
        check.mend = "eagre up --wait spin --eagred=--sched=idle, on cores kept for Eagre";
    }
    return {check};
}

Checks pause_checks(const MachineView& view, const PauseFigures& figures) {
    Check check{"pauses", "bare loop", Grade::kGood, "", ""};
    const double seconds = static_cast<double>(std::max<uint64_t>(figures.duration_ns, 1)) / 1e9;
    check.value = fmt::format("longest {}, {} above {} in {:.1f} s ({:.2f} % lost)",
                              us(figures.longest_ns), figures.count, us(kPauseNsMin), seconds,
                              static_cast<double>(figures.lost_ns) / 1e7 / seconds);
    if (figures.longest_ns > kPauseNsMax) {
        check.grade = Grade::kWarn;
        check.mend = "isolate the core (see cpu isolated); on a virtual machine, dedicated host CPUs";
    }
    Check damon{"pauses", "kdamond", Grade::kGood, "not running", ""};
    for (const std::string& pid : view.list("/proc")) {
        if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
        const auto comm = view.read("/proc/" + pid + "/comm");
        if (!comm || !comm->starts_with("kdamond")) continue;
        damon.grade = Grade::kWarn;
        damon.value = fmt::format("{} (pid {}) samples memory and takes the core 1 ms at a time",
                                  *comm, pid);
        damon.mend = fmt::format("sudo taskset -pc CPU {}, a core that is not Eagre's; or echo off "
                                 "| sudo tee /sys/kernel/mm/damon/admin/kdamonds/*/state",
                                 pid);
        break;
    }
    return {check, damon};
}

}  // namespace eagre::doctor
