#pragma once
// One reader of one shard: memory first, then the device with read-ahead.

#include <cstdint>

#include "dataplane/journal/read_pool.h"
#include "dataplane/journal/run_index.h"
#include "dataplane/journal/segment_chain.h"
#include "dataplane/journal/window.h"

namespace eagre::journal {

/// Readers of one journal, at most.
inline constexpr uint32_t kReaderCountMax = 4096;

/// The parts of a journal that readers use.
struct ReadSide {
    Context& context;
    Window& window;
    RunIndex& runs;
    ShardTable& shards;
    SegmentChain& chain;
    ReadPool& pool;
    uint32_t reader_count = 0;
};

class JournalReader final : public ShardReader, public BufferHolder {
  public:
    JournalReader(ReadSide& side, ShardId shard, SequenceNumber from);
    ~JournalReader() override;
    JournalReader(const JournalReader&) = delete;
    JournalReader& operator=(const JournalReader&) = delete;

    Result<Step> peek(RunView& view) override;
    void advance() override;
    void seek(SequenceNumber from) override;
    SequenceNumber wanted() const override { return SequenceNumber{wanted_}; }
    bool from_memory() const override { return from_memory_; }
    void on_buffer_lost(ReadBuffer& buffer) override;

  private:
    enum class Found : uint8_t { kRun, kNothing, kPending };
    Result<Found> peek_memory(const ShardState& shard, RunView& view);
    Result<Found> peek_buffer(RunView& view);
    Result<Found> walk(Piece& piece, RunView& view);
    Result<Found> leave_piece(const Piece& piece);
    Result<Found> fetch(const ShardState& shard);
    void fetch_ahead(const ShardState& shard);
    void fill(ReadBuffer& buffer, const ShardState& shard, Stretch stretch);
    void drop_buffers();
    Result<Found> damaged(uint64_t go_on);
    void show(RunView& view, const RunHeader& header, const std::byte* payload);

    ReadSide& side_;
    uint64_t shard_;
    uint64_t wanted_;
    uint64_t shown_end_ = 0;  // Behind the run last peeked.
    uint64_t serial_ = 0;     // Of the run last peeked from memory, or of the next.
    bool from_memory_ = false;

    ReadBuffer* current_ = nullptr;
    ReadBuffer* ahead_ = nullptr;
    uint32_t piece_ = 0;           // In current_.
    uint64_t cursor_ = 0;          // Offset in the segment.
    uint64_t verified_ = 0;        // Offset of the run whose CRC was last found right.
    bool lost_ = false;            // Looking for the next valid run after damage.
    uint64_t ahead_sequence_ = 0;  // Where read-ahead goes on; 0: unknown.
    // Where to go on in a stretch that did not fit a buffer.
    uint64_t resume_nonce_ = 0;  // Of its segment.
    uint64_t resume_offset_ = 0;
    bool want_reserve_ = false;
    uint64_t walked_number_ = 0;
    uint64_t reported_ = 0;  // Damage in front of this sequence number has been counted.
};

}  // namespace eagre::journal
