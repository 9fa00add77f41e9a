// The path of a batch: on its way, answered, sent again, given up, settled.
#include <algorithm>
#include <cstring>

#include "wire/base/assert.h"
#include "wire/client/producer_impl.h"

namespace eagre::client {

using frame::AckMode;
using frame::FrameHeader;
using frame::FrameKind;

namespace {

constexpr uint64_t kRetryNsMin = 500'000ULL;
constexpr uint64_t kRetryNsMax = 100'000'000ULL;
constexpr uint64_t kPauseNsMax = 1'000'000'000ULL;  // However long the box asks us to wait.
constexpr uint64_t kCheckNs = 10'000'000ULL;        // Between two looks at deadlines.

}  // namespace

void ProducerImpl::block(Lane& lane) {
    if (lane.blocked) return;
    lane.blocked = true;
    blocked_.push_back(&lane);
}

bool ProducerImpl::send(Lane& lane, uint64_t now_ns) {
    if (lane.sent == lane.queue.size()) return false;
    if (lane.retry_at_ns > now_ns) {
        block(lane);
        return false;
    }
    lane.retry_at_ns = 0;
    Connection* connection = client_.connection(lane.shard.core);
    if (connection == nullptr || !connection->ready()) return false;  // on_ready comes back to it.
    bool moved = false;
    for (; lane.sent < lane.queue.size() && lane.sent < kProducerWindow; ++lane.sent) {
        Batch& batch = *lane.queue[lane.sent];
        if (batch.done || batch.correlation != 0) continue;
        // A retired lane asks on only for what its shard may have stored before it closed.
        if (lane.waits_for_map || batch.refused || (lane.retired && batch.attempt_count == 0))
            break;
        if (batch.frame.use_count() > 1) {  // An earlier attempt still waits for the socket.
            block(lane);
            break;
        }
        // Batches of an abandoned producer id come first: the box orders numbers within one id
        // only.
        if (batch.attempt_count == 0 && options_.idempotent && lane.sent > 0 &&
            lane.queue.front()->producer_id != lane.producer_id) {
            break;
        }
        transmit(lane, batch, *connection, now_ns);
        moved = true;
    }
    if (moved && options_.ack == AckMode::kNone) block(lane);
    return moved;
}

void ProducerImpl::transmit(Lane& lane, Batch& batch, Connection& connection, uint64_t now_ns) {
    if (batch.attempt_count == 0) {
        batch.producer_id = lane.producer_id;
        batch.number = lane.next_number++;
    } else {
        ++stats_.resend_count;
    }
    ++batch.attempt_count;
    batch.correlation = client_.next_correlation(id_);
    if (batch.first_correlation == 0) batch.first_correlation = batch.correlation;
    batch.last_correlation = batch.correlation;
    auto* bytes =
        const_cast<std::byte*>(batch.frame->bytes.data());  // Ours alone: use_count() is 1.
    FrameHeader header;
    std::memcpy(&header, bytes, sizeof(header));
    header.correlation = batch.correlation;
    header.shard = lane.shard.id.value;
    header.detail = batch.producer_id;
    header.number = batch.number;
    header.sequence = latest_.map_version;
    frame::seal_header(header);
    std::memcpy(bytes, &header, sizeof(header));
    if (lane.sent == 0) lane.progress_ns = now_ns;
    stats_.payload_bytes += batch.payload().size();
    connection.push_shared(batch.frame);
}

void ProducerImpl::on_frame(uint32_t /*core*/, const FrameHeader& header,
                            std::span<const std::byte> /*payload*/) {
    if (header.kind != FrameKind::kAppendReply) return;
    if (options_.ack == AckMode::kNone) {
        const Errc code = frame::errc_of(header);
        if (code == Errc::kStaleMap || code == Errc::kShardClosed) client_.refresh(stream_);
        return;
    }
    Lane* const found = lanes_by_shard_.find(header.shard);
    if (found == nullptr) return;
    Lane& lane = *found;
    const bool stored = frame::errc_of(header) == Errc::kOk;
    for (size_t i = 0; i < lane.queue.size() && i < kProducerWindow; ++i) {
        const Batch& batch = *lane.queue[i];
        if (batch.done) continue;
        const bool current = batch.correlation != 0 && batch.correlation == header.correlation;
        const bool late = batch.first_correlation != 0 && batch.number == header.number &&
                          header.correlation >= batch.first_correlation &&
                          header.correlation <= batch.last_correlation;
        if (!current && !(stored && late)) continue;
        answer(lane, i, header);
        return;
    }
}

void ProducerImpl::answer(Lane& lane, size_t index, const FrameHeader& header) {
    Batch& batch = *lane.queue[index];
    const Error error{frame::errc_of(header), 0, header.detail};
    const uint64_t now = client_.now_ns();
    lane.progress_ns = now;
    switch (error.code) {
        case Errc::kOk:
            batch.done = true;
            batch.first_sequence = header.sequence;
            lane.back_off_ns = 0;
            settle(lane);
            break;
        case Errc::kBatchForgotten:  // Stored, but nobody knows any more where.
            batch.done = true;
            batch.error = error;
            settle(lane);
            break;
        case Errc::kBatchOutOfOrder: {
            // One before it was refused or lost on the way: all from the number that the box
            // expects go again.
            const auto expected =
                std::find_if(lane.queue.begin(), lane.queue.end(), [&](const BatchPointer& each) {
                    return !each->done && each->attempt_count > 0 && each->number == error.detail &&
                           each->producer_id == batch.producer_id;
                });
            if (options_.idempotent && expected != lane.queue.end()) {
                retry_later(lane, static_cast<size_t>(expected - lane.queue.begin()), 0);
            } else if (options_.idempotent && error.detail < batch.number) {
                // The box lost what it had only acknowledged as appended. Numbers are dense: none
                // from here on is stored.
                start_anew(lane, index);
            } else {
                give_up(lane, index, error, false);
            }
            break;
        }
        case Errc::kStaleMap:
            go_back(lane, index);
            lane.waits_for_map = true;
            client_.refresh(stream_);
            break;
        case Errc::kShardClosed:
            retire(lane, index);
            return;  // The lane may be gone.
        case Errc::kNotOwner:
            if (const uint32_t core = client_.core_of_port(static_cast<uint16_t>(error.detail));
                core != lane.shard.core) {
                go_back(lane, index);
                lane.shard.core = core;
            } else {
                retry_later(lane, index, 0);
            }
            client_.refresh(stream_);
            break;
        case Errc::kThrottled:  // Not stored; the box says how long.
            go_back(lane, index);
            ++stats_.throttled_count;
            pause(lane, error.detail);
            break;
        case Errc::kBusy:
        case Errc::kUnavailable:
        case Errc::kDiskFull:
        case Errc::kStoreFull:
        case Errc::kShuttingDown:
        case Errc::kJournalFailed:  // All of these: not stored by this attempt.
            retry_later(lane, index, error.detail);
            break;
        case Errc::kUnknownProducer:
            // At the first attempt nothing of this batch can be stored: it goes under a new id.
            // Later, nobody knows.
            give_up(lane, index, error, true);
            break;
        case Errc::kBatchMismatch:
            give_up(lane, index, error, false);
            break;
        case Errc::kUnknownShard:
            client_.refresh(stream_);
            give_up(lane, index, error, true);
            break;
        default:
            if (errc_is_retryable(error.code)) {  // kOutcomeUnknown and its kin.
                if (options_.idempotent) {
                    retry_later(lane, index, error.detail);
                } else {
                    batch.done = true;
                    batch.error = error;
                    settle(lane);
                }
            } else {
                give_up(lane, index, error, true);
            }
    }
    if (lane.retired && reroute_wanted_) {
        try_reroute();
        return;
    }
    send(lane, now);
}

void ProducerImpl::retry_later(Lane& lane, size_t index, uint64_t pause_ns) {
    go_back(lane, index);
    lane.back_off_ns = std::clamp(lane.back_off_ns * 2, kRetryNsMin, kRetryNsMax);
    pause(lane, std::max(pause_ns, lane.back_off_ns));
}

// A pause that lasts longer already stays: the answers to what was sent behind the refused batch say less than its own.
void ProducerImpl::pause(Lane& lane, uint64_t pause_ns) {
    lane.retry_at_ns = std::max(lane.retry_at_ns, client_.now_ns() + std::clamp(pause_ns, kRetryNsMin, kPauseNsMax));
    block(lane);
}

// The batch at `index` counts as not on its way; with numbers, all behind it too, for the box
// refuses them.
void ProducerImpl::go_back(Lane& lane, size_t index) {
    const size_t end = options_.idempotent ? lane.queue.size() : index + 1;
    for (size_t i = index; i < end; ++i) lane.queue[i]->correlation = 0;
    lane.sent = std::min(lane.sent, index);
}

// The batch at `index` fails and its number stays unused or unknown, so its producer id ends here.
// Batches behind it go on under a new one if the box cannot have stored them: `none_stored` says
// that this answer proves it of a first attempt.
void ProducerImpl::give_up(Lane& lane, size_t index, Error error, bool none_stored) {
    go_back(lane, index);
    Batch& failed = *lane.queue[index];
    // An earlier attempt may have been stored, and then those behind it too.
    none_stored = none_stored && failed.attempt_count == 1;
    const bool goes_on = error.code == Errc::kUnknownProducer && none_stored;
    if (!goes_on) {
        failed.done = true;
        failed.error = error;
    }
    if (options_.idempotent) {
        lane.producer_id = new_producer_id();
        lane.next_number = 0;
        for (size_t i = index; i < lane.queue.size(); ++i) {
            Batch& batch = *lane.queue[i];
            if (batch.done || batch.attempt_count == 0) continue;
            if (none_stored && batch.attempt_count == 1) {
                batch.attempt_count = 0;
                batch.first_correlation = batch.last_correlation = 0;
            } else {
                batch.done = true;
                batch.error = error_of(Errc::kOutcomeUnknown);
            }
        }
    }
    settle(lane);
}

// Nothing from `index` on is stored under the producer id so far: all of it goes under a new one.
void ProducerImpl::start_anew(Lane& lane, size_t index) {
    go_back(lane, index);
    lane.producer_id = new_producer_id();
    lane.next_number = 0;
    for (size_t i = index; i < lane.queue.size(); ++i) {
        lane.queue[i]->attempt_count = 0;
        lane.queue[i]->first_correlation = lane.queue[i]->last_correlation = 0;
    }
}

void ProducerImpl::on_lost(uint32_t core, Error /*why*/) {
    for (const auto& lane : lanes_) {
        if (lane->shard.core != core) continue;
        for (const BatchPointer& batch : lane->queue) {
            if (batch->correlation == 0) continue;
            batch->correlation = 0;
            // Without identity a batch that may have been stored must not go twice. One that the
            // socket did not take whole was never seen by the box.
            if (!options_.idempotent && !batch->done && batch->frame->handed_over) {
                batch->done = true;
                if (options_.ack != AckMode::kNone) batch->error = error_of(Errc::kOutcomeUnknown);
            }
        }
        lane->sent = 0;
        settle(*lane);
    }
}

void ProducerImpl::on_ready(uint32_t core) {
    const uint64_t now = client_.now_ns();
    fit_datagrams();
    for (const auto& lane : lanes_) {
        if (lane->shard.core == core) send(*lane, now);
    }
}

bool ProducerImpl::on_poll(uint64_t now_ns) {
    bool moved = false;
    while (linger_first_ != nullptr && now_ns >= linger_first_->opened_ns + options_.linger_ns) {
        close_oldest();
        moved = true;
    }
    if (!blocked_.empty()) {
        blocked_scratch_.swap(blocked_);
        for (Lane* lane : blocked_scratch_) lane->blocked = false;
        for (Lane* lane : blocked_scratch_) {
            if (options_.ack == AckMode::kNone) {
                for (size_t i = 0; i < lane->sent; ++i) {
                    Batch& batch = *lane->queue[i];
                    batch.done = batch.done || (batch.correlation != 0 && batch.frame->handed_over);
                }
                settle(*lane);
                if (lane->sent > 0) block(*lane);
            }
            moved = send(*lane, now_ns) || moved;
        }
        blocked_scratch_.clear();
    }
    if (now_ns >= next_check_ns_) check_time(now_ns);
    return moved;
}

void ProducerImpl::check_time(uint64_t now_ns) {
    next_check_ns_ = now_ns + kCheckNs;
    fit_datagrams();
    for (const auto& lane : lanes_) {
        if (!lane->queue.empty() && now_ns > lane->queue.front()->deadline_ns)
            expire(*lane, now_ns);
        const bool waits = lane->sent > 0 && options_.ack != AckMode::kNone;
        if (!waits || now_ns < lane->progress_ns + client_.options().request_timeout_ns) continue;
        // Nobody answers although the connection seems up: a new one asks again.
        if (Connection* connection = client_.connection(lane->shard.core);
            connection != nullptr && connection->ready()) {
            connection->drop(error_of(Errc::kTimeout));
        }
    }
    if (reroute_wanted_) {
        client_.refresh(stream_);
        try_reroute();
    }
}

// What was sent and is not answered in time fails as one: nobody knows how much of it is stored.
void ProducerImpl::expire(Lane& lane, uint64_t now_ns) {
    bool was_sent = false;
    for (const BatchPointer& batch : lane.queue) {
        const bool sent = batch->attempt_count > 0 && !batch->refused;
        if (batch->done || (!sent && now_ns <= batch->deadline_ns)) continue;
        was_sent = was_sent || sent;
        batch->done = true;
        batch->error = error_of(Errc::kTimeout);
    }
    if (was_sent && options_.idempotent) {
        lane.producer_id = new_producer_id();
        lane.next_number = 0;
    }
    settle(lane);
    send(lane, now_ns);
}

uint64_t ProducerImpl::next_timer_ns() const {
    uint64_t next = UINT64_MAX;
    if (linger_first_ != nullptr) next = linger_first_->opened_ns + options_.linger_ns;
    for (const Lane* lane : blocked_) {
        if (lane->retry_at_ns != 0) next = std::min(next, lane->retry_at_ns);
    }
    if (in_flight_bytes_ != 0) next = std::min(next, next_check_ns_);
    return next;
}

// Outcomes of a shard are told in order.
void ProducerImpl::settle(Lane& lane) {
    while (!lane.queue.empty() && lane.queue.front()->done) {
        BatchPointer batch = std::move(lane.queue.front());
        lane.queue.pop_front();
        if (lane.sent > 0) --lane.sent;
        tell(lane, *batch);
        recycle(std::move(batch));
    }
}

void ProducerImpl::tell(Lane& lane, Batch& batch) {
    in_flight_bytes_ -= batch.window_bytes;
    closed_bytes_ -= batch.window_bytes;
    const bool stored = batch.error.code == Errc::kOk;
    (stored ? stats_.acknowledged_count : stats_.failed_count) += batch.record_count;
    if (!stored && first_error_.code == Errc::kOk) first_error_ = batch.error;
    if (sync_ != nullptr && batch.sync_serial == sync_->serial) {
        sync_->done = true;
        sync_->error = batch.error;
        sync_->shard = lane.shard.id;
        sync_->sequence = SequenceNumber{batch.first_sequence + batch.sync_index};
    }
    if (!callback_) return;
    BatchOutcome outcome;
    outcome.shard = lane.shard.id;
    outcome.error = batch.error;
    outcome.first_sequence = SequenceNumber{batch.first_sequence};
    outcome.record_count = batch.record_count;
    outcome.blob_bytes = batch.blob_bytes;
    outcome.payload_bytes = batch.payload().size();
    outcome.tags = batch.tags;
    callback_(outcome);
}

}  // namespace eagre::client
