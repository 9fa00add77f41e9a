#include <algorithm>
#include <cstdio>
#include <cstring>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "tools/eagre/doctor/checks.h"

namespace eagre::doctor {
namespace {

// 6.1 brought IORING_SETUP_DEFER_TASKRUN and STATX_DIOALIGN.
constexpr unsigned kMajorMin = 6;
constexpr unsigned kMinorMin = 1;

Check release_check(const MachineView& view) {
    Check check{"kernel", "release", Grade::kGood, "", ""};
    check.value = view.read("/proc/sys/kernel/osrelease").value_or("unknown");
    unsigned major = 0;
    unsigned minor = 0;
    const bool read = std::sscanf(check.value.c_str(), "%u.%u", &major, &minor) == 2;
    if (!read || major < kMajorMin || (major == kMajorMin && minor < kMinorMin)) {
        check.grade = Grade::kBad;
        check.mend = "install Linux 6.1 or newer (Debian 12 has it)";
    }
    return check;
}

Check uring_check(const MachineView& view, const UringAnswer& uring) {
    Check check{"kernel", "io_uring", Grade::kGood, "all that eagred uses", ""};
    const std::string disabled = view.read("/proc/sys/kernel/io_uring_disabled").value_or("0");
    if (uring.os_errno != 0) {
        check.grade = Grade::kBad;
        check.value = fmt::format("a ring can't be made: {}", std::strerror(uring.os_errno));
        check.mend = disabled != "0" ? "sudo sysctl kernel.io_uring_disabled=0"
                                     : "allow io_uring in the container's seccomp profile";
    } else if (!uring.missing_operations.empty()) {
        check.grade = Grade::kBad;
        check.value = fmt::format("missing: {}", fmt::join(uring.missing_operations, ", "));
        check.mend = "install Linux 6.1 or newer";
    } else if (disabled != "0") {
        check.grade = Grade::kWarn;
        check.value = fmt::format("works for this user, kernel.io_uring_disabled={}", disabled);
        check.mend = "sudo sysctl kernel.io_uring_disabled=0";
    }
    return check;
}

}  // namespace

Checks kernel_checks(const MachineView& view, const UringAnswer& uring) {
    return {release_check(view), uring_check(view, uring)};
}

}  // namespace eagre::doctor
