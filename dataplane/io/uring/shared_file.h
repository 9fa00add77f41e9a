#pragma once

#include <cstddef>
#include <string>
#include <utility>

#include "wire/base/result.h"

namespace eagre::io {

/// A file mapped into memory for several processes (wire/shm). Zeroed when created.
class SharedFile {
  public:
    /// Creates or replaces `path` with `bytes` zero bytes. Errors: kIo.
    static Result<SharedFile> create(const std::string& path, size_t bytes);
    SharedFile() = default;
    ~SharedFile();
    SharedFile(SharedFile&& other) noexcept { *this = std::move(other); }
    SharedFile& operator=(SharedFile&& other) noexcept {
        std::swap(base_, other.base_);
        std::swap(bytes_, other.bytes_);
        return *this;
    }
    SharedFile(const SharedFile&) = delete;
    SharedFile& operator=(const SharedFile&) = delete;
    void* base() { return base_; }

  private:
    void* base_ = nullptr;
    size_t bytes_ = 0;
};

}  // namespace eagre::io
