#include "dataplane/journal/reader.h"

#include <algorithm>
#include <utility>

#include "wire/base/assert.h"
#include "wire/base/limits.h"

namespace eagre::journal {

JournalReader::JournalReader(ReadSide& side, ShardId shard, SequenceNumber from)
    : side_(side), shard_(shard.value), wanted_(from.value) {
    ++side_.reader_count;
}

JournalReader::~JournalReader() {
    drop_buffers();
    --side_.reader_count;
}

void JournalReader::drop_buffers() {
    for (ReadBuffer** buffer : {&current_, &ahead_}) {
        if (*buffer != nullptr) side_.pool.release(**buffer);
        *buffer = nullptr;
    }
    ahead_sequence_ = 0;
    lost_ = false;
}

void JournalReader::on_buffer_lost(ReadBuffer& buffer) {
    if (current_ == &buffer) current_ = nullptr;
    if (ahead_ == &buffer) ahead_ = nullptr;
    ahead_sequence_ = 0;
    lost_ = false;
}

void JournalReader::show(RunView& view, const RunHeader& header, const std::byte* payload) {
    view.header = header;
    view.payload = {payload, header.stored_bytes};
    shown_end_ = header.first_sequence + header.record_count;
}

void JournalReader::advance() {
    EAGRE_ASSERT_GT(shown_end_, wanted_);
    wanted_ = shown_end_;
    serial_ = side_.runs.next_of(serial_);
}

void JournalReader::seek(SequenceNumber from) {
    wanted_ = from.value;
    serial_ = 0;
    walked_number_ = 0;
    resume_nonce_ = 0;
    want_reserve_ = false;
    lost_ = false;
    if (current_ == nullptr && ahead_ == nullptr) return;
    // Going back, or on, within what has been read costs nothing.
    if (current_ != nullptr && current_->pending == 0) {
        for (uint32_t i = current_->piece_count; i-- > 0;) {
            const Stretch& stretch = current_->pieces[i].stretch;
            if (stretch.first_sequence == 0 || stretch.first_sequence > wanted_ ||
                wanted_ >= stretch.end_sequence)
                continue;
            piece_ = i;
            cursor_ = stretch.offset_bytes;
            return;
        }
    }
    drop_buffers();
}

Result<JournalReader::Found> JournalReader::damaged(uint64_t go_on) {
    if (reported_ != go_on) {
        reported_ = go_on;
        ++side_.context.stats.damaged_run_count;
    }
    return error_of(Errc::kDamaged, go_on);
}

Result<ShardReader::Step> JournalReader::peek(RunView& view) {
    const ShardState* shard = side_.shards.find(shard_);
    if (shard == nullptr || shard->facts.deleted) return Errc::kUnknownShard;
    const uint64_t horizon = shard->facts.trim_horizon.value;
    if (wanted_ < horizon) return error_of(Errc::kSequenceTrimmed, horizon);
    if (wanted_ > shard->durable_next)
        return error_of(Errc::kSequenceInFuture, shard->durable_next);
    if (wanted_ == shard->durable_next) {
        drop_buffers();
        return Step::kTail;
    }
    // At most: the buffer's end, memory, an unindexed segment walked in vain; then the device is
    // asked.
    for (;;) {
        Found found = Found::kNothing;
        if (current_ != nullptr) {
            const auto step = peek_buffer(view);
            if (!step) return step.error();
            found = *step;
        }
        if (found == Found::kNothing && current_ == nullptr && ahead_ == nullptr) {
            const auto step = peek_memory(*shard, view);
            if (!step) return step.error();
            found = *step;
        }
        if (found == Found::kNothing && current_ == nullptr) {
            const auto step = fetch(*shard);
            if (!step) return step.error();
            found = *step;
        }
        if (current_ != nullptr && ahead_ == nullptr) fetch_ahead(*shard);
        if (found == Found::kRun) return Step::kRun;
        if (found == Found::kPending) return Step::kPending;
    }
}

Result<JournalReader::Found> JournalReader::peek_memory(const ShardState& shard, RunView& view) {
    const uint64_t oldest = side_.window.oldest();
    const auto usable = [&](uint64_t serial) {
        if (!side_.runs.holds(serial)) return false;
        const RunIndexEntry& run = side_.runs.at(serial);
        return run.shard_slot == shard.slot && run.position >= oldest &&
               run.first_sequence <= wanted_ && wanted_ - run.first_sequence < run.record_count;
    };
    if (!usable(serial_)) {
        serial_ = side_.runs.find({shard.last_serial, wanted_, oldest});
        if (serial_ == 0) return Found::kNothing;
    }
    const RunIndexEntry& run = side_.runs.at(serial_);
    if (run.first_sequence > wanted_) return damaged(run.first_sequence);
    const std::byte* bytes = side_.window.at(run.position);
    const auto header = load<RunHeader>(bytes);
    EAGRE_ASSERT_EQ(header.shard, shard_);
    EAGRE_ASSERT_EQ(header.first_sequence, run.first_sequence);
    show(view, header, bytes + sizeof(RunHeader));
    from_memory_ = true;
    return Found::kRun;
}

Result<JournalReader::Found> JournalReader::peek_buffer(RunView& view) {
    if (current_->pending > 0) return Found::kPending;
    current_->touched_ns = side_.context.now_ns;
    while (piece_ < current_->piece_count) {
        Piece& piece = current_->pieces[piece_];
        cursor_ = std::max(cursor_, piece.stretch.offset_bytes);
        if (!piece.bad) {
            const auto found = walk(piece, view);
            if (!found || *found == Found::kRun) return found;
        }
        const auto left = leave_piece(piece);
        if (!left) return left;
        if (current_ == nullptr) return Found::kNothing;
    }
    side_.pool.release(*current_);
    current_ = nullptr;
    return Found::kNothing;
}

// Goes from run to run of a piece. On return without a run, cursor_ is where the walk ended.
Result<JournalReader::Found> JournalReader::walk(Piece& piece, RunView& view) {
    const uint32_t block = side_.context.block_bytes;
    while (cursor_ < piece.stretch.end_bytes) {
        const uint64_t left = piece.stretch.end_bytes - cursor_;
        const std::byte* at = piece.data + (cursor_ - piece.stretch.offset_bytes);
        if (left < sizeof(RunHeader)) return Found::kNothing;
        const auto magic = load<uint32_t>(at);
        if (!lost_ && magic == 0) {  // Padding to the next block.
            cursor_ = align_up(cursor_ + 1, block);
            continue;
        }
        if (magic == kCommitMagic) {
            const auto commit = load<CommitHeader>(at);
            if (verify(commit) && commit.nonce == piece.nonce) {
                cursor_ += sizeof(CommitHeader);
                lost_ = false;
                continue;
            }
        }
        const auto header = load<RunHeader>(at);
        const uint64_t run_bytes = sizeof(RunHeader) + uint64_t{header.stored_bytes};
        if (magic != kRunMagic || !verify(header) || header.stored_bytes > kFramePayloadBytesMax) {
            lost_ = true;
            cursor_ += 8;
            continue;
        }
        if (run_bytes > left) {
            if (piece.partial) return Found::kNothing;
            lost_ = true;
            cursor_ += 8;
            continue;
        }
        const std::byte* payload = at + sizeof(RunHeader);
        const uint64_t end = header.first_sequence + header.record_count;
        const bool mine =
            header.shard == shard_ && (header.flags & kRunFlagSystem) == 0 && end > wanted_;
        if (mine && verified_ != cursor_ && !side_.context.options.mutants.ignore_run_crc &&
            crc32c({payload, header.stored_bytes}) != header.payload_crc) {
            cursor_ += run_bytes;
            if (header.first_sequence <= wanted_) return damaged(end);
            continue;
        }
        if (!mine) {
            cursor_ += run_bytes;
            continue;
        }
        lost_ = false;
        if (header.first_sequence > wanted_) return damaged(header.first_sequence);
        verified_ = cursor_;
        current_->peeked = true;
        show(view, header, payload);
        from_memory_ = false;
        return Found::kRun;
    }
    return Found::kNothing;
}

// The walk of a piece found nothing more: what it should have had is damaged, or goes on behind the
// buffer.
Result<JournalReader::Found> JournalReader::leave_piece(const Piece& piece) {
    const Stretch& stretch = piece.stretch;
    verified_ = 0;
    if (piece.partial) {
        want_reserve_ = cursor_ == stretch.offset_bytes && !piece.bad;
        resume_nonce_ = piece.nonce;
        resume_offset_ = piece.bad ? stretch.end_bytes : cursor_;
        side_.pool.release(*current_);
        current_ = nullptr;
        return Found::kNothing;
    }
    ++piece_;
    cursor_ = 0;
    lost_ = false;
    if (stretch.end_sequence == 0) {
        if (stretch.first_sequence == 0) walked_number_ = piece.segment_number;
        return Found::kNothing;
    }
    if (wanted_ < stretch.end_sequence) return damaged(stretch.end_sequence);
    return Found::kNothing;
}

Result<JournalReader::Found> JournalReader::fetch(const ShardState& shard) {
    if (ahead_ != nullptr) {
        current_ = std::exchange(ahead_, nullptr);
        piece_ = 0;
        cursor_ = 0;
        verified_ = 0;
        // What was read ahead may not be what is wanted after a seek.
        return Found::kNothing;
    }
    auto stretch = side_.chain.find_sequence(shard, {wanted_, walked_number_});
    if (!stretch)
        return stretch.error().code == Errc::kBusy ? Result<Found>(Found::kPending)
                                                   : stretch.error();
    if (stretch->segment == nullptr) return damaged(shard.durable_next);
    if (stretch->first_sequence > wanted_) return damaged(stretch->first_sequence);
    const bool resumes =
        resume_nonce_ == stretch->segment->header.nonce && resume_offset_ > stretch->offset_bytes;
    if (resumes) {
        if (resume_offset_ >= stretch->end_bytes) {
            resume_nonce_ = 0;
            if (stretch->end_sequence != 0) return damaged(stretch->end_sequence);
            walked_number_ = stretch->segment->number();
            return Found::kNothing;
        }
        stretch->offset_bytes = resume_offset_;
    }
    const auto want = want_reserve_ ? ReadPool::Want::kReserve : ReadPool::Want::kNow;
    ReadBuffer* buffer = side_.pool.take(*this, want);
    if (buffer == nullptr) return Found::kPending;
    want_reserve_ = false;
    current_ = buffer;
    piece_ = 0;
    cursor_ = 0;
    verified_ = 0;
    fill(*buffer, shard, *stretch);
    if (buffer->op_count == 0) drop_buffers();
    return Found::kPending;
}

void JournalReader::fill(ReadBuffer& buffer, const ShardState& shard, Stretch stretch) {
    ahead_sequence_ = 0;
    for (;;) {
        const bool live = stretch.segment->state == Segment::State::kLive;
        if (live && stretch.end_bytes > stretch.segment->durable_end) {
            // What is not durable yet is in memory.
            stretch.end_bytes = stretch.segment->durable_end;
            stretch.end_sequence = std::min(stretch.end_sequence, shard.durable_next);
            if (stretch.offset_bytes >= stretch.end_bytes) break;
        }
        if (!side_.pool.add(buffer, stretch)) break;
        if (buffer.pieces[buffer.piece_count - 1].partial || stretch.end_sequence == 0) {
            ahead_sequence_ = 0;
            break;
        }
        ahead_sequence_ = stretch.end_sequence;
        const auto next = side_.chain.next_in_segment(shard, stretch);
        if (!next || next->segment == nullptr) break;
        stretch = *next;
    }
    side_.pool.submit(buffer);
}

void JournalReader::fetch_ahead(const ShardState& shard) {
    const uint64_t sequence = ahead_sequence_;
    if (sequence == 0 || sequence >= shard.durable_next) return;
    if (side_.runs.find({shard.last_serial, sequence, side_.window.oldest()}) != 0) return;
    const auto stretch = side_.chain.find_sequence(shard, {sequence, walked_number_});
    if (!stretch || stretch->segment == nullptr || stretch->first_sequence == 0) return;
    ReadBuffer* buffer = side_.pool.take(*this, ReadPool::Want::kAhead);
    if (buffer == nullptr) return;
    ahead_ = buffer;
    fill(*buffer, shard, *stretch);
    if (buffer->op_count > 0) return;
    side_.pool.release(*buffer);
    ahead_ = nullptr;
}

}  // namespace eagre::journal
