#pragma once
// A file of fixed size, written once with zeros and synced, then only overwritten by direct writes:
// no later write changes its metadata, so that fdatasync flushes data and nothing else. The same
// preparation as a journal segment's, so that the baseline has no handicap (zero-filled beats
// fallocate'd twofold when every write is synced, measured).

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "wire/base/result.h"

namespace eagre::perf {

/// Alignment of direct I/O: a page satisfies every device we know.
inline constexpr size_t kDirectAlignment = 4096;

/// Heap memory for direct I/O: page-aligned and touched, so that no page fault falls into a
/// measurement.
struct AlignedFree {
    void operator()(std::byte* memory) const;
};
using AlignedBuffer = std::unique_ptr<std::byte[], AlignedFree>;
AlignedBuffer make_aligned(size_t bytes);

class ZeroFile {
  public:
    /// Creates or overwrites `path` with `bytes` zeros (a multiple of 1 MiB) and syncs it. Errors:
    /// kIo with errno.
    static Result<ZeroFile> create(const std::string& path, uint64_t bytes);
    ZeroFile(ZeroFile&& other) noexcept;
    ZeroFile& operator=(ZeroFile&&) = delete;
    ZeroFile(const ZeroFile&) = delete;
    ~ZeroFile();

    /// Writes at the cursor, beginning again at 0 when the end would be passed, and waits. `data`:
    /// aligned, a multiple of kDirectAlignment, at most bytes(). Errors: kIo; a short write is a
    /// failed write.
    Status append(std::span<const std::byte> data);
    /// fdatasync. Errors: kIo.
    Status sync();

    int fd() const { return fd_; }
    uint64_t bytes() const { return bytes_; }

  private:
    ZeroFile(int fd, uint64_t bytes) : fd_(fd), bytes_(bytes) {}
    int fd_ = -1;
    uint64_t bytes_ = 0;
    uint64_t cursor_bytes_ = 0;
};

}  // namespace eagre::perf
