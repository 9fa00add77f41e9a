#pragma once
// Memory taken at start-up. Blocks are page-aligned, touched once so that no page fault meets the
// hot path.

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "wire/base/result.h"

namespace eagre::io {

/// `bytes` of memory mapped twice, back to back: a ring in which every range of up to `bytes` is
/// contiguous. A commit or a frame never meets a wrap.
class MirroredBuffer {
  public:
    /// `bytes`: rounded up to the page size. Errors: kIo (out of memory or mappings).
    static Result<MirroredBuffer> create(size_t bytes);
    MirroredBuffer() = default;
    ~MirroredBuffer();
    MirroredBuffer(MirroredBuffer&& other) noexcept { *this = std::move(other); }
    MirroredBuffer& operator=(MirroredBuffer&& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(bytes_, other.bytes_);
        return *this;
    }
    MirroredBuffer(const MirroredBuffer&) = delete;
    MirroredBuffer& operator=(const MirroredBuffer&) = delete;

    size_t bytes() const { return bytes_; }
    /// `position` counts for ever; up to bytes() may be used from there.
    std::byte* at(uint64_t position) { return data_ + position % bytes_; }
    const std::byte* at(uint64_t position) const { return data_ + position % bytes_; }

  private:
    std::byte* data_ = nullptr;
    size_t bytes_ = 0;
};

/// Page-aligned memory for direct I/O; huge pages when the kernel gives them (MADV_HUGEPAGE).
class AlignedBuffer {
  public:
    static Result<AlignedBuffer> create(size_t bytes);
    AlignedBuffer() = default;
    ~AlignedBuffer();
    AlignedBuffer(AlignedBuffer&& other) noexcept { *this = std::move(other); }
    AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(bytes_, other.bytes_);
        return *this;
    }
    AlignedBuffer(const AlignedBuffer&) = delete;
    AlignedBuffer& operator=(const AlignedBuffer&) = delete;

    std::byte* data() { return data_; }
    size_t bytes() const { return bytes_; }
    std::span<std::byte> span() { return {data_, bytes_}; }

  private:
    std::byte* data_ = nullptr;
    size_t bytes_ = 0;
};

}  // namespace eagre::io
