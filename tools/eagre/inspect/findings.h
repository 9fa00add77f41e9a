#pragma once
// What a check has found, where. Bounded: what goes beyond is counted, not kept.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace eagre::inspect {

inline constexpr size_t kFindingsMax = 1000;

struct Finding {
    std::string file;           // Path as a person can open it.
    uint64_t offset_bytes = 0;  // In the file.
    std::string what;
};

/// Problems are what is wrong; notes are what is as it may be and still worth saying (a torn tail).
class Findings {
  public:
    void problem(const std::string& file, uint64_t offset_bytes, std::string what) {
        ++problem_count;
        if (problems.size() < kFindingsMax)
            problems.push_back({file, offset_bytes, std::move(what)});
    }
    void note(const std::string& file, uint64_t offset_bytes, std::string what) {
        ++note_count;
        if (notes.size() < kFindingsMax) notes.push_back({file, offset_bytes, std::move(what)});
    }

    uint64_t problem_count = 0;
    uint64_t note_count = 0;
    std::vector<Finding> problems;
    std::vector<Finding> notes;
};

}  // namespace eagre::inspect
