#pragma once
// What is asked of the machine itself. Each measures in a thread of its own, pinned, and leaves
// nothing behind.

#include <cstdint>
#include <optional>
#include <string>

#include "tools/eagre/doctor/checks.h"

namespace eagre::doctor {

UringAnswer ask_uring();
/// Of `data`, or of its nearest parent that exists.
DirectoryAnswer ask_directory(const std::string& data);
/// Mean cost of one clock_gettime(CLOCK_MONOTONIC), in ns.
double measure_clock_ns();

struct ProbePlace {
    std::string directory;               // Where the file without a name is made.
    uint32_t core = 0;                   // Measured on.
    std::optional<uint32_t> other_core;  // Kept busy in half of the rounds; none: there is no other.
};
/// About 3 s. Small direct writes one by one, each made durable, by a ring as eagred has it.
CommitFigures measure_commits(const ProbePlace& place);
/// About 3 s. The same with write and fdatasync under SCHED_OTHER and SCHED_IDLE, by turns.
ScheduleFigures measure_scheduling(const ProbePlace& place);
/// About 2 s.
PauseFigures measure_pauses(uint32_t core);

}  // namespace eagre::doctor
