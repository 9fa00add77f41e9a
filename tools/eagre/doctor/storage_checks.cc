#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sstream>

#include <fmt/format.h>

#include "tools/eagre/doctor/checks.h"

namespace eagre::doctor {
namespace {

constexpr uint64_t kGiB = 1ULL << 30U;
constexpr uint64_t kFreeBytesGood = 4 * kGiB;
constexpr uint64_t kFreeBytesMin = kGiB;
constexpr uint32_t kAlignBytesMax = 4096;

struct Mount {
    std::string type;
    std::string options;
};

/// The mount of a device number, by /proc/self/mountinfo: "27 1 254:0 / / rw - ext4 /dev/vda rw".
std::optional<Mount> mount_of(const MachineView& view, uint32_t major, uint32_t minor) {
    const std::string wanted = fmt::format("{}:{}", major, minor);
    std::optional<Mount> found;
    for (const std::string& line : lines_of(view.read("/proc/self/mountinfo").value_or(""))) {
        std::istringstream words(line);
        std::string word;
        std::string device;
        words >> word >> word >> device >> word >> word;
        if (device != wanted) continue;
        Mount mount;
        words >> mount.options;
        while (words >> word && word != "-") continue;
        words >> mount.type >> word >> word;
        mount.options += "," + word;
        found = mount;
    }
    return found;
}

Check file_system_check(const MachineView& view, const DirectoryAnswer& directory) {
    Check check{"storage", "file system", Grade::kGood, "", ""};
    const auto mount = mount_of(view, directory.device_major, directory.device_minor);
    const std::string type = mount ? mount->type : "unknown";
    check.value = fmt::format("{} at {}", type, directory.path);
    const std::string options = mount ? mount->options : "";
    if (type == "tmpfs" || type == "ramfs") {
        check.grade = Grade::kBad;
        check.value += ": memory, gone when the machine stops";
        check.mend = "choose a directory on a disk: --data DIR";
    } else if (options.find("nobarrier") != std::string::npos ||
               options.find("barrier=0") != std::string::npos) {
        check.grade = Grade::kBad;
        check.value += " without barriers: fdatasync does not reach the device's medium";
        check.mend = "mount without nobarrier";
    } else if (type != "ext4" && type != "xfs") {
        check.grade = Grade::kWarn;
        check.mend = "ext4 and xfs are what Eagre is measured on; mkfs.xfs a disk for --data";
    }
    return check;
}

Check alignment_check(const DirectoryAnswer& directory) {
    Check check{"storage", "direct I/O", Grade::kGood, "", ""};
    if (directory.direct_errno != 0) {
        check.grade = Grade::kBad;
        check.value = fmt::format("not here: {}", std::strerror(directory.direct_errno));
        check.mend = directory.direct_errno == EACCES || directory.direct_errno == EPERM
                         ? "run as a user who may write there"
                         : "choose a file system that has it (ext4, xfs): --data DIR";
        return check;
    }
    if (directory.offset_align_bytes == 0) {
        check.value = "works, alignment unknown: 4096 is assumed";
        return check;
    }
    check.value = fmt::format("aligned to {} in the file, {} in memory",
                              directory.offset_align_bytes, directory.memory_align_bytes);
    if (std::max(directory.offset_align_bytes, directory.memory_align_bytes) > kAlignBytesMax) {
        check.grade = Grade::kBad;
        check.mend = "choose a device with blocks of at most 4096 bytes";
    }
    return check;
}

Check space_check(const DirectoryAnswer& directory) {
    Check check{"storage", "free space", Grade::kGood,
                fmt::format("{:.1f} GiB", static_cast<double>(directory.free_bytes) /
                                              static_cast<double>(kGiB)),
                ""};
    if (directory.free_bytes < kFreeBytesGood) {
        check.grade = directory.free_bytes < kFreeBytesMin ? Grade::kBad : Grade::kWarn;
        check.mend = "make room, shorten retention, or choose another --data";
    }
    return check;
}

std::string queue_folder(const MachineView& view, const DirectoryAnswer& directory) {
    const std::string device =
        fmt::format("/sys/dev/block/{}:{}", directory.device_major, directory.device_minor);
    // A partition's queue is its disk's.
    for (const std::string& folder : {device + "/queue", device + "/../queue"}) {
        if (view.exists(folder + "/scheduler")) return folder;
    }
    return "";
}

Check device_check(const MachineView& view, const DirectoryAnswer& directory) {
    Check check{"storage", "device", Grade::kGood, "", ""};
    const std::string queue = queue_folder(view, directory);
    if (queue.empty()) {
        check.value = "no block device of its own";
        return check;
    }
    const std::string scheduler = chosen_of(view.read(queue + "/scheduler").value_or("none"));
    const std::string cache = view.read(queue + "/write_cache").value_or("unknown");
    const bool rotates = view.read(queue + "/rotational").value_or("0") == "1";
    check.value = fmt::format("scheduler {}, {} cache{}", scheduler, cache,
                              rotates ? ", said to rotate" : "");
    if (scheduler == "bfq") {
        check.grade = Grade::kWarn;
        check.mend = fmt::format("echo none | sudo tee {}/scheduler", queue);
    }
    return check;
}

}  // namespace

Checks storage_checks(const MachineView& view, const DirectoryAnswer& directory) {
    return {file_system_check(view, directory), alignment_check(directory), space_check(directory),
            device_check(view, directory)};
}

}  // namespace eagre::doctor
