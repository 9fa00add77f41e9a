// The hot path: nothing here allocates or blocks, but for a change of segment.
#include <algorithm>

#include "dataplane/journal/journal_core.h"
#include "wire/base/assert.h"

namespace eagre::journal {
namespace {

// Of the live segment, while no other is ready: hundreds of horizons and deletions.
constexpr uint64_t kFactReserveBytes = 256 * 1024;

}  // namespace

// Room is kept for the footer that the segment would need if so many more runs of new shards and new
// producers came.
bool JournalCore::fits_segment(uint64_t run_bytes, uint32_t run_count) const {
    const FooterCounts counts{uint64_t{shards_.count()} + run_count, uint64_t{extents_.count()} + run_count,
                              uint64_t{producers_.count()} + run_count};
    const uint64_t end = align_up(writer_.end_offset() + run_bytes, kPageBytes) + kPageBytes;
    return end + counts.bytes() + kPageBytes <= context_.options.segment_bytes && (run_count == 1 ? !extents_.full() : extents_.capacity() - extents_.count() >= run_count);
}

Result<std::span<std::byte>> JournalCore::begin_run(uint32_t stored_bytes) {
    return begin(stored_bytes, SegmentPool::For::kRecords);
}

Result<std::span<std::byte>> JournalCore::begin(uint64_t stored_bytes, SegmentPool::For purpose, uint32_t run_count) {
    EAGRE_ASSERT_EQ(stored_bytes % 8, 0U);
    EAGRE_ASSERT_GT(stored_bytes, 0U);
    if (context_.failed() || closed_) return Errc::kJournalFailed;
    if (stored_bytes > run_bytes_max_) return error_of(Errc::kRecordTooLarge, run_bytes_max_);
    if (runs_.next_serial() + run_count - 1 - writer_.durable_serial() >= runs_.capacity()) return Errc::kBusy;
    // While no segment is ready, what is left of this one may be all there is for the facts that make room again.
    uint64_t kept_bytes = 0;
    if (purpose == SegmentPool::For::kRecords && pool_.ready_count() == 0) {
        if (pool_.disk_full()) return pool_.full_code();
        const bool empty = !writer_.open_has_runs() && writer_.sealed_end_offset() == kSegmentDataOffset;
        if (!empty) kept_bytes = std::min(kFactReserveBytes, context_.options.segment_bytes / 16);
    }
    if (!fits_segment(sizeof(RunHeader) + stored_bytes + kept_bytes, run_count)) {
        if (auto status = rotate(purpose); !status) return status.error();
        if (!fits_segment(sizeof(RunHeader) + stored_bytes, run_count))
            return error_of(Errc::kRecordTooLarge, run_bytes_max_);
    }
    const auto bytes = writer_.reserve(static_cast<uint32_t>(stored_bytes));
    if (bytes.empty()) return Errc::kBusy;
    return bytes;
}

Status JournalCore::begin_group(uint32_t run_count, uint64_t stored_bytes) {
    EAGRE_ASSERT_GT(run_count, 0U);
    const uint64_t whole_bytes = stored_bytes + run_count * sizeof(RunHeader);
    EAGRE_ASSERT_LE(run_count, kGroupRunCountMax);
    EAGRE_ASSERT(run_count == 1 || stored_bytes <= group_bytes_max());
    const auto room = begin(whole_bytes - sizeof(RunHeader), SegmentPool::For::kRecords, run_count);
    if (!room) return room.error();
    writer_.abandon();
    return {};
}

uint64_t JournalCore::group_bytes_max() const { return context_.options.commit_bytes_max / 2; }

void JournalCore::abandon_run() {
    EAGRE_ASSERT(writer_.run_open());
    writer_.abandon();
}

CommitNumber JournalCore::finish_run(const RunHeader& header) {
    ShardState* state = shards_.find(header.shard);
    EAGRE_ASSERT(state != nullptr);  // A shard is opened by a fact.
    EAGRE_ASSERT_GE(header.first_sequence, state->appended_next);
    EAGRE_ASSERT_GE(header.arrival_ns, state->last_arrival_ns);
    EAGRE_ASSERT_GT(header.record_count, 0U);
    EAGRE_ASSERT_EQ(header.flags & kRunFlagSystem, 0);
    RunHeader sealed = header;
    seal(sealed);
    EAGRE_VERIFY_SLOW(crc32c({window_.at(writer_.run_position()) + sizeof(RunHeader),
                              header.stored_bytes}) == header.payload_crc);
    add_run(sealed, *state);
    state->appended_next = header.first_sequence + header.record_count;
    state->last_arrival_ns = header.arrival_ns;
    context_.stats.payload_bytes += header.stored_bytes;
    return CommitNumber{writer_.open_number()};
}

void JournalCore::add_run(const RunHeader& header, ShardState& state) {
    extents_.add({state.slot, static_cast<uint32_t>(sizeof(RunHeader) + header.stored_bytes),
                  writer_.run_offset(), header.first_sequence, header.arrival_ns,
                  header.record_count});
    if (state.segment_first_sequence == 0) state.segment_first_sequence = header.first_sequence;
    if (state.usage == nullptr) attach_usage(state);
    if (state.usage != nullptr) state.usage->add(header.arrival_ns, sizeof(RunHeader) + header.stored_bytes);
    state.last_serial =
        runs_.add({writer_.run_position(), header.first_sequence, header.record_count, state.slot},
                  state.last_serial);
    writer_.take(header);
    ++context_.stats.run_count;
}

SegmentSealer::End JournalCore::segment_end(uint32_t flags) const {
    const ChainEnd end = writer_.chain_end();
    return {writer_.sealed_end_offset(), end.commit_number, end.commit_crc, flags};
}

void JournalCore::reset_live_index() {
    for (uint32_t i = 0; i < extents_.count(); ++i) {
        shards_.at_slot(extents_.at(i).shard_slot).segment_first_sequence = 0;
    }
    extents_.reset();
}

// Leaves the full segment for the next one. Its footer is a snapshot of this moment; header and
// footer are written while the first commits of the new segment gather.
Status JournalCore::rotate(SegmentPool::For purpose) {
    if (sealer_.busy() || !writer_.can_seal()) return Errc::kBusy;
    Segment& full = writer_.segment();
    if (!writer_.open_has_runs() && writer_.sealed_end_offset() == kSegmentDataOffset)
        return Errc::kRecordTooLarge;
    if (!full.header_written) return Errc::kBusy;
    Segment* next = pool_.take_ready(purpose);
    if (next == nullptr) return pool_.disk_full() ? pool_.full_code() : Errc::kBusy;
    full.usage_noted = true;
    if (writer_.open_has_runs()) writer_.seal_open();
    const SegmentSealer::End end = segment_end(0);
    sealer_.begin(full, end, footer_source());
    reset_live_index();

    SegmentHeader& header = next->header;
    header = full.header;
    header.kind = SegmentKind::kNormal;
    header.segment_number = full.number() + 1;
    header.nonce = next_nonce(full.header.nonce, header.incarnation, header.segment_number);
    header.predecessor = {full.number(),     full.header.incarnation, end.end_bytes,
                          end.commit_number, end.commit_crc,          0};
    seal(header);
    next->state = Segment::State::kLive;
    next->retention_due_ns = 0;
    next->dying = false;
    pool_.write_header(*next);
    writer_.move_to(*next, writer_.chain_end(), kSegmentDataOffset);
    chain_.append(*next);
    return {};
}

void JournalCore::poll(uint64_t now_ns) {
    context_.now_ns = now_ns;
    context_.device.reap(now_ns);
    writer_.advance();
    sealer_.poll(writer_.durable_number());
    retention_.poll(*this, writer_.durable_number());
    if (!closed_) {
        const uint64_t incarnation = report_.incarnation;  // 0 while recovery is at work.
        if (incarnation != 0)
            cleaner_.poll({now_ns, incarnation, writer_.durable_number(), last_commit(), !writer_.idle()});
        pool_.poll(now_ns, writer_.full_load());
    }
    context_.stats.segments_live = chain_.segments().size();
}

}  // namespace eagre::journal
