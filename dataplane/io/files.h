#pragma once
// The cold side of storage: names, creation, locks. Blocking; used at start-up and when a segment
// is made, never per commit. Paths are relative to the root that the back end was made with (the
// data directory), '/' separates, no "..".

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/io/storage.h"
#include "wire/base/result.h"

namespace eagre::io {

class Files {
  public:
    virtual ~Files() = default;
    /// Names in a directory, sorted. Errors: kIo.
    virtual Result<std::vector<std::string>> list(std::string_view directory) = 0;
    virtual bool exists(std::string_view path) = 0;
    virtual Status make_directory(std::string_view path) = 0;  // kOk when it exists already.
    /// Makes names durable.
    virtual Status sync_directory(std::string_view path) = 0;

    /// Opens an existing file for direct I/O, read and write. Errors: kIo.
    virtual Result<FileId> open(std::string_view path) = 0;
    /// Creates a file of `bytes` with its blocks reserved (fallocate; not yet written: the caller
    /// writes zeros before its first use). Errors: kDiskFull (ENOSPC), kIo.
    virtual Result<FileId> create(std::string_view path, uint64_t bytes) = 0;
    virtual Result<uint64_t> size(FileId file) = 0;
    virtual void close(FileId file) = 0;
    virtual Status remove(std::string_view path) = 0;
    /// Atomic replacement of `to`.
    virtual Status rename(std::string_view from, std::string_view to) = 0;
    /// Whole small files (identity, snapshots): replace() writes a temporary file, syncs, renames
    /// and syncs the directory.
    virtual Result<std::vector<std::byte>> read_all(std::string_view path) = 0;
    virtual Status replace(std::string_view path, std::span<const std::byte> bytes) = 0;

    /// Exclusive lock held until the back end goes away. Errors: kLocked (detail = pid of the
    /// holder if known).
    virtual Status lock(std::string_view path) = 0;

    /// Alignment of offset, length and buffer for direct I/O here: 512 or 4096 as a rule (statx).
    virtual uint32_t block_bytes() const = 0;
    virtual Result<uint64_t> free_bytes() = 0;
};

}  // namespace eagre::io
