#pragma once
// The relocated segment that the cleaner is making: runs are copied into commits, then a footer is made of what the footers
// of the sources say and of where the copies lie. Everything goes through one buffer, which the cleaner writes out whenever
// it is due. The header is written last: until then the slot is one that is ready.

#include <cstdint>
#include <span>

#include "dataplane/io/memory.h"
#include "dataplane/journal/extent_index.h"
#include "dataplane/journal/facts.h"
#include "dataplane/journal/footer.h"
#include "dataplane/journal/segment_chain.h"
#include "wire/base/limits.h"

namespace eagre::journal {

/// Of one operation of the cleaner, at most.
inline constexpr uint64_t kCleanerStepBytes = 256 * kKiB;

class RelocationTarget {
  public:
    RelocationTarget(const JournalOptions& options, uint32_t extent_count_max, uint32_t block_bytes);
    /// Errors: kIo (memory).
    Status start();

    /// Copies go to `slot` from now on; `first`: the first segment that it will stand for.
    struct Birth {
        uint64_t incarnation;
        uint64_t serial;
    };
    void begin(Segment& slot, const Segment& first, const Birth& birth);
    Segment& slot() { return *slot_; }

    /// Takes note of the footer of a source: the target's has to have room for as much.
    void note_source(const Trailer& trailer);
    /// True when the run and the footer have room.
    bool fits(uint64_t run_bytes) const;
    /// Begins a copy; its stored bytes follow. False: what is in the buffer must be written first. The run fits.
    bool begin_run(const RunHeader& header, uint32_t shard_slot);
    /// Takes bytes of the run that has begun, and chains their CRC; returns how many. Fewer than given: the buffer must be
    /// written first.
    size_t append(std::span<const std::byte> bytes, uint32_t& crc);
    /// No copy is under way: the last commit is closed.
    void end_runs();
    /// Of copies, headers included.
    uint64_t copied_bytes() const { return copied_bytes_; }

    /// What the footer is made of.
    struct Sources {
        Segment* last_whole = nullptr;  // All of it is here: facts and producers are as of its end.
        Segment* last = nullptr;        // The same, or the one behind it, of which a beginning is here: the directory's.
    };
    void begin_footer(const Sources& sources);
    bool footer_begun() const { return footer_begun_; }
    /// Fills the buffer with pages; footer_done() when these were the last. Errors: kBusy (pages of the sources are being
    /// read: again after poll()), kDamaged (they can't be read).
    Status fill_footer(SegmentChain& chain, const ShardTable& shards);
    bool footer_done() const { return footer_done_; }
    /// Puts the trailer, then the header, into the buffer.
    void fill_trailer();
    /// `relocation`: what it stands for; serial and end are filled in here.
    void fill_header(const Relocation& relocation);

    /// The buffer must be written before anything else is put into it.
    bool due() const { return due_; }
    std::span<std::byte> due_bytes() { return buffer_.span().first(used_); }
    uint64_t due_offset() const { return base_; }
    void written();
    uint64_t end_bytes() const { return end_bytes_; }

  private:
    void put_commit_header(uint64_t commit_bytes);
    void close_commit();
    void pad();
    void next_section();
    Status add_directory_entry(SegmentChain& chain, const ShardTable& shards);
    Status add_extent(SegmentChain& chain, const ShardTable& shards);

    ExtentIndex extents_;
    io::AlignedBuffer buffer_;
    uint64_t segment_bytes_;
    uint32_t block_bytes_;
    Segment* slot_ = nullptr;

    uint64_t base_ = 0;  // Offset in the segment of the buffer's beginning.
    uint64_t used_ = 0;
    bool due_ = false;
    uint64_t end_bytes_ = 0;
    uint64_t copied_bytes_ = 0;

    // The open commit.
    bool commit_open_ = false;
    bool long_run_ = false;  // It has one run, which is larger than the buffer.
    uint32_t run_count_ = 0;
    uint32_t runs_crc_ = 0;
    uint64_t run_left_ = 0;  // Bytes of the run under way that are still to come.
    uint64_t commit_number_ = 0;
    uint32_t commit_crc_ = 0;

    // The footer.
    bool footer_begun_ = false;
    bool footer_done_ = false;
    uint64_t directory_pages_ = 0;  // Room for so many is kept.
    uint64_t fact_pages_ = 0;
    uint64_t producer_pages_ = 0;
    Sources sources_;
    PageWriter pages_{nullptr, {}};
    FooterSection section_{};
    uint32_t index_ = 0;   // Of the next directory entry or page of the section.
    uint32_t extent_ = ExtentIndex::kNone;
    uint32_t extent_count_ = 0;
};

}  // namespace eagre::journal
