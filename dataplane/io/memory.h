#pragma once
// Memory taken at start-up, page-aligned.

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
    /// `bytes`: rounded up to the page size; from 2 MiB on to huge pages, which are taken at once where the kernel has them:
    /// a write of 1 MiB from them is one piece for the device instead of 256. Errors: kIo (out of memory or mappings).
    static Result<MirroredBuffer> create(size_t bytes);
    MirroredBuffer() = default;
    ~MirroredBuffer();
    MirroredBuffer(MirroredBuffer&& other) noexcept { *this = std::move(other); }
    MirroredBuffer& operator=(MirroredBuffer&& other) noexcept {
        std::swap(reserved_, other.reserved_);
        std::swap(reserved_bytes_, other.reserved_bytes_);
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
    void* reserved_ = nullptr;  // Both halves, and what aligns them.
    size_t reserved_bytes_ = 0;
    std::byte* data_ = nullptr;
    size_t bytes_ = 0;
};

/// Page-aligned memory for direct I/O; huge pages from 2 MiB on when the kernel gives them (MADV_HUGEPAGE).
class AlignedBuffer {
  public:
    static Result<AlignedBuffer> create(size_t bytes);
    AlignedBuffer() = default;
    ~AlignedBuffer();
    AlignedBuffer(AlignedBuffer&& other) noexcept { *this = std::move(other); }
    AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
        std::swap(reserved_, other.reserved_);
        std::swap(reserved_bytes_, other.reserved_bytes_);
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
    void* reserved_ = nullptr;  // With what aligns it.
    size_t reserved_bytes_ = 0;
    std::byte* data_ = nullptr;
    size_t bytes_ = 0;
};

}  // namespace eagre::io
