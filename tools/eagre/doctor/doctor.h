#pragma once
// The whole visit: every family of checks, with the measurements they need.

#include <functional>
#include <string>
#include <vector>

#include "tools/eagre/doctor/checks.h"

namespace eagre::doctor {

struct DoctorOptions {
    std::string data;             // Where the data is, or would be.
    std::vector<uint32_t> cores;  // Of the reactors; at least one.
    bool measure = true;
};

/// Told before each part: what, and how much of the time is over (0..1).
using Progress = std::function<void(const std::string&, double)>;

Checks run_doctor(const MachineView& view, const DoctorOptions& options, const Progress& progress);

const char* grade_name(Grade grade);

}  // namespace eagre::doctor
