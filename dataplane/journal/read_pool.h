#pragma once
// Buffers for device reads of runs: a bounded number for all readers together, and one large
// reserve for long runs. A reader that has left its buffer alone for a while loses it to one that
// waits, and reads again later.

#include <array>
#include <cstdint>
#include <vector>

#include "dataplane/io/memory.h"
#include "dataplane/journal/context.h"
#include "dataplane/journal/segment_chain.h"

namespace eagre::journal {

struct ReadBuffer;

/// Who holds a buffer.
class BufferHolder {
  public:
    virtual ~BufferHolder() = default;
    virtual void on_buffer_lost(ReadBuffer& buffer) = 0;
};

/// A stretch within a buffer.
struct Piece {
    Stretch stretch;                  // What was read of it: from offset_bytes to end_bytes.
    const std::byte* data = nullptr;  // At stretch.offset_bytes.
    uint64_t segment_number = 0;  // Kept apart: the segment may be recycled once it has been read.
    uint64_t nonce = 0;
    uint32_t op = 0;
    bool partial = false;  // The stretch goes on behind end_bytes.
    bool bad = false;      // The device could not read it.
};

struct ReadBuffer {
    static constexpr uint32_t kOpCount = 16;
    static constexpr uint32_t kPieceCount = 64;
    io::AlignedBuffer memory;
    std::array<DeviceOp, kOpCount> ops;
    std::array<Piece, kPieceCount> pieces;
    Segment* segment = nullptr;  // All pieces are of one segment.
    uint32_t op_count = 0;
    uint32_t piece_count = 0;
    uint32_t pending = 0;  // Operations under way.
    uint64_t used_bytes = 0;
    uint64_t touched_ns = 0;
    BufferHolder* holder = nullptr;
    bool peeked = false;
    bool taken = false;
};

class ReadPool final : public OpOwner {
  public:
    explicit ReadPool(Context& context);
    /// Errors: kIo (memory).
    Status start();
    static size_t op_count(const JournalOptions& options) {
        return (size_t{options.read_buffer_count} + 1) * ReadBuffer::kOpCount;
    }

    enum class Want : uint8_t { kNow, kAhead, kReserve };
    /// Null: none now. kAhead takes only what nobody holds.
    ReadBuffer* take(BufferHolder& holder, Want want);
    /// The buffer may still be read into: it is free once that is over.
    void release(ReadBuffer& buffer);
    /// Adds a stretch to the buffer. False: it does not fit (nothing was added), unless it is the
    /// first: then its beginning.
    bool add(ReadBuffer& buffer, const Stretch& stretch);
    /// Submits what was added.
    void submit(ReadBuffer& buffer);
    void on_done(DeviceOp& op, uint64_t now_ns) override;

  private:
    Context& context_;
    std::vector<ReadBuffer> buffers_;  // The last one is the reserve.
};

}  // namespace eagre::journal
