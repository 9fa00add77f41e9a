#pragma once
// The hot path: runs gather in the open commit, in the window, where the file will have them;
// commits are written, then synced; watermarks follow over a gapless prefix. No timer: a commit is
// what gathered while the last one was under way.

#include <array>
#include <cstdint>
#include <span>

#include "dataplane/journal/context.h"
#include "dataplane/journal/facts.h"
#include "dataplane/journal/run_index.h"
#include "dataplane/journal/segment_pool.h"
#include "dataplane/journal/window.h"
#include "wire/base/histogram.h"

namespace eagre::journal {

/// Commits that are sealed and not yet durable, at most.
inline constexpr uint32_t kCommitQueueMax = 64;

/// Where a chain of commits ends.
struct ChainEnd {
    uint64_t commit_number = 0;
    uint32_t commit_crc = 0;
};

class CommitWriter final : public OpOwner {
  public:
    CommitWriter(Context& context, Window& window, RunIndex& runs, ShardTable& shards);
    static constexpr size_t kOpCount = kCommitQueueMax + 1;

    /// Commits go on in `segment` from now on, behind `end`, at `offset_bytes`. Nothing is in the
    /// open commit.
    void move_to(Segment& segment, const ChainEnd& end, uint64_t offset_bytes);
    Segment& segment() { return *segment_; }
    ChainEnd chain_end() const { return chain_; }
    /// Offset behind the last run of the open commit, or where the next commit would end if it were
    /// empty.
    uint64_t end_offset() const;
    /// Offset behind the last sealed commit.
    uint64_t sealed_end_offset() const { return tail_ - segment_->position_base; }

    /// Room for a header and `stored_bytes` behind it; empty when the device is behind.
    std::span<std::byte> reserve(uint32_t stored_bytes);
    bool run_open() const { return run_position_ != kNoRun; }
    uint64_t run_position() const { return run_position_; }
    uint64_t run_offset() const { return run_position_ - segment_->position_base; }
    void abandon() { run_position_ = kNoRun; }
    /// Takes the reserved run, whose header is sealed, into the open commit.
    void take(const RunHeader& header);
    /// Closes the open commit (it has runs) and queues it. The caller has asked can_seal().
    void seal_open();
    bool can_seal() const { return sealed_ - first_ < kCommitQueueMax; }
    bool open_has_runs() const { return run_count_ > 0; }
    /// The device has all it can do: more gathers behind what is under way than half a commit may hold.
    bool full_load() const {
        return first_ != sealed_ && run_count_ > 0 && end_ - start_ >= context_.options.commit_bytes_max / 2;
    }

    /// Seals and submits what may be.
    void advance();
    void on_done(DeviceOp& op, uint64_t now_ns) override;

    uint64_t open_number() const { return chain_.commit_number + 1; }
    uint64_t durable_number() const { return durable_number_; }
    uint64_t written_number() const { return written_number_; }
    bool idle() const { return run_count_ == 0 && first_ == sealed_ && !sync_op_.under_way(); }
    /// Serial of the oldest run that is not durable: its entry in the run index is still needed.
    uint64_t durable_serial() const { return durable_serial_; }
    const Histogram& write_latency_ns() const { return write_latency_ns_; }
    const Histogram& sync_latency_ns() const { return sync_latency_ns_; }

  private:
    static constexpr uint64_t kNoRun = UINT64_MAX;
    struct Commit {
        uint64_t number = 0;
        uint64_t start = 0;
        uint64_t end = 0;
        uint64_t serial_end = 0;  // Behind its last run in the run index.
        Segment* segment = nullptr;
        bool written = false;
        DeviceOp op;
    };
    Commit& at(uint64_t counter) { return commits_[counter % kCommitQueueMax]; }
    const Commit& at(uint64_t counter) const { return commits_[counter % kCommitQueueMax]; }
    uint64_t place_open() const;
    uint64_t oldest_needed() const;
    void submit_write(Commit& commit);
    void write_done(DeviceOp& op, uint64_t now_ns);
    void sync_written();
    void durable_up_to(uint64_t target);

    Context& context_;
    Window& window_;
    RunIndex& runs_;
    ShardTable& shards_;
    Segment* segment_ = nullptr;

    // The open commit.
    uint64_t start_ = 0;
    uint64_t end_ = 0;
    uint64_t run_position_ = kNoRun;
    uint32_t run_count_ = 0;
    uint32_t runs_crc_ = 0;

    // Sealed commits, as counters that rise for ever: first_ <= written_ <= submitted_ <= sealed_.
    std::array<Commit, kCommitQueueMax> commits_;
    uint64_t first_ = 0;
    uint64_t written_ = 0;
    uint64_t submitted_ = 0;
    uint64_t sealed_ = 0;
    uint64_t tail_ = 0;  // Position behind the last sealed commit.
    ChainEnd chain_;

    DeviceOp sync_op_;
    uint64_t sync_target_ = 0;
    uint64_t sync_counter_ = 0;
    uint64_t durable_number_ = 0;
    uint64_t written_number_ = 0;
    uint64_t durable_serial_ = 1;
    Histogram write_latency_ns_;
    Histogram sync_latency_ns_;
};

}  // namespace eagre::journal
