#pragma once
// The journal put together. Each part has its own file; this one says how they are connected and
// who calls whom.

#include <memory>
#include <vector>

#include "dataplane/journal/cleaner.h"
#include "dataplane/journal/commit_writer.h"
#include "dataplane/journal/extent_index.h"
#include "dataplane/journal/facts.h"
#include "dataplane/journal/measure.h"
#include "dataplane/journal/page_cache.h"
#include "dataplane/journal/producers.h"
#include "dataplane/journal/read_pool.h"
#include "dataplane/journal/reader.h"
#include "dataplane/journal/retention.h"
#include "dataplane/journal/run_index.h"
#include "dataplane/journal/segment_chain.h"
#include "dataplane/journal/segment_pool.h"
#include "dataplane/journal/segment_sealer.h"
#include "dataplane/journal/window.h"

namespace eagre::journal {

class JournalCore final : public Journal {
  public:
    JournalCore(io::Io& io, const JournalOptions& options, io::MirroredBuffer ring);
    ~JournalCore() override;
    Status start();

    const RecoveryReport& recovery() const override { return report_; }
    std::span<const ShardFacts> recovered_shards() const override { return recovered_shards_; }
    std::span<const ProducerFacts> recovered_producers() const override {
        return recovered_producers_;
    }
    void release_recovered() override;

    Result<std::span<std::byte>> begin_run(uint32_t stored_bytes) override;
    CommitNumber finish_run(const RunHeader& header) override;
    void abandon_run() override;
    Status begin_group(uint32_t run_count, uint64_t stored_bytes) override;
    uint64_t group_bytes_max() const override;
    Result<CommitNumber> append_fact(const ShardFacts& facts) override;
    Status remember_producer(const ProducerFacts& facts) override;

    void poll(uint64_t now_ns) override;
    CommitNumber durable() const override { return CommitNumber{writer_.durable_number()}; }
    CommitNumber written() const override { return CommitNumber{writer_.written_number()}; }
    CommitNumber open_commit() const override { return CommitNumber{writer_.open_number()}; }
    uint64_t next_timer_ns() const override {
        return closed_ ? UINT64_MAX : std::min(pool_.next_timer_ns(), cleaner_.next_timer_ns());
    }
    bool busy() const override {
        // The cleaner is nobody's concern: it may be at work for long, and can be stopped at any moment.
        return !writer_.idle() || sealer_.busy() || context_.device.in_flight() > cleaner_.in_flight();
    }
    bool failed() const override { return context_.failed(); }

    Result<std::unique_ptr<ShardReader>> open_reader(ShardId shard, SequenceNumber from) override;
    Result<SequenceNumber> locate_time(ShardId shard, uint64_t arrival_ns) override;
    Result<Unread> measure(ShardId shard, SequenceNumber from) override;
    SequenceNumber durable_tail(ShardId shard) const override;
    SequenceNumber trim_horizon(ShardId shard) const override;

    void retain(uint64_t retention_now_ns) override;
    uint64_t stored_bytes(StreamId stream) const override;
    void limit_stream(StreamId stream, uint64_t bytes) override;
    Status close() override;

    const JournalStats& stats() const override { return context_.stats; }
    const Histogram& write_latency_ns() const override { return writer_.write_latency_ns(); }
    const Histogram& sync_latency_ns() const override { return writer_.sync_latency_ns(); }

    /// Journals that a shard's horizon rises; it takes effect when that is durable (retention's
    /// business).
    Result<CommitNumber> append_horizon(const ShardState& state, uint64_t horizon);
    /// The commit with the last run appended.
    uint64_t last_commit() const {
        return writer_.open_number() - (writer_.open_has_runs() ? 0 : 1);
    }

  private:
    friend class Recovery;
    static constexpr uint32_t kLocatorCount = 8;
    /// A search by time under way: the caller asks again until it is answered.
    struct Locator {
        uint64_t shard = 0;
        uint64_t arrival_ns = 0;
        uint64_t used = 0;
        std::unique_ptr<JournalReader> reader;
    };

    bool fits_segment(uint64_t run_bytes, uint32_t run_count = 1) const;
    Result<std::span<std::byte>> begin(uint64_t stored_bytes, SegmentPool::For purpose, uint32_t run_count = 1);
    Status rotate(SegmentPool::For purpose);
    void attach_usage(ShardState& state);
    void detach_usage(ShardState& state);
    void add_run(const RunHeader& header, ShardState& state);
    void reset_live_index();
    FooterSource footer_source() { return {shards_, producers_, extents_}; }
    SegmentSealer::End segment_end(uint32_t flags) const;
    Result<CommitNumber> append_system(const ShardFacts& facts, uint64_t arrival_ns);

    Context context_;
    Window window_;
    RunIndex runs_;
    ShardTable shards_;
    ProducerTable producers_;
    ExtentIndex extents_;
    SegmentPool pool_;
    SegmentSealer sealer_;
    PageCache pages_;
    SegmentChain chain_;
    CommitWriter writer_;
    ReadPool reads_;
    ReadSide read_side_;
    Measurer measurer_;
    Retention retention_;
    Cleaner cleaner_;

    uint32_t run_bytes_max_ = 0;
    bool closed_ = false;
    uint64_t locator_clock_ = 0;
    Locator locators_[kLocatorCount];
    RecoveryReport report_;
    std::vector<ShardFacts> recovered_shards_;
    std::vector<ProducerFacts> recovered_producers_;
};

}  // namespace eagre::journal
