#include "tools/eagre/inspect/input_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace eagre::inspect {
namespace {

// Small enough that a bad sector hides little, large enough that a segment takes few calls.
constexpr uint64_t kChunkBytes = 1ULL << 20U;
constexpr uint64_t kSectorBytes = 4096;

ssize_t read_at(int fd, uint64_t offset_bytes, std::span<std::byte> target) {
    for (;;) {
        const ssize_t got =
            ::pread(fd, target.data(), target.size(), static_cast<off_t>(offset_bytes));
        if (got >= 0 || errno != EINTR) return got;
    }
}

}  // namespace

InputFile::InputFile(std::string path) : path_(std::move(path)) {
    fd_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd_ < 0) throw std::runtime_error(fmt::format("{}: {}", path_, std::strerror(errno)));
    struct stat info {};
    if (::fstat(fd_, &info) == 0) size_bytes_ = static_cast<uint64_t>(info.st_size);
    (void)::posix_fadvise(fd_, 0, 0, POSIX_FADV_SEQUENTIAL);
}

InputFile::~InputFile() {
    // Looking at a directory must not push the pages of others out of memory.
    (void)::posix_fadvise(fd_, 0, 0, POSIX_FADV_DONTNEED);
    ::close(fd_);
}

void InputFile::read(uint64_t offset_bytes, std::span<std::byte> target,
                     std::vector<Unreadable>& unreadable) const {
    uint64_t step = kChunkBytes;
    for (size_t at = 0; at < target.size();) {
        const size_t length = std::min<size_t>(step, target.size() - at);
        const ssize_t got = read_at(fd_, offset_bytes + at, target.subspan(at, length));
        if (got > 0) {
            at += static_cast<size_t>(got);
            if (at % kChunkBytes == 0) step = kChunkBytes;
            continue;
        }
        if (got == 0) {
            std::fill(target.begin() + static_cast<ptrdiff_t>(at), target.end(), std::byte{0});
            return;
        }
        if (length > kSectorBytes) {
            step = kSectorBytes;  // Find out which part of the chunk it is.
            continue;
        }
        if (!unreadable.empty() &&
            unreadable.back().offset_bytes + unreadable.back().length_bytes == offset_bytes + at) {
            unreadable.back().length_bytes += length;
        } else {
            unreadable.push_back({offset_bytes + at, length, errno});
        }
        std::memset(target.data() + at, 0xFF, length);
        at += length;
    }
}

std::vector<std::byte> InputFile::read_all(uint64_t bytes_max) const {
    std::vector<std::byte> bytes(std::min(size_bytes_, bytes_max));
    std::vector<Unreadable> unreadable;
    read(0, bytes, unreadable);
    return bytes;
}

bool all_zero(std::span<const std::byte> bytes) {
    return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

}  // namespace eagre::inspect
