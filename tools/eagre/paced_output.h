#pragma once
// Records on their way to a reader that may be slow: written as the reader takes them, while we go on with other work. Knows of
// each shard how far it has really been written.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>

#include "tools/eagre/record_format.h"
#include "wire/frame/batch.h"

namespace eagre::cli {

class PacedOutput {
  public:
    /// `fd` stays the caller's, and as it is: it may be shared with other processes, so it is not made non-blocking.
    PacedOutput(RecordFormat format, int fd);
    /// Never waits. Whoever adds while full() is the one who bounds what piles up.
    void add(const RecordPlace& place, const frame::RecordView& record);
    /// Writes until nothing is left, or the reader has not taken it all in `wait_ns`. Throws std::runtime_error.
    void write(uint64_t wait_ns);
    /// Forgets what has not been begun of the shard; what has been begun is finished, if the reader takes it in `wait_ns`.
    void give_up(ShardId shard, uint64_t wait_ns);

    bool empty() const { return chunks_.empty(); }
    bool full() const;
    bool holds(ShardId shard) const;
    /// True: whoever read us (head, grep -m) has seen enough.
    bool closed() const { return closed_; }
    uint64_t count() const { return count_; }
    /// Last record of each shard that was written as a whole since its entry was erased.
    std::map<ShardId, SequenceNumber>& written() { return written_; }

  private:
    /// Some records of one shard in a row.
    struct Chunk {
        ShardId shard;  // 0: the heading.
        SequenceNumber last;
        std::string text;
    };
    bool write_chunk(uint64_t deadline_ns);
    bool wait_writable(uint64_t deadline_ns);

    RecordFormat format_;
    int fd_;
    std::deque<Chunk> chunks_;
    size_t begun_bytes_ = 0;    // Of the first chunk: written.
    size_t pending_bytes_ = 0;  // Of all chunks: not written.
    uint64_t count_ = 0;
    bool closed_ = false;
    std::map<ShardId, SequenceNumber> written_;
};

}  // namespace eagre::cli
