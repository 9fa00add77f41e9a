#pragma once
// Asynchronous direct I/O on open files.

#include <cstddef>
#include <cstdint>
#include <span>

#include "wire/base/types.h"

namespace eagre::io {

/// An open file of this core.
using FileId = Strong<struct FileIdTag, uint32_t>;

struct StorageOp {
    enum class Kind : uint8_t { kRead, kWrite, kSync };
    Kind kind = Kind::kRead;
    FileId file;
    uint64_t offset_bytes = 0;    // Multiple of Files::block_bytes (reads and writes).
    std::byte* buffer = nullptr;  // Aligned to block_bytes.
    uint32_t length_bytes = 0;    // Multiple of block_bytes.
    /// After reap: bytes moved, 0 for a sync, or -errno. A short write is a failed write; a short
    /// read is the end of file.
    int32_t result = 0;
    /// The submitter's own: the device never looks at these.
    uint64_t tag = 0;
    void* owner = nullptr;
};

/// Promises: kSync (fdatasync) makes durable what was written to its file by writes whose
/// completion was reaped before the sync was submitted, and nothing else is promised about
/// durability. Operations complete in any order.
class Storage {
  public:
    virtual ~Storage() = default;
    /// Takes ops in order; returns how many (fewer: queue full, poll and try again). The device
    /// owns op and buffer until reap returns it: a submitted buffer is frozen.
    virtual size_t submit(std::span<StorageOp* const> ops) = 0;
    /// Fills `done` with completed ops; returns how many. Call after Events::poll().
    virtual size_t reap(std::span<StorageOp*> done) = 0;
    /// Operations submitted and not yet reaped.
    virtual size_t in_flight() const = 0;
};

}  // namespace eagre::io
