#pragma once
// What all parts of one journal share.

#include <algorithm>
#include <cstdint>

#include "dataplane/journal/device.h"
#include "dataplane/journal/journal.h"

namespace eagre::journal {

struct Context {
    JournalOptions options;
    Device device;
    JournalStats stats;
    uint32_t block_bytes = 512;  // What writes are aligned to.
    uint64_t now_ns = 0;         // As of the last poll().

    Context(io::Io& io, const JournalOptions& journal_options, size_t op_count_max)
        : options(journal_options),
          device(io, op_count_max),
          block_bytes(std::max(io.files.block_bytes(), journal_options.write_align_bytes)) {}
    bool failed() const { return stats.failed; }
    /// A write or a sync went wrong: nothing becomes durable any more.
    void fail() { stats.failed = true; }
};

}  // namespace eagre::journal
