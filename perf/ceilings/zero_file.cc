#include "perf/ceilings/zero_file.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "wire/base/assert.h"
#include "wire/base/limits.h"

namespace eagre::perf {

void AlignedFree::operator()(std::byte* memory) const {
    std::free(memory);
}

AlignedBuffer make_aligned(size_t bytes) {
    // Huge pages for what is large, as the journal's window has them: fewer pieces for the device.
    constexpr size_t kHugePageBytes = size_t{2} << 20U;
    const size_t alignment = bytes >= kHugePageBytes / 4 ? kHugePageBytes : kDirectAlignment;
    const size_t rounded = (bytes + alignment - 1) / alignment * alignment;
    auto* memory = static_cast<std::byte*>(std::aligned_alloc(alignment, rounded));
    EAGRE_ASSERT(memory != nullptr);
    if (alignment == kHugePageBytes) (void)::madvise(memory, rounded, MADV_HUGEPAGE);
    std::memset(memory, 0, rounded);
    return AlignedBuffer(memory);
}

Result<ZeroFile> ZeroFile::create(const std::string& path, uint64_t bytes) {
    EAGRE_ASSERT_EQ(bytes % kMiB, 0U);
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_DIRECT | O_CLOEXEC, 0644);
    if (fd < 0) return os_error(Errc::kIo, errno);
    ZeroFile file(fd, bytes);
    const AlignedBuffer zeros = make_aligned(kMiB);
    for (uint64_t done = 0; done < bytes; done += kMiB) {
        if (Status status = file.append({zeros.get(), kMiB}); !status) return status.error();
    }
    file.cursor_bytes_ = 0;
    // fsync, not fdatasync: the size and the extents must be down too.
    if (::fsync(fd) != 0) return os_error(Errc::kIo, errno);
    return file;
}

ZeroFile::ZeroFile(ZeroFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), bytes_(other.bytes_), cursor_bytes_(other.cursor_bytes_) {}

ZeroFile::~ZeroFile() {
    if (fd_ >= 0) ::close(fd_);
}

Status ZeroFile::append(std::span<const std::byte> data) {
    EAGRE_ASSERT_EQ(data.size() % kDirectAlignment, 0U);
    EAGRE_ASSERT_LE(data.size(), bytes_);
    if (cursor_bytes_ + data.size() > bytes_) cursor_bytes_ = 0;
    const ssize_t written =
        ::pwrite(fd_, data.data(), data.size(), static_cast<off_t>(cursor_bytes_));
    if (written != static_cast<ssize_t>(data.size()))
        return os_error(Errc::kIo, written < 0 ? errno : EIO);
    cursor_bytes_ += data.size();
    return {};
}

Status ZeroFile::sync() {
    if (::fdatasync(fd_) != 0) return os_error(Errc::kIo, errno);
    return {};
}

}  // namespace eagre::perf
