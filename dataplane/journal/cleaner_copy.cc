// What is alive in a source is found by its extents, read, checked run by run, and copied.
#include <algorithm>

#include "dataplane/journal/cleaner.h"
#include "wire/base/assert.h"
#include "wire/base/limits.h"

namespace eagre::journal {
namespace {

// Directory entries and extents gone over in one step.
constexpr uint32_t kItemsPerStep = 128;

}  // namespace

bool Cleaner::begin_source(size_t index) {
    Segment& segment = *chain_.segments()[index];
    if (index >= movable_end() || !movable(segment, retention_.now_ns())) return false;
    if (index > index_of(*first_) && chain_.headless_count() > 0 &&
        last_number(chain_.segments()[index - 1]->header) + 1 != segment.number()) {
        return false;
    }
    ++segment.pins;
    ++pinned_count_;
    current_ = &segment;
    target_.note_source(segment.trailer);
    copied_before_ = target_.copied_bytes();
    map_.reset();
    entry_index_ = 0;
    extent_index_ = 0;
    extent_end_ = 0;
    at_ = std::max(segment.rest_offset, kSegmentDataOffset);
    stretch_ = {at_, at_};
    input_begin_ = 0;
    input_end_ = 0;
    run_left_ = 0;
    stage_ = Stage::kMap;
    return true;
}

Cleaner::Outcome Cleaner::map_source() {
    for (uint32_t i = 0; i < kItemsPerStep; ++i) {
        if (extent_index_ == extent_end_ && entry_index_ == current_->trailer.shard_count) {
            stage_ = Stage::kCopy;
            return Outcome::kMore;
        }
        const Status mapped = map_item();
        if (mapped) continue;
        if (mapped.error().code == Errc::kBusy) return Outcome::kWait;
        return damaged(true);
    }
    return Outcome::kMore;
}

// The next extent of the shard under way, or the next shard.
Status Cleaner::map_item() {
    if (extent_index_ < extent_end_) {
        const auto extent = chain_.extent(*current_, extent_index_);
        if (!extent) return extent.error();
        ++extent_index_;
        if (extent->end_sequence() <= extent_horizon_ || extent->end_bytes() <= at_) return {};
        if (extent->end_bytes() > current_->trailer.end_bytes) return Errc::kDamaged;
        map_.add(std::max(extent->offset_bytes(), at_), extent->end_bytes());
        return {};
    }
    const auto entry = chain_.directory_at(*current_, entry_index_);
    if (!entry) return entry.error();
    ++entry_index_;
    const ShardState* state = shards_.find(entry->shard);
    if (entry->extent_count == 0 || state == nullptr || state->facts.deleted) return {};
    extent_horizon_ = state->facts.trim_horizon.value;
    if (extent_horizon_ >= entry->next_sequence) return {};
    if (uint64_t{entry->extent_index} + entry->extent_count > current_->trailer.extent_count) return Errc::kDamaged;
    extent_index_ = entry->extent_index;
    extent_end_ = extent_index_ + entry->extent_count;
    return {};
}

// Only a horizon that is durable counts: a crash brings back the last one that is.
bool Cleaner::alive(const RunHeader& header, uint32_t& slot) const {
    if ((header.flags & kRunFlagSystem) != 0 || header.record_count == 0) return false;
    const ShardState* state = shards_.find(header.shard);
    if (state == nullptr || state->facts.deleted) return false;
    slot = state->slot;
    return header.first_sequence + header.record_count > state->facts.trim_horizon.value;
}

Cleaner::Outcome Cleaner::copy(const Turn& turn) {
    for (;;) {
        if (run_left_ == 0 && at_ >= stretch_.end) {
            if (!map_.next(at_, stretch_)) return source_done(turn.last_commit);
            at_ = stretch_.begin;
        }
        const uint64_t need = run_left_ > 0 ? 8 : sizeof(RunHeader);
        if (at_ + need > current_->trailer.end_bytes) return damaged(false);
        if (at_ < input_begin_ || at_ + need > input_end_) return read(turn);
        const Outcome outcome = run_left_ > 0 ? copy_bytes() : take_item(turn);
        if (outcome == Outcome::kWait || stage_ != Stage::kCopy || target_.due()) return outcome;
    }
}

Cleaner::Outcome Cleaner::read(const Turn& turn) {
    const uint64_t from = align_down(at_, context_.block_bytes);
    const uint64_t end = align_up(std::max(stretch_.end, at_ + sizeof(RunHeader)), context_.block_bytes);
    const uint64_t bytes = std::min(kCleanerStepBytes, end - from);
    if (!may_submit(turn, bytes)) return Outcome::kWait;
    input_begin_ = from;
    input_end_ = from + bytes;
    op_.offset_bytes = from;
    op_.buffer = input_.data();
    op_.length_bytes = static_cast<uint32_t>(bytes);
    context_.stats.device_read_bytes += bytes;
    submit(io::StorageOp::Kind::kRead, *current_, turn);
    return Outcome::kWait;
}

Cleaner::Outcome Cleaner::copy_bytes() {
    const uint64_t there = std::min(run_left_, input_end_ - at_);
    const size_t taken = target_.append({input_.data() + (at_ - input_begin_), there}, run_crc_);
    at_ += taken;
    run_left_ -= taken;
    if (run_left_ == 0 && run_crc_ != run_crc_said_) return damaged(false);
    return Outcome::kMore;
}

// A run, or what may lie between runs.
Cleaner::Outcome Cleaner::take_item(const Turn& turn) {
    const std::byte* bytes = input_.data() + (at_ - input_begin_);
    const auto magic = load<uint32_t>(bytes);
    if (magic == 0) {  // Padding to the next block.
        at_ = align_up(at_ + 1, std::max(current_->header.block_bytes, 8U));
        return Outcome::kMore;
    }
    if (magic == kCommitMagic) {
        const auto commit = load<CommitHeader>(bytes);
        if (!verify(commit) || commit.nonce != current_->header.nonce) return damaged(false);
        at_ += sizeof(CommitHeader);
        return Outcome::kMore;
    }
    const auto header = load<RunHeader>(bytes);
    const uint64_t run_bytes = sizeof(RunHeader) + uint64_t{header.stored_bytes};
    if (magic != kRunMagic || !verify(header) || header.stored_bytes > kFramePayloadBytesMax ||
        at_ + run_bytes > current_->trailer.end_bytes) {
        return damaged(false);
    }
    uint32_t slot = 0;
    if (!alive(header, slot)) {
        at_ += run_bytes;
        return Outcome::kMore;
    }
    if (!target_.fits(run_bytes)) return source_cut(turn.last_commit);
    if (!target_.begin_run(header, slot)) return Outcome::kMore;
    at_ += sizeof(RunHeader);
    run_left_ = header.stored_bytes;
    run_crc_ = 0;
    run_crc_said_ = header.payload_crc;
    return Outcome::kMore;
}

Cleaner::Outcome Cleaner::source_done(uint64_t last_commit) {
    ++source_count_;
    const size_t next = index_of(*first_) + source_count_;
    if (source_count_ == planned_count_ || !begin_source(next)) end_copies(last_commit);
    return Outcome::kMore;
}

// The target is full: what is left of the source stays where it is.
Cleaner::Outcome Cleaner::source_cut(uint64_t last_commit) {
    if (source_count_ == 0) {
        // More is alive than was thought: there is nothing to be gained here now.
        current_->alive_bytes = current_->trailer.end_bytes - kSegmentDataOffset;
        give_up();
        return Outcome::kMore;
    }
    if (target_.copied_bytes() > copied_before_) {
        rest_ = current_;
        rest_offset_ = at_;
    }
    end_copies(last_commit);
    return Outcome::kMore;
}

// It is kept as it is, until nothing in it is alive: what can't be read is never taken for free space.
Cleaner::Outcome Cleaner::damaged(bool index_damaged) {
    if (index_damaged) {
        current_->state = Segment::State::kUnindexed;
    } else {
        current_->unmovable = true;
    }
    ++context_.stats.damaged_run_count;
    give_up();
    return Outcome::kMore;
}

}  // namespace eagre::journal
