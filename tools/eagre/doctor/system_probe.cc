#include <algorithm>
#include <cerrno>
#include <ctime>
#include <filesystem>

#include <fcntl.h>
#include <liburing.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "tools/eagre/doctor/probes.h"

namespace eagre::doctor {
namespace {

constexpr uint32_t kClockReadings = 20'000;

struct Operation {
    int code;
    const char* name;
};
// Those that dataplane/io/uring submits.
constexpr Operation kOperations[] = {
    {IORING_OP_READ, "read"},          {IORING_OP_WRITE, "write"},
    {IORING_OP_FSYNC, "fsync"},        {IORING_OP_ACCEPT, "accept"},
    {IORING_OP_POLL_ADD, "poll"},      {IORING_OP_ASYNC_CANCEL, "cancel"},
};

std::string nearest_existing(const std::string& data) {
    std::error_code error;
    std::filesystem::path path = std::filesystem::absolute(data, error);
    while (!path.empty() && path != path.root_path() && !std::filesystem::is_directory(path, error))
        path = path.parent_path();
    return path.string();
}

uint64_t now_ns() {
    timespec time{};
    (void)::clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000ULL +
           static_cast<uint64_t>(time.tv_nsec);
}

}  // namespace

UringAnswer ask_uring() {
    UringAnswer answer;
    io_uring ring{};
    io_uring_params params{};
    params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                   IORING_SETUP_COOP_TASKRUN | IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL;
    const int made = io_uring_queue_init_params(8, &ring, &params);
    if (made < 0) {
        answer.os_errno = -made;
        return answer;
    }
    io_uring_probe* probe = io_uring_get_probe_ring(&ring);
    for (const Operation& operation : kOperations) {
        if (probe == nullptr || io_uring_opcode_supported(probe, operation.code) == 0)
            answer.missing_operations.emplace_back(operation.name);
    }
    if (probe != nullptr) io_uring_free_probe(probe);
    io_uring_queue_exit(&ring);
    return answer;
}

DirectoryAnswer ask_directory(const std::string& data) {
    DirectoryAnswer answer;
    answer.path = nearest_existing(data);
    struct stat info {};
    if (::stat(answer.path.c_str(), &info) == 0) {
        answer.device_major = major(info.st_dev);
        answer.device_minor = minor(info.st_dev);
    }
    struct statvfs space {};
    if (::statvfs(answer.path.c_str(), &space) == 0)
        answer.free_bytes = static_cast<uint64_t>(space.f_bavail) * space.f_frsize;
    const int fd =
        ::open(answer.path.c_str(), O_TMPFILE | O_RDWR | O_DIRECT | O_CLOEXEC, 0600);
    if (fd < 0) {
        answer.direct_errno = errno;
        return answer;
    }
    struct statx align {};
    if (::statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &align) == 0 &&
        (align.stx_mask & STATX_DIOALIGN) != 0) {
        answer.offset_align_bytes = align.stx_dio_offset_align;
        answer.memory_align_bytes = align.stx_dio_mem_align;
    }
    ::close(fd);
    return answer;
}

double measure_clock_ns() {
    const uint64_t begin = now_ns();
    uint64_t last = begin;
    for (uint32_t i = 0; i < kClockReadings; ++i) last = now_ns();
    return static_cast<double>(last - begin) / kClockReadings;
}

}  // namespace eagre::doctor
