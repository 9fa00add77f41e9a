#pragma once
// The files of a journal: made ahead, filled with zeros once, used as segments, recycled. A file
// never changes its name; its header says what it holds.
//
// A file that a dead process may still be writing to is removed, never used again in place: its
// late writes then go to an inode that nobody reads.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/io/memory.h"
#include "dataplane/journal/context.h"
#include "dataplane/journal/segment_format.h"

namespace eagre::journal {

struct Segment {
    static constexpr uint64_t kAliveUnknown = UINT64_MAX;
    enum class State : uint8_t {
        kPreparing,  // Being zeroed, or its header being marked ready.
        kReady,
        kLive,     // Commits go here.
        kSealing,  // Its footer is being written; the pages are still in memory.
        kSealed,
        kUnindexed,  // Full, but its footer cannot be read: readers walk it from end to end.
    };
    std::string path;
    io::FileId file;
    State state = State::kPreparing;
    bool retire_file = false;     // Remove the file when it is recycled.
    bool header_written = false;  // Live: a sync submitted from now on covers the header.
    bool dying = false;           // Nothing in it is alive once commit `dying_commit` is durable.
    bool unmovable = false;       // The cleaner found damage in it: it stays until all of it is dead.
    bool usage_noted = false;     // What it holds has been counted (StreamUsage).
    uint32_t pins = 0;            // Reads under way, and the cleaner's work.
    uint64_t dying_commit = 0;
    uint64_t retention_due_ns = 0;  // Retention has nothing to do here before.
    SegmentHeader header;
    Trailer trailer;             // Sealing and sealed.
    uint64_t position_base = 0;  // Live: window position of offset 0.
    uint64_t durable_end = 0;    // Offset behind the last durable commit.
    uint64_t alive_bytes = kAliveUnknown;  // Sealed: of runs above a horizon, as retention last saw it.
    uint64_t dies_ns = UINT64_MAX;  // Retention will have taken all of it then, as far as is known.
    uint64_t rest_offset = 0;    // What lies before is in the relocated segment before it, too.
    uint64_t number() const { return header.segment_number; }
};

/// With so many segments ready, zeroing more waits while records come: every zero written then is a record that is not.
inline constexpr size_t kReadyEnough = 2;
/// No commit for so long: nobody is disturbed by zeroing at the configured rate.
inline constexpr uint64_t kQuietNs = 10'000'000;

/// More ready segments than are kept ahead, by this: they go on being used again. What is ready beyond that for a while is
/// removed, one file at a time: removing one blocks the core for a millisecond.
inline constexpr size_t kReadySpare = 2;
inline constexpr uint64_t kSurplusNs = 5'000'000'000;
inline constexpr uint64_t kRemovePauseNs = 1'000'000'000;
inline constexpr uint64_t kRemovePauseQuietNs = 20'000'000;

class SegmentPool final : public OpOwner {
  public:
    explicit SegmentPool(Context& context);
    ~SegmentPool() override;
    /// Errors: kIo (memory).
    Status start();
    static constexpr size_t kOpCount = 8;

    /// Adopts a file found at start.
    Segment& adopt(std::unique_ptr<Segment> segment);
    /// Removes a segment's file and forgets it. Blocking; start-up, or once in the life of a
    /// recovered tail.
    void remove(Segment& segment);
    /// Makes new names start behind every name that was there at start.
    void reserve_names(uint32_t next_file) { next_file_ = next_file; }

    /// Recovery is done: from now on the reserve of the disk is not touched.
    void opened() { opening_ = false; }
    enum class For : uint8_t { kRecords, kFacts };
    /// A segment that is ready, or null: then a producer waits, and preparing knows no rate. Records don't get the last one, as
    /// long as it is not certain that another can be made.
    Segment* take_ready(For purpose);
    bool disk_full() const { return context_.stats.disk_full; }
    /// Why no segment can be made: kDiskFull or kStoreFull.
    Errc full_code() const { return full_code_; }
    /// Records wait, or will soon, and nothing that could become ready is left.
    bool short_of_room() const { return disk_full() && job_ == nullptr && recycled_.empty() && ready_.size() < kReadyEnough; }
    size_t ready_count() const { return ready_.size(); }
    /// A ready segment for the cleaner, which leaves kReadyEnough for producers and facts; null: none now, and one more is made.
    Segment* take_spare();
    /// Nothing in it is needed: it becomes ready again.
    void recycle(Segment& segment);
    /// Submits the header of a segment that goes live; `header_written` is set when it has been
    /// reaped.
    void write_header(Segment& segment);

    /// `full_load`: commits fill up.
    void poll(uint64_t now_ns, bool full_load);
    /// When poll() will have something to do though nothing arrives; UINT64_MAX: never.
    uint64_t next_timer_ns() const;
    void on_done(DeviceOp& op, uint64_t now_ns) override;
    const std::vector<std::unique_ptr<Segment>>& all() const { return segments_; }
    /// True when something is being prepared.
    bool preparing() const { return job_ != nullptr; }

  private:
    enum class Stage : uint8_t { kIdle, kZero, kZeroSync, kMark, kMarkSync };
    void begin_job(uint64_t now_ns);
    bool create_file(uint64_t now_ns);
    void earn(uint64_t now_ns);
    void zero_more(bool full_load);
    bool quiet(uint64_t now_ns) const { return now_ns - last_commit_ns_ >= kQuietNs; }
    /// While records come: one more when the cleaner waits for its spare.
    size_t enough() const { return kReadyEnough + (spare_wanted_ ? 1 : 0); }
    void shrink(uint64_t now_ns);
    bool hurried() const { return wanted_ && ready_.size() < kReadyEnough; }
    size_t ready_wanted() const { return std::max<size_t>(context_.options.ready_segment_count, kReadyEnough); }
    bool budget_allows() const;
    bool over_budget() const;
    void mark_ready();
    void sync_job(Stage stage);
    void drop_job(uint64_t now_ns);

    Context& context_;
    std::vector<std::unique_ptr<Segment>> segments_;
    std::vector<Segment*> ready_;
    std::vector<Segment*> recycled_;
    io::AlignedBuffer zeros_;
    io::AlignedBuffer header_page_;  // Of the live segment.
    io::AlignedBuffer mark_page_;    // Of the segment that is being made ready.
    DeviceOp zero_op_;  // One at a time and in order: the file system's map of the file then never splits into many extents.
    DeviceOp header_op_;
    DeviceOp job_op_;
    Segment* header_segment_ = nullptr;
    Segment* job_ = nullptr;
    Stage stage_ = Stage::kIdle;
    uint64_t zeroed_bytes_ = 0;  // Submitted.
    uint64_t zero_credit_bytes_ = 0;
    uint64_t credit_ns_ = 0;
    uint64_t commit_bytes_seen_ = 0;
    uint64_t last_commit_ns_ = 0;
    uint64_t retry_ns_ = 0;  // Disk full: not before.
    uint64_t surplus_ns_ = 0;  // Since then too many are ready.
    uint64_t removed_ns_ = 0;
    uint32_t next_file_ = 0;
    bool wanted_ = false;
    bool spare_wanted_ = false;
    bool opening_ = true;
    Errc full_code_ = Errc::kDiskFull;
    bool out_of_space_ = false;  // A zero write hit ENOSPC.
};

}  // namespace eagre::journal
