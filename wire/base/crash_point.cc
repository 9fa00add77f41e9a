#include "wire/base/crash_point.h"

#include <signal.h>
#include <stdlib.h>

#include <algorithm>
#include <vector>

namespace eagre {

// Constant initialisation: there before any point is made.
constinit CrashPoint* CrashPoint::first_ = nullptr;

CrashPoint::CrashPoint(const char* name, const char* state) : name_(name), state_(state), next_(first_) { first_ = this; }

void CrashPoint::visit() {
    if (visits_left_.fetch_sub(1, std::memory_order_relaxed) == 1) raise(SIGKILL);
}

std::string CrashPoint::list() {
    std::vector<std::string> lines;
    for (const CrashPoint* point = first_; point != nullptr; point = point->next_) {
        lines.push_back(std::string(point->name_) + "  " + point->state_ + "\n");
    }
    std::sort(lines.begin(), lines.end());
    std::string text;
    for (const std::string& line : lines) text += line;
    return text;
}

bool CrashPoint::arm(std::string_view name, uint32_t visit) {
    for (CrashPoint* point = first_; point != nullptr; point = point->next_) {
        if (name != point->name_) continue;
        point->visits_left_.store(visit, std::memory_order_relaxed);
        return true;
    }
    return false;
}

bool CrashPoint::arm_from_environment() {
    const char* asked = getenv("EAGRE_CRASH_AT");
    if (asked == nullptr) return false;
    const std::string_view text(asked);
    const size_t colon = text.find(':');
    const auto visit = colon == std::string_view::npos ? 1U : static_cast<uint32_t>(strtoul(asked + colon + 1, nullptr, 10));
    return visit != 0 && arm(text.substr(0, colon), visit);
}

}  // namespace eagre
