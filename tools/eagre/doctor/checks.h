#pragma once
// The families of checks: pure functions of a view of the machine, of what the kernel answered, or
// of what was measured.

#include <cstdint>
#include <string>
#include <vector>

#include "tools/eagre/doctor/check.h"
#include "tools/eagre/doctor/machine_view.h"
#include "wire/base/histogram.h"

namespace eagre::doctor {

/// What io_uring said when eagred's ring was asked for.
struct UringAnswer {
    int os_errno = 0;                         // Of the set-up; 0: it was made.
    std::vector<std::string> missing_operations;  // Of those that eagred uses.
};

struct DirectoryAnswer {
    std::string path;  // The one given, or its nearest parent that exists.
    uint32_t device_major = 0;
    uint32_t device_minor = 0;
    uint64_t free_bytes = 0;
    int direct_errno = 0;          // Of opening a file for direct I/O there; 0: it can.
    uint32_t offset_align_bytes = 0;  // 0: the kernel doesn't say.
    uint32_t memory_align_bytes = 0;
};

/// The same small writes made durable in two ways, and what the other core does meanwhile.
struct CommitFigures {
    Histogram sync_idle;   // Write, then fdatasync: what Eagre does.
    Histogram sync_busy;
    Histogram dsync_idle;  // Writes with RWF_DSYNC.
    Histogram dsync_busy;
    bool has_other_core = false;  // Else the busy ones are empty.
    int os_errno = 0;             // What stopped it; 0: nothing.
};

/// The commit loop under two scheduling classes.
struct ScheduleFigures {
    Histogram other;
    Histogram idle;
    int os_errno = 0;
};

/// A loop that does nothing but read the clock.
struct PauseFigures {
    uint64_t duration_ns = 0;
    uint64_t longest_ns = 0;
    uint64_t lost_ns = 0;  // Sum of the gaps of at least kPauseNsMin.
    uint64_t count = 0;    // Of those.
};
inline constexpr uint64_t kPauseNsMin = 100'000;

Checks kernel_checks(const MachineView& view, const UringAnswer& uring);
Checks memory_checks(const MachineView& view);
/// `cores`: those that Eagre's reactors are to be pinned to. `clock_ns`: cost of one reading.
Checks cpu_checks(const MachineView& view, const std::vector<uint32_t>& cores, double clock_ns);
Checks interrupt_checks(const MachineView& view, const std::vector<uint32_t>& cores);
Checks limit_checks(const MachineView& view);
Checks storage_checks(const MachineView& view, const DirectoryAnswer& directory);
Checks commit_checks(const CommitFigures& figures);
Checks schedule_checks(const ScheduleFigures& figures);
Checks pause_checks(const MachineView& view, const PauseFigures& figures);

/// CPUs that are online and not among `cores`.
std::vector<uint32_t> other_cores(const MachineView& view, const std::vector<uint32_t>& cores);

}  // namespace eagre::doctor
