#include <charconv>

#include <fmt/format.h>

#include "tools/eagre/doctor/checks.h"

namespace eagre::doctor {
namespace {

constexpr uint64_t kMiB = 1ULL << 20U;
// Memory window, receive buffers and tables of a core or two, locked.
constexpr uint64_t kLockedBytesMin = 256 * kMiB;
constexpr uint64_t kFilesMin = 65536;
constexpr uint64_t kFilesNeeded = 1024;
constexpr uint64_t kUnlimited = UINT64_MAX;

/// The soft limit of a line of /proc/self/limits; nothing when there is no such line.
std::optional<uint64_t> soft_limit(const MachineView& view, const std::string& name) {
    for (const std::string& line : lines_of(view.read("/proc/self/limits").value_or(""))) {
        if (!line.starts_with(name)) continue;
        const size_t at = line.find_first_not_of(' ', name.size());
        if (at == std::string::npos) return std::nullopt;
        if (line.compare(at, 9, "unlimited") == 0) return kUnlimited;
        uint64_t value = 0;
        if (std::from_chars(line.data() + at, line.data() + line.size(), value).ec == std::errc())
            return value;
    }
    return std::nullopt;
}

Check huge_page_check(const MachineView& view) {
    Check check{"memory", "huge pages", Grade::kGood, "", ""};
    const auto setting = view.read("/sys/kernel/mm/transparent_hugepage/enabled");
    check.value = setting ? "transparent: " + chosen_of(*setting) : "the kernel has none";
    if (!setting) {
        check.grade = Grade::kWarn;
        check.mend = "use a kernel with CONFIG_TRANSPARENT_HUGEPAGE (ingest is 8 % slower without)";
    } else if (chosen_of(*setting) == "never") {
        check.grade = Grade::kWarn;
        check.mend = "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled";
    }
    return check;
}

}  // namespace

Checks memory_checks(const MachineView& view) {
    Check memlock{"memory", "locked memory", Grade::kGood, "", ""};
    const auto locked = soft_limit(view, "Max locked memory");
    if (!locked) {
        memlock.value = "unknown";
    } else if (*locked == kUnlimited) {
        memlock.value = "unlimited";
    } else {
        memlock.value = fmt::format("{} MiB", *locked / kMiB);
    }
    if (!locked || *locked < kLockedBytesMin) {
        memlock.grade = Grade::kWarn;
        memlock.mend =
            "LimitMEMLOCK=infinity in the systemd unit, or ulimit -l unlimited (for --lock-memory)";
    }
    return {memlock, huge_page_check(view)};
}

Checks limit_checks(const MachineView& view) {
    Check files{"limits", "open files", Grade::kGood, "", ""};
    const auto limit = soft_limit(view, "Max open files");
    files.value = !limit                ? "unknown"
                  : *limit == kUnlimited ? "unlimited"
                                         : fmt::format("{}", *limit);
    if (!limit || *limit < kFilesMin) {
        files.grade = limit && *limit < kFilesNeeded ? Grade::kBad : Grade::kWarn;
        files.mend = fmt::format("LimitNOFILE={} in the systemd unit, or ulimit -n {}", kFilesMin,
                                 kFilesMin);
    }
    return {files};
}

}  // namespace eagre::doctor
