#pragma once
// Recovery: from what lies in the directory to a journal that serves. Blocking, once per open().
//
// 1. survey.   Read headers and trailers; order the segments that belong to the journal; drop what
// a later incarnation
//              has cut off.
// 2. replay.   State from the newest good footer, then the runs of the segments behind it. A commit
// that does not verify
//              is a tear (cut there) above every durable mark seen later, else damage (reported,
//              skipped).
// 3. reopen.   Sync what was read; a new segment under a new incarnation names predecessor, cut and
// CRC, durably; the old
//              tail gets its footer, or, when little is in it, its runs move into the new segment
//              instead.

#include <memory>
#include <string>
#include <vector>

#include "dataplane/io/memory.h"
#include "dataplane/journal/commit_scan.h"
#include "dataplane/journal/journal_core.h"

namespace eagre::journal {

class Recovery final : public OpOwner {
  public:
    static constexpr size_t kOpCount = 16;
    explicit Recovery(JournalCore& core) : core_(core) {}
    /// Errors: as Journal::open.
    Status run();
    void on_done(DeviceOp& op, uint64_t now_ns) override;

  private:
    struct Request {
        io::FileId file;
        uint64_t offset_bytes;
        std::byte* buffer;
        uint32_t length_bytes;
        bool ok = false;
    };
    /// A segment of the journal, oldest first in chain_.
    struct Link {
        Segment* segment = nullptr;
        bool trailer_good = false;
        uint64_t exact_end = 0;  // Known end of its commits; 0: not known.
    };

    // recovery_survey.cc
    Status survey();
    Status survey_file(const std::string& name);
    Status classify(std::unique_ptr<Segment> segment, const std::byte* head, const std::byte* tail);
    void order_links();
    // recovery_replay.cc
    Status replay();
    Result<size_t> load_base();
    bool load_footer_of(Link& link);
    Status replay_segment(size_t index);
    uint64_t in_flight_bytes_max() const;
    bool ends_as_successor_says(size_t index, uint64_t commit_number) const;
    Status take_run(const RunHeader& header, uint64_t offset_bytes, bool damaged);
    Status salvage(uint64_t from, uint64_t to);
    uint64_t durable_mark_behind(const CommitScan& scan, uint64_t offset_bytes, size_t index);
    bool load_image(const Segment& segment, io::AlignedBuffer& image, uint64_t end_bytes);
    // recovery_reopen.cc
    Status reopen();
    Status reopen_old_tail();
    Status take_segment(Segment*& segment, bool fresh);
    Status move_tail_runs(Segment& segment);
    Status write_footer(Segment& segment, uint64_t end_bytes);
    bool footer_fits(const Segment& segment, uint64_t end_bytes);
    void fill_report();

    // Blocking device access; up to kOpCount operations in flight.
    void transfer(std::vector<Request>& requests, io::StorageOp::Kind kind);
    Status sync(io::FileId file);
    template <class Done>
    bool pump(Done done);

    JournalCore& core_;
    DeviceOp ops_[kOpCount];
    std::vector<std::unique_ptr<Segment>> found_;
    std::vector<Segment*> strays_;  // Cut off, or never finished: their files go.
    std::vector<Segment*> ready_;
    std::vector<Link> links_;
    uint64_t incarnation_max_ = 0;
    uint32_t next_file_ = 0;
    bool interrupted_ = false;  // A file was left half made.
    bool clean_ = false;  // The last process closed the journal and nothing has been begun since.
    bool merge_ = false;  // The tail's runs move into the new segment.

    // The tail after replay.
    io::AlignedBuffer image_;
    Segment* image_segment_ = nullptr;
    std::vector<uint64_t> run_offsets_;  // Of image_segment_, in order.
    uint64_t end_bytes_ = kSegmentDataOffset;
    ChainEnd chain_end_;
    bool torn_ = false;
    std::vector<io::FileId> scanned_files_;
};

}  // namespace eagre::journal
