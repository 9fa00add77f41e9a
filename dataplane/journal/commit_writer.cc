#include "dataplane/journal/commit_writer.h"

#include "wire/base/assert.h"

namespace eagre::journal {

CommitWriter::CommitWriter(Context& context, Window& window, RunIndex& runs, ShardTable& shards)
    : context_(context), window_(window), runs_(runs), shards_(shards) {}

void CommitWriter::move_to(Segment& segment, const ChainEnd& end, uint64_t offset_bytes) {
    EAGRE_ASSERT_EQ(run_count_, 0U);
    EAGRE_ASSERT(!run_open());
    EAGRE_ASSERT_EQ(offset_bytes % 8, 0U);
    // Position and offset agree modulo the page, and positions never fall.
    const uint64_t position = align_up(tail_, kPageBytes) + kPageBytes + offset_bytes % kPageBytes;
    segment.position_base = position - offset_bytes;
    segment.durable_end = offset_bytes;
    segment_ = &segment;
    tail_ = position;
    chain_ = end;
    if (first_ == sealed_) {
        durable_number_ = end.commit_number;
        written_number_ = end.commit_number;
    }
}

uint64_t CommitWriter::place_open() const {
    // The tail block may be written again only when no write of it can be under way.
    return first_ == sealed_ ? tail_ : align_up(tail_, context_.block_bytes);
}

uint64_t CommitWriter::oldest_needed() const {
    return align_down(first_ < sealed_ ? at(first_).start : start_, context_.block_bytes);
}

uint64_t CommitWriter::end_offset() const {
    const uint64_t end =
        run_count_ > 0 ? end_ : align_up(tail_, context_.block_bytes) + sizeof(CommitHeader);
    return end - segment_->position_base;
}

std::span<std::byte> CommitWriter::reserve(uint32_t stored_bytes) {
    EAGRE_ASSERT(!run_open());
    const uint64_t need = sizeof(RunHeader) + stored_bytes;
    if (run_count_ > 0 && end_ - start_ + need > context_.options.commit_bytes_max) {
        if (!can_seal()) return {};
        seal_open();
    }
    if (run_count_ == 0) {
        start_ = place_open();
        end_ = start_ + sizeof(CommitHeader);
    }
    const uint64_t limit = align_up(end_ + need, context_.block_bytes);
    if (limit - oldest_needed() > window_.bytes()) return {};
    window_.touch(limit);
    run_position_ = end_;
    return {window_.at(end_) + sizeof(RunHeader), stored_bytes};
}

void CommitWriter::take(const RunHeader& header) {
    EAGRE_ASSERT(run_open());
    std::memcpy(window_.at(run_position_), &header, sizeof(header));
    runs_crc_ = crc32c(std::as_bytes(std::span(&header, 1)), runs_crc_);
    end_ = run_position_ + sizeof(RunHeader) + header.stored_bytes;
    ++run_count_;
    run_position_ = kNoRun;
}

void CommitWriter::seal_open() {
    EAGRE_ASSERT(can_seal());
    EAGRE_ASSERT_GT(run_count_, 0U);
    EAGRE_ASSERT(!run_open());
    CommitHeader header;
    header.commit_bytes = static_cast<uint32_t>(end_ - start_);
    header.run_count = run_count_;
    header.number = chain_.commit_number + 1;
    header.incarnation = segment_->header.incarnation;
    header.segment_number = segment_->number();
    header.durable_mark = durable_number_;
    header.previous_crc = chain_.commit_crc;
    header.runs_crc = runs_crc_;
    header.nonce = segment_->header.nonce;
    seal(header);
    std::memcpy(window_.at(start_), &header, sizeof(header));
    const uint64_t block_end = align_up(end_, context_.block_bytes);
    std::memset(window_.at(end_), 0, block_end - end_);

    Commit& commit = at(sealed_++);
    commit.number = header.number;
    commit.start = start_;
    commit.end = end_;
    commit.serial_end = runs_.next_serial();
    commit.segment = segment_;
    commit.written = false;
    context_.stats.journal_bytes += end_ - tail_;
    ++context_.stats.commit_count;
    tail_ = end_;
    chain_ = {header.number, header.header_crc};
    run_count_ = 0;
    runs_crc_ = 0;
}

void CommitWriter::submit_write(Commit& commit) {
    const uint64_t from = align_down(commit.start, context_.block_bytes);
    const uint64_t to = align_up(commit.end, context_.block_bytes);
    commit.op.kind = io::StorageOp::Kind::kWrite;
    commit.op.file = commit.segment->file;
    commit.op.offset_bytes = from - commit.segment->position_base;
    commit.op.buffer = window_.at(from);
    commit.op.length_bytes = static_cast<uint32_t>(to - from);
    context_.stats.device_written_bytes += to - from;
    ++context_.stats.write_count;
    context_.device.submit(commit.op, this);
}

void CommitWriter::advance() {
    if (context_.failed()) return;
    if (run_count_ > 0 && !run_open() &&
        (first_ == sealed_ || (end_ - start_ >= context_.options.commit_bytes_max && can_seal()))) {
        seal_open();
    }
    while (submitted_ < sealed_ && submitted_ - first_ < context_.options.commits_in_flight_max) {
        submit_write(at(submitted_++));
    }
    sync_written();
}

void CommitWriter::sync_written() {
    if (sync_op_.under_way() || written_ == first_) return;
    Segment& segment = *at(first_).segment;
    if (!segment.header_written) return;
    sync_target_ = first_;
    while (sync_target_ < written_ && at(sync_target_).segment == &segment) ++sync_target_;
    if (context_.options.mutants.skip_one_sync && ++sync_counter_ % 8 == 0) {
        durable_up_to(sync_target_);
        return;
    }
    sync_op_.kind = io::StorageOp::Kind::kSync;
    sync_op_.file = segment.file;
    sync_op_.length_bytes = 0;
    ++context_.stats.sync_count;
    context_.device.submit(sync_op_, this);
}

void CommitWriter::durable_up_to(uint64_t target) {
    EAGRE_ASSERT_LE(target, written_);
    for (; first_ < target; ++first_) {
        const Commit& commit = at(first_);
        for (; durable_serial_ < commit.serial_end; ++durable_serial_) {
            const RunIndexEntry& run = runs_.at(durable_serial_);
            shards_.at_slot(run.shard_slot).durable_next = run.first_sequence + run.record_count;
        }
        commit.segment->durable_end = commit.end - commit.segment->position_base;
        EAGRE_ASSERT_EQ(commit.number, durable_number_ + 1);
        durable_number_ = commit.number;
    }
    EAGRE_ASSERT_LE(durable_number_, written_number_);
}

void CommitWriter::write_done(DeviceOp& op, uint64_t now_ns) {
    for (uint64_t i = first_; i < submitted_; ++i) {
        if (&at(i).op == &op) at(i).written = true;
    }
    write_latency_ns_.record(now_ns - op.submitted_ns);
    while (written_ < submitted_ && at(written_).written) written_number_ = at(written_++).number;
    if (context_.options.mutants.ack_before_sync) durable_up_to(written_);
}

void CommitWriter::on_done(DeviceOp& op, uint64_t now_ns) {
    if (op.result < 0 || !op.moved_all()) {
        context_.fail();
        return;
    }
    if (context_.failed()) return;
    if (&op == &sync_op_) {
        sync_latency_ns_.record(now_ns - op.submitted_ns);
        durable_up_to(std::max(first_, sync_target_));
    } else {
        write_done(op, now_ns);
    }
}

}  // namespace eagre::journal
