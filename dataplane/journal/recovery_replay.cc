// State: from the newest good footer, then run by run.
#include <algorithm>

#include "dataplane/journal/recovery.h"
#include "wire/base/assert.h"
#include "wire/base/limits.h"

namespace eagre::journal {
namespace {

// A tail with less than this part of a segment in it is moved rather than kept.
constexpr uint64_t kMergePart = 8;

}  // namespace

Status Recovery::replay() {
    if (clean_ && !links_.empty()) {
        const Link& tail = links_.back();
        merge_ =
            tail.exact_end - kSegmentDataOffset < core_.context_.options.segment_bytes / kMergePart;
    }
    const auto base = load_base();
    if (!base) return base.error();
    if (*base > 0) {
        const Segment& segment = *links_[*base - 1].segment;
        end_bytes_ = segment.trailer.end_bytes;
        chain_end_ = {segment.trailer.commit_number, segment.trailer.commit_crc};
    }
    for (size_t index = *base; index < links_.size() && !torn_; ++index) {
        if (auto status = replay_segment(index); !status) return status;
        if (torn_) {
            for (size_t i = index + 1; i < links_.size(); ++i) strays_.push_back(links_[i].segment);
            links_.resize(index + 1);
        }
    }
    for (uint32_t slot = 0; slot < core_.shards_.slot_count(); ++slot) {
        if (!core_.shards_.used(slot)) continue;
        ShardState& state = core_.shards_.at_slot(slot);
        state.durable_next = state.appended_next;
    }
    return {};
}

// Number of links up to and including the one whose footer the state was loaded from; 0: none.
Result<size_t> Recovery::load_base() {
    size_t index = links_.size();
    if (merge_) --index;  // The tail is replayed, so that its runs can be moved.
    for (; index > 0; --index) {
        Link& link = links_[index - 1];
        if (!link.trailer_good) continue;
        if (load_footer_of(link)) return index;
        if (core_.shards_.count() > 0) return Errc::kLimitExceeded;
        link.trailer_good = false;
        link.segment->state = Segment::State::kUnindexed;
        ++core_.report_.damaged_run_count;
    }
    // The first segment of all begins with nothing before it; any other would need what is gone.
    if (!links_.empty() && links_.front().segment->header.predecessor.segment_number != 0) {
        ++core_.report_.damaged_run_count;
    }
    return size_t{0};
}

bool Recovery::load_footer_of(Link& link) {
    const Segment& segment = *link.segment;
    const Trailer& trailer = segment.trailer;
    const FooterPlan plan{trailer};
    const uint64_t bytes = plan.page_count_all() * kPageBytes;
    auto pages = io::AlignedBuffer::create(std::max<uint64_t>(bytes, kPageBytes));
    if (!pages) return false;
    std::vector<Request> reads;
    for (uint64_t at = 0; at < bytes; at += kMiB) {
        reads.push_back({segment.file, trailer.footer_offset + at, pages->data() + at,
                         static_cast<uint32_t>(std::min<uint64_t>(kMiB, bytes - at))});
    }
    transfer(reads, io::StorageOp::Kind::kRead);
    if (!std::all_of(reads.begin(), reads.end(), [](const Request& read) { return read.ok; }))
        return false;
    for (const auto section : {FooterSection::kDirectory, FooterSection::kExtents,
                               FooterSection::kFacts, FooterSection::kProducers}) {
        for (uint32_t page = 0; page < plan.page_count(section); ++page) {
            const std::byte* at =
                pages->data() + (plan.page_offset(section, page) - trailer.footer_offset);
            if (!verify_page(at, {segment.number(), segment.header.incarnation, section, page}))
                return false;
        }
    }
    return load_footer({pages->data(), bytes}, trailer, core_.shards_, core_.producers_)
        .has_value();
}

bool Recovery::load_image(const Segment& segment, io::AlignedBuffer& image, uint64_t end_bytes) {
    if (image.bytes() == 0) {
        auto made = io::AlignedBuffer::create(core_.context_.options.segment_bytes);
        if (!made) return false;
        image = std::move(*made);
    }
    std::vector<Request> reads;
    const uint64_t end = align_up(end_bytes, kPageBytes);
    for (uint64_t at = kSegmentDataOffset; at < end; at += kMiB) {
        reads.push_back({segment.file, at, image.data() + at,
                         static_cast<uint32_t>(std::min<uint64_t>(kMiB, end - at))});
    }
    transfer(reads, io::StorageOp::Kind::kRead);
    for (const Request& read : reads) {
        if (!read.ok) std::memset(read.buffer, 0xFF, read.length_bytes);
    }
    if (!merge_ || !clean_) core_.report_.scanned_bytes += end - kSegmentDataOffset;
    return true;
}

// The next segment of the same process says that this one ends with the commit read last.
bool Recovery::ends_as_successor_says(size_t index, uint64_t commit_number) const {
    if (index + 1 >= links_.size()) return false;
    const Predecessor& said = links_[index + 1].segment->header.predecessor;
    return said.segment_number == links_[index].segment->number() &&
           said.commit_number == commit_number;
}

// No commit can have been under way farther behind the tear than the memory window is long.
uint64_t Recovery::in_flight_bytes_max() const {
    return 2 * core_.window_.bytes();
}

Status Recovery::replay_segment(size_t index) {
    Link& link = links_[index];
    Segment& segment = *link.segment;
    const bool exact = link.exact_end != 0;
    const uint64_t limit =
        exact ? link.exact_end : core_.context_.options.segment_bytes - kPageBytes;
    core_.reset_live_index();
    run_offsets_.clear();
    image_segment_ = &segment;
    scanned_files_.push_back(segment.file);
    if (!load_image(segment, image_, limit)) return Errc::kIo;
    const CommitScan scan(image_.span(), limit, segment.header,
                          !core_.context_.options.mutants.ignore_run_crc);

    const Predecessor& before = segment.header.predecessor;
    // A hole in the chain (damage): the segment's own word is all there is.
    chain_end_ = {before.commit_number, before.commit_crc};
    CommitExpected expected{before.commit_number + 1, before.commit_crc, true};
    uint64_t offset = kSegmentDataOffset;
    while (!exact || offset < limit) {
        ScannedCommit commit = scan.next(offset, expected);
        if (commit.verdict != ScannedCommit::Verdict::kGood) {
            if (!exact && ends_as_successor_says(index, expected.number - 1)) break;
            const uint64_t mark = exact ? UINT64_MAX : durable_mark_behind(scan, offset, index);
            if (mark < expected.number) {
                // A tear, or the end. What the same process wrote behind it was never acknowledged.
                ScannedCommit behind;
                const CommitScan near(image_.span(),
                                      std::min(limit, offset + in_flight_bytes_max()),
                                      segment.header, false);
                torn_ = near.find_header(offset, 0, behind) || index + 1 < links_.size();
                if (torn_) core_.report_.cut_bytes += limit - offset;
                break;
            }
            if (commit.verdict != ScannedCommit::Verdict::kBadPayload) {
                if (!scan.find_header(offset,
                                      commit.verdict == ScannedCommit::Verdict::kBadRuns
                                          ? expected.number
                                          : expected.number - 1,
                                      commit)) {
                    // Damage up to the end of what is known to have been durable.
                    ++core_.report_.damaged_run_count;
                    if (auto status = salvage(offset, limit); !status) return status;
                    offset = exact ? limit : offset;
                    if (!exact && index + 1 < links_.size())
                        offset = links_[index + 1].segment->header.predecessor.cut_bytes;
                    break;
                }
                ++core_.report_.damaged_run_count;
                if (auto status = salvage(offset, commit.offset_bytes); !status) return status;
                offset = commit.offset_bytes;
                if (commit.header.number > mark && commit.header.number - 1 > mark) {
                    torn_ = true;  // Between the last mark and this commit one is missing: a tear
                                   // behind the damage.
                    break;
                }
                expected = {commit.header.number, 0, false};
                continue;
            }
        }
        Status taken;
        scan.for_each_run(commit, [&](const RunHeader& run, uint64_t at, bool good) {
            if (taken) taken = take_run(run, at, !good);
        });
        if (!taken) return taken;
        ++core_.report_.commit_count;
        offset = commit.offset_bytes + commit.header.commit_bytes;
        chain_end_ = {commit.header.number, commit.header.header_crc};
        expected = {commit.header.number + 1, commit.header.header_crc, true};
    }
    end_bytes_ = offset;
    segment.durable_end = offset;
    if (exact) {
        // The chain goes on from what was recorded, whatever could be read.
        if (link.trailer_good || index + 1 == links_.size()) {
            chain_end_ = {segment.trailer.commit_number, segment.trailer.commit_crc};
        } else {
            const Predecessor& recorded = links_[index + 1].segment->header.predecessor;
            chain_end_ = {recorded.commit_number, recorded.commit_crc};
        }
    }
    // The footer is a snapshot of now: written before the state goes on. The last segment's waits
    // for the new header.
    if (index + 1 < links_.size() && !torn_) {
        // Its trailer vouches for every byte before the end: what the dead process wrote and did not sync must not be lost behind it.
        if (auto synced = sync(segment.file); !synced) return synced;
        if (auto status = write_footer(segment, end_bytes_); !status) return status;
    }
    return {};
}

uint64_t Recovery::durable_mark_behind(const CommitScan& scan, uint64_t offset_bytes,
                                       size_t index) {
    // What a relocated segment stands for was sealed, and all before it.
    for (size_t i = index + 1; i < links_.size(); ++i) {
        if (links_[i].segment->header.kind == SegmentKind::kRelocated) return UINT64_MAX;
    }
    uint64_t mark = std::max(scan.durable_mark_behind(offset_bytes), links_[index].segment->header.durable_mark);
    const uint64_t incarnation = links_[index].segment->header.incarnation;
    for (size_t i = index + 1;
         i < links_.size() && links_[i].segment->header.incarnation == incarnation; ++i) {
        const Segment& next = *links_[i].segment;
        io::AlignedBuffer image;
        const uint64_t limit = core_.context_.options.segment_bytes - kPageBytes;
        if (!load_image(next, image, limit)) continue;
        mark = std::max(mark, CommitScan(image.span(), limit, next.header, true)
                                  .durable_mark_behind(kSegmentDataOffset));
        // A segment is left only after the footer of the one before it: what lies two segments back
        // is durable.
        if (links_[i].trailer_good) mark = std::max(mark, next.trailer.commit_number);
    }
    return mark;
}

Status Recovery::take_run(const RunHeader& header, uint64_t offset_bytes, bool damaged) {
    if (damaged) ++core_.report_.damaged_run_count;
    run_offsets_.push_back(offset_bytes);
    const std::byte* payload = image_.data() + offset_bytes + sizeof(RunHeader);
    if ((header.flags & kRunFlagSystem) != 0) {
        if (damaged) return {};
        const auto facts = decode_fact({payload, header.stored_bytes});
        if (!facts) {
            ++core_.report_.damaged_run_count;
            return {};
        }
        ShardState* state = core_.shards_.take(facts->shard.value);
        if (state == nullptr) return error_of(Errc::kLimitExceeded, facts->shard.value);
        const bool died = facts->deleted && !state->facts.deleted;
        merge_facts(*state, *facts);
        state->last_arrival_ns = std::max(state->last_arrival_ns, header.arrival_ns);
        core_.shards_.note_ids(facts->shard.value, facts->stream.value);
        if (died) {
            state->deleted_segment = image_segment_->number();
            core_.producers_.drop_shard(facts->shard);
        }
        return {};
    }
    if (header.shard == 0 || header.record_count == 0) return {};
    ShardState* state = core_.shards_.take(header.shard);
    if (state == nullptr) return error_of(Errc::kLimitExceeded, header.shard);
    if (header.first_sequence < state->appended_next) {
        run_offsets_.pop_back();
        return {};
    }
    if (!core_.extents_.full()) {
        core_.extents_.add(
            {state->slot, static_cast<uint32_t>(sizeof(RunHeader) + header.stored_bytes),
             offset_bytes, header.first_sequence, header.arrival_ns, header.record_count});
    }
    if (state->segment_first_sequence == 0) state->segment_first_sequence = header.first_sequence;
    state->appended_next = header.first_sequence + header.record_count;
    state->durable_next = state->appended_next;
    state->last_arrival_ns = std::max(state->last_arrival_ns, header.arrival_ns);
    if (header.producer != 0) (void)core_.producers_.replay(header);
    return {};
}

// Whole runs between damage. Only what continues its shard is taken: bytes of an earlier life of
// the file never do.
Status Recovery::salvage(uint64_t from, uint64_t to) {
    const CommitScan scan(image_.span(), to, image_segment_->header, true);
    for (uint64_t at = from; at < to;) {
        RunHeader run;
        if (!scan.run_at(at, run)) {
            at += 8;
            continue;
        }
        if (auto status = take_run(run, at, false); !status) return status;
        at += sizeof(RunHeader) + run.stored_bytes;
    }
    return {};
}

}  // namespace eagre::journal
