// Opening the segment of a new incarnation.
#include <algorithm>

#include "dataplane/journal/recovery.h"
#include "wire/base/assert.h"

namespace eagre::journal {
namespace {

constexpr uint32_t kPumpStepsMax = 1'000'000;
constexpr uint64_t kMergePart = 8;

}  // namespace

template <class Done>
bool Recovery::pump(Done done) {
    for (uint32_t step = 0; !done(); ++step) {
        if (core_.context_.failed() || step == kPumpStepsMax) return false;
        core_.poll(core_.context_.device.now_ns());
        if (!done()) core_.context_.device.wait();
    }
    return !core_.context_.failed();
}

Status Recovery::reopen() {
    // Nothing is answered from bytes that a loss of power could still take away.
    for (const io::FileId file : scanned_files_) {
        if (auto synced = sync(file); !synced) return synced;
    }
    Segment* tail = links_.empty() ? nullptr : links_.back().segment;
    const bool tail_open = tail != nullptr && !links_.back().trailer_good;
    if (tail_open)
        merge_ =
            end_bytes_ - kSegmentDataOffset < core_.context_.options.segment_bytes / kMergePart;
    const bool mutant = core_.context_.options.mutants.append_to_old_tail && tail_open;
    if (mutant) merge_ = false;

    for (auto& owned : found_) {
        Segment& segment = core_.pool_.adopt(std::move(owned));
        // Late writes of who died may still come: such a file is not used a second time.
        segment.retire_file =
            !clean_ && std::count(scanned_files_.begin(), scanned_files_.end(), segment.file) > 0;
    }
    for (Segment* stray : strays_) core_.pool_.remove(*stray);
    const bool fresh = !clean_ || merge_;
    if (fresh) {
        // Whoever died may still be writing to them.
        for (Segment* ready : ready_) core_.pool_.remove(*ready);
    }
    for (const Link& link : links_) {
        if (merge_ && link.segment == tail) continue;
        if (link.segment->durable_end == 0)
            link.segment->durable_end = link.segment->header.segment_bytes - kPageBytes;
        if (!mutant || link.segment != tail) core_.chain_.append(*link.segment);
    }
    if (mutant) return reopen_old_tail();

    Segment* segment = nullptr;
    if (auto taken = take_segment(segment, fresh); !taken) return taken;
    SegmentHeader& header = segment->header;
    header = SegmentHeader{};
    header.box_id_high = core_.context_.options.box_id_high;
    header.box_id_low = core_.context_.options.box_id_low;
    header.journal_id = core_.context_.options.id.value;
    header.kind = SegmentKind::kNormal;
    header.incarnation = incarnation_max_ + 1;
    header.segment_bytes = core_.context_.options.segment_bytes;
    header.block_bytes = core_.context_.block_bytes;
    header.segment_number = 1;
    ChainEnd chain = chain_end_;
    if (tail != nullptr && merge_) {
        // The old tail falls out of the chain: same number, later incarnation, its own predecessor.
        header.segment_number = tail->number();
        header.predecessor = tail->header.predecessor;
        chain = {header.predecessor.commit_number, header.predecessor.commit_crc};
    } else if (tail != nullptr) {
        header.segment_number = last_number(tail->header) + 1;
        header.predecessor = {last_number(tail->header),      tail->header.incarnation, end_bytes_,
                              chain.commit_number, chain.commit_crc,         0};
    }
    const uint64_t root = tail != nullptr ? tail->header.nonce : core_.context_.device.seed();
    header.nonce = next_nonce(root, header.incarnation, header.segment_number);
    seal(header);
    segment->state = Segment::State::kLive;
    core_.writer_.move_to(*segment, chain, kSegmentDataOffset);

    if (merge_) {
        if (auto moved = move_tail_runs(*segment); !moved) return moved;
        // A journal may stay idle from here on: no later commit would tell rot in what was moved from a tear.
        header.durable_mark = core_.writer_.chain_end().commit_number;
        seal(header);
    }
    core_.pool_.write_header(*segment);
    if (!pump([&] { return segment->header_written; })) return Errc::kIo;
    if (auto synced = sync(segment->file); !synced) return synced;
    core_.context_.stats.journal_bytes += kPageBytes;

    if (merge_) {
        core_.pool_.remove(*tail);
    } else if (tail_open) {
        if (auto written = write_footer(*tail, end_bytes_); !written) return written;
    }
    if (!merge_) core_.reset_live_index();
    core_.chain_.append(*segment);
    fill_report();
    return {};
}

// For tests only: what DESIGN forbids.
Status Recovery::reopen_old_tail() {
    Segment& tail = *links_.back().segment;
    tail.state = Segment::State::kLive;
    tail.header_written = true;
    core_.writer_.move_to(tail, chain_end_, align_up(end_bytes_, core_.context_.block_bytes));
    core_.chain_.append(tail);
    fill_report();
    return {};
}

Status Recovery::take_segment(Segment*& segment, bool fresh) {
    EAGRE_ASSERT(!fresh || core_.pool_.ready_count() == 0);
    const bool ready = pump([&] {
        if (segment == nullptr) segment = core_.pool_.take_ready(SegmentPool::For::kFacts);
        return segment != nullptr || core_.pool_.disk_full();
    });
    if (segment != nullptr) return {};
    return ready ? Errc::kDiskFull : Errc::kIo;
}

Status Recovery::move_tail_runs(Segment& segment) {
    core_.reset_live_index();
    // The header comes last: until it is durable the old tail is the one that counts.
    segment.header_written = true;
    for (const uint64_t offset : run_offsets_) {
        const auto header = load<RunHeader>(image_.data() + offset);
        std::span<std::byte> target;
        const bool room = pump([&] {
            if (!target.empty()) return true;
            if (core_.runs_.next_serial() - core_.writer_.durable_serial() >=
                core_.runs_.capacity())
                return false;
            target = core_.writer_.reserve(header.stored_bytes);
            return !target.empty();
        });
        if (!room) return Errc::kIo;
        std::memcpy(target.data(), image_.data() + offset + sizeof(RunHeader), header.stored_bytes);
        // A run that has rotted goes along, for its sequence numbers are taken; no index knows it, so that memory, which is served
        // without a second look, tells of a hole.
        const bool rotten = !core_.context_.options.mutants.ignore_run_crc &&
                            crc32c({target.data(), header.stored_bytes}) != header.payload_crc;
        if ((header.flags & kRunFlagSystem) != 0 || rotten) {
            core_.writer_.take(header);
        } else {
            ShardState* state = core_.shards_.find(header.shard);
            EAGRE_ASSERT(state != nullptr);
            core_.add_run(header, *state);
        }
    }
    if (!pump([&] { return core_.writer_.idle(); })) return Errc::kIo;
    for (uint32_t slot = 0; slot < core_.shards_.slot_count(); ++slot) {
        if (!core_.shards_.used(slot)) continue;
        ShardState& state = core_.shards_.at_slot(slot);
        state.durable_next = state.appended_next;
    }
    return {};
}

bool Recovery::footer_fits(const Segment& segment, uint64_t end_bytes) {
    const FooterCounts counts{core_.shards_.count(), core_.extents_.count(),
                              core_.producers_.count()};
    return align_up(end_bytes, kPageBytes) + counts.bytes() + kPageBytes <=
           segment.header.segment_bytes;
}

// A segment whose footer does not fit (its bounds were other ones once) stays without: readers walk
// it, and the next recovery reads it again.
Status Recovery::write_footer(Segment& segment, uint64_t end_bytes) {
    segment.durable_end = end_bytes;
    if (!footer_fits(segment, end_bytes)) {
        segment.state = Segment::State::kUnindexed;
        return {};
    }
    core_.sealer_.begin(segment, {end_bytes, chain_end_.commit_number, chain_end_.commit_crc, 0},
                        core_.footer_source());
    for (uint32_t step = 0; core_.sealer_.busy(); ++step) {
        if (core_.context_.failed() || step == kPumpStepsMax) return Errc::kIo;
        core_.sealer_.poll(UINT64_MAX);
        core_.context_.device.wait();
    }
    return {};
}

void Recovery::fill_report() {
    RecoveryReport& report = core_.report_;
    JournalStats& stats = core_.context_.stats;
    report.incarnation = core_.writer_.segment().header.incarnation;
    report.shard_id_max = core_.shards_.shard_id_max;
    report.stream_id_max = core_.shards_.stream_id_max;
    for (const Segment* segment : core_.chain_.segments()) {
        if (segment->state == Segment::State::kSealed) ++report.sealed_segment_count;
    }
    for (const uint32_t slot : core_.shards_.sorted()) {
        ShardState& state = core_.shards_.at_slot(slot);
        core_.attach_usage(state);
        ShardFacts facts = state.facts;
        facts.next_sequence = SequenceNumber{state.durable_next};
        facts.last_arrival_ns = state.last_arrival_ns;
        report.last_arrival_ns = std::max(report.last_arrival_ns, state.last_arrival_ns);
        core_.recovered_shards_.push_back(std::move(facts));
    }
    for (uint32_t i = 0; i < core_.producers_.count(); ++i) {
        core_.recovered_producers_.push_back(core_.producers_.at(i));
    }
    const uint64_t device_written_bytes = stats.device_written_bytes;
    const uint64_t device_read_bytes = stats.device_read_bytes;
    stats = JournalStats{};
    stats.device_written_bytes = device_written_bytes;
    stats.device_read_bytes = device_read_bytes + report.scanned_bytes;
    stats.damaged_run_count = report.damaged_run_count;
    stats.segments_live = core_.chain_.segments().size();
    stats.segments_ready = core_.pool_.ready_count();
}

}  // namespace eagre::journal
