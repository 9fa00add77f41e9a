#pragma once
// One line of the doctor's answer.

#include <cstdint>
#include <string>
#include <vector>

namespace eagre::doctor {

/// kBad: Eagre does not run, or what it calls durable would not be. kWarn: it runs slower, or less
/// evenly, than this machine could.
enum class Grade : uint8_t { kGood, kWarn, kBad };

struct Check {
    std::string family;  // "kernel", "memory", ...
    std::string name;
    Grade grade = Grade::kGood;
    std::string value;  // What was found or measured.
    std::string mend;   // The command or setting that makes it good; empty when it is.
};
using Checks = std::vector<Check>;

}  // namespace eagre::doctor
