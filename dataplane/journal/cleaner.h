#pragma once
// The cleaner: moves the little that is alive out of mostly dead segments. Sources that lie one behind the other in the chain
// are copied, run by run, into one relocated segment that takes their place; the beginning of one more may fill it up.
//
//   plan -> for each source: map what is alive, copy -> footer -> trailer -> wait until all that made runs dead is durable
//        -> sync -> header -> sync -> the target takes the sources' place -> a source is recycled when nobody reads it
//
// Until the header is durable the target is a slot that is ready, and a crash leaves the sources; from then on they are
// replaced, wherever they still lie. One operation is under way at a time, of at most 256 KiB, at a bounded rate, and with a
// pause after each while commits wait. All memory is taken at start.

#include <cstdint>
#include <vector>

#include "dataplane/io/memory.h"
#include "dataplane/journal/alive_map.h"
#include "dataplane/journal/clean_plan.h"
#include "dataplane/journal/context.h"
#include "dataplane/journal/facts.h"
#include "dataplane/journal/relocation_target.h"
#include "dataplane/journal/retention.h"
#include "dataplane/journal/segment_chain.h"

namespace eagre::journal {

class Cleaner final : public OpOwner {
  public:
    Cleaner(Context& context, ShardTable& shards, SegmentChain& chain, SegmentPool& pool,
            Retention& retention, uint32_t extent_count_max);
    static constexpr size_t kOpCount = 1;
    /// Errors: kIo (memory).
    Status start();

    struct Turn {
        uint64_t now_ns;
        uint64_t incarnation;
        uint64_t durable_number;
        uint64_t last_commit;  // With the last run appended.
        bool commits_wait;     // Producers wait for the device.
    };
    /// Goes on as far as the device, the rate and the pause allow.
    void poll(const Turn& turn);
    /// When poll() has something to do though nothing arrives; UINT64_MAX: never.
    uint64_t next_timer_ns() const { return wake_ns_; }
    void on_done(DeviceOp& op, uint64_t now_ns) override;
    /// Operations under way.
    size_t in_flight() const { return op_.under_way() ? 1 : 0; }

  private:
    enum class Stage : uint8_t {
        kIdle,
        kMap,          // Directory and extents of a source are gone over.
        kCopy,
        kFooter,
        kTrailer,
        kDurable,      // Commits that say that something is dead are not durable yet.
        kSync,
        kHeader,
        kHeaderSync,
    };
    enum class Outcome : uint8_t { kMore, kWait };

    // cleaner.cc: what is done when.
    void recycle_replaced();
    void earn(uint64_t now_ns);
    bool may_submit(const Turn& turn, uint64_t bytes);
    void submit(io::StorageOp::Kind kind, Segment& segment, const Turn& turn);
    bool take_result();
    Outcome step(const Turn& turn);
    Outcome plan(const Turn& turn);
    Outcome write_due(const Turn& turn);
    Outcome sync(const Turn& turn);
    Outcome make_footer(const Turn& turn);
    void end_copies(uint64_t last_commit);
    Relocation relocation() const;
    void activate();
    void give_up();
    void unpin();
    size_t index_of(const Segment& segment) const;
    size_t movable_end() const;

    // cleaner_copy.cc: from the sources into the target.
    bool begin_source(size_t index);
    Outcome map_source();
    Status map_item();
    Outcome copy(const Turn& turn);
    Outcome read(const Turn& turn);
    Outcome copy_bytes();
    Outcome take_item(const Turn& turn);
    Outcome source_done(uint64_t last_commit);
    Outcome source_cut(uint64_t last_commit);
    Outcome damaged(bool index_damaged);
    bool alive(const RunHeader& header, uint32_t& slot) const;

    Context& context_;
    ShardTable& shards_;
    SegmentChain& chain_;
    SegmentPool& pool_;
    Retention& retention_;
    RelocationTarget target_;
    AliveMap map_;
    io::AlignedBuffer input_;
    DeviceOp op_;
    Stage stage_ = Stage::kIdle;
    bool result_due_ = false;

    uint64_t credit_bytes_ = 0;
    uint64_t credit_ns_ = 0;
    uint64_t submitted_ns_ = 0;
    uint64_t wake_ns_ = UINT64_MAX;
    uint64_t passes_seen_ = 0;
    uint64_t plan_ns_ = 0;     // No plan is made before.
    bool plan_due_ = false;
    uint64_t serial_ = 0;

    Segment* spare_ = nullptr;  // A ready segment kept in hand, so that a full disk can be cleaned.
    Segment* first_ = nullptr;  // Of the sources.
    size_t planned_count_ = 0;
    size_t pinned_count_ = 0;   // Sources that have been begun.
    size_t source_count_ = 0;   // Whole ones that have been copied.
    Segment* current_ = nullptr;
    Segment* rest_ = nullptr;   // Copied in part, up to rest_offset_.
    uint64_t rest_offset_ = 0;
    uint64_t dead_commit_ = 0;  // What was taken for dead is so by commits up to this one.

    // The source under way.
    uint32_t entry_index_ = 0;
    uint32_t extent_index_ = 0;  // Of the entry, while its extents are gone over.
    uint32_t extent_end_ = 0;
    uint64_t extent_horizon_ = 0;
    uint64_t at_ = 0;            // Offset of what is looked at next.
    AliveMap::Stretch stretch_;
    uint64_t input_begin_ = 0;   // Offsets of what is in the buffer.
    uint64_t input_end_ = 0;
    uint64_t run_left_ = 0;      // Stored bytes of the run under way that have not been copied.
    uint32_t run_crc_ = 0;
    uint32_t run_crc_said_ = 0;
    uint64_t copied_before_ = 0;  // By the target, when this source was begun.

    std::vector<Segment*> replaced_;  // Out of the chain, still read by somebody.
};

}  // namespace eagre::journal
