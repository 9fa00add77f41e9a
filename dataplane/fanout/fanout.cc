#include "dataplane/fanout/fanout.h"

#include <algorithm>
#include <array>
#include <utility>

#include "wire/base/assert.h"

namespace eagre::fanout {

using frame::FrameHeader;
using frame::FrameKind;
using journal::RunView;
using journal::ShardReader;

struct Fanout::Subscription {
    bool used = false;
    bool ready = false;
    bool one_shot = false;              // kRead: ends by itself at the tail or when its bounds are reached.
    reactor::OutletId outlet;
    ShardId shard;
    uint64_t correlation = 0;
    int64_t credit_bytes = 0;           // May go below zero by one run: a run is never cut.
    uint64_t record_count_left = 0;     // kRead; UINT64_MAX: no limit.
    uint64_t delivered_count = 0;
    std::unique_ptr<ShardReader> reader;
    uint64_t owner = 0;                 // Of kSubscribe; 0: nobody that it would exclude.
    uint64_t opened_ns = 0;
    Errc stopped = Errc::kOk;           // Why, when record_count_left was made 0.
    // A delivery that the socket took only in part. Its rest goes first, byte for byte as begun.
    bool mid_frame = false;
    FrameHeader mid_header;
    size_t mid_sent = 0;
};

Fanout::Fanout(Surroundings& surroundings, io::Connections& connections, shm::CoreStats& stats)
    : surroundings_(surroundings), connections_(connections), stats_(stats) {
    gathered_.reserve(kPumpRunsMax);
    stage_.reserve(kStageBytes);
    ready_.reserve(kSubscriptionCountMax);
    pumping_.reserve(kSubscriptionCountMax);
    free_.reserve(kSubscriptionCountMax);
    table_.reserve(kSubscriptionCountMax);
}
Fanout::~Fanout() = default;

Status Fanout::open(reactor::OutletId outlet, const FrameHeader& request) {
    shard::Shard* shard = surroundings_.shard(ShardId{request.shard});
    if (shard == nullptr) return Errc::kUnknownShard;
    if (find(outlet, request.correlation) != kNone) return Errc::kBadArgument;
    if (request.sequence > shard->durable.value) return error_of(Errc::kSequenceInFuture, shard->durable.value);
    const uint64_t owner = request.kind == FrameKind::kSubscribe ? request.detail : 0;
    const uint32_t earlier = owner == 0 ? kNone : find_owned(*shard, owner);
    const uint64_t now_ns = surroundings_.now_ns();
    if (earlier != kNone) {
        const uint64_t age_ns = now_ns - table_[earlier]->opened_ns;
        if (age_ns < kTakeOverNs) return error_of(Errc::kSubscribed, kTakeOverNs - age_ns);
    }
    if (free_.empty()) {
        if (table_.size() == kSubscriptionCountMax) return error_of(Errc::kLimitExceeded, kSubscriptionCountMax);
        free_.push_back(static_cast<uint32_t>(table_.size()));
        table_.push_back(std::make_unique<Subscription>());
    }
    auto reader = shard->journal->open_reader(shard->facts.shard, SequenceNumber{request.sequence});
    if (!reader) return reader.error();
    if (earlier != kNone) stop(earlier, Errc::kSubscriptionTaken);
    const uint32_t index = free_.back();
    free_.pop_back();
    Subscription& subscription = *table_[index];
    subscription = Subscription{};
    subscription.used = true;
    subscription.one_shot = request.kind == FrameKind::kRead;
    subscription.outlet = outlet;
    subscription.shard = shard->facts.shard;
    subscription.correlation = request.correlation;
    subscription.credit_bytes = static_cast<int64_t>(std::min<uint64_t>(request.number, INT64_MAX / 2));
    subscription.record_count_left = subscription.one_shot && request.record_count != 0 ? request.record_count : UINT64_MAX;
    subscription.reader = std::move(*reader);
    subscription.owner = owner;
    subscription.opened_ns = now_ns;
    shard->watchers.push_back(index);
    if (by_slot_.size() <= outlet.slot) by_slot_.resize(outlet.slot + 1);
    by_slot_[outlet.slot].push_back(index);
    ++count_;
    stats_.subscriptions = count_;
    if (reactor::Outlet* to = owner == 0 ? nullptr : surroundings_.outlet(outlet); to != nullptr) {
        FrameHeader begun;
        begun.kind = FrameKind::kSubscribed;
        begun.correlation = request.correlation;
        begun.shard = request.shard;
        begun.number = shard->durable.value;
        begun.sequence = request.sequence;
        to->push(begun);
    }
    make_ready(index);
    return {};
}

void Fanout::credit(reactor::OutletId outlet, const FrameHeader& request) {
    const uint32_t index = find(outlet, request.correlation);
    if (index == kNone) return;
    Subscription& subscription = *table_[index];
    const auto more = static_cast<int64_t>(std::min<uint64_t>(request.number, INT64_MAX / 4));
    subscription.credit_bytes = std::min(subscription.credit_bytes + more, INT64_MAX / 2);
    make_ready(index);
}

void Fanout::close(reactor::OutletId outlet, uint64_t correlation) {
    if (const uint32_t index = find(outlet, correlation); index != kNone) stop(index, Errc::kOk);
}

void Fanout::stop(uint32_t index, Errc why) {
    // In the middle of a frame the rest must go out first; then pump ends it.
    if (table_[index]->mid_frame) {
        table_[index]->record_count_left = 0;
        table_[index]->stopped = why;
        table_[index]->owner = 0;
    } else {
        end(index, error_of(why));
    }
}

void Fanout::close_all(reactor::OutletId outlet) {
    if (outlet.slot >= by_slot_.size()) return;
    const std::vector<uint32_t> indices = by_slot_[outlet.slot];
    for (const uint32_t index : indices) {
        if (table_[index]->outlet == outlet) release(index);
    }
}

void Fanout::wake_shard(shard::Shard& shard) {
    for (const uint32_t index : shard.watchers) make_ready(index);
}

void Fanout::end_shard(shard::Shard& shard) {
    const std::vector<uint32_t> watchers = shard.watchers;
    for (const uint32_t index : watchers) {
        Subscription& subscription = *table_[index];
        if (subscription.mid_frame) {
            surroundings_.drop(subscription.outlet);  // Can't finish the frame it began.
        } else {
            end(index, error_of(Errc::kUnknownShard));
        }
    }
}

void Fanout::wake_outlet(reactor::OutletId outlet) {
    if (outlet.slot >= by_slot_.size()) return;
    for (const uint32_t index : by_slot_[outlet.slot]) make_ready(index);
}

size_t Fanout::pump() {
    bytes_sent_ = 0;
    device_waiting_ = 0;
    pumping_.swap(ready_);
    for (const uint32_t index : pumping_) {
        Subscription& subscription = *table_[index];
        if (!subscription.used || !subscription.ready) continue;
        subscription.ready = false;
        const Outcome outcome = pump_one(index);
        if (outcome == Outcome::kAgain || outcome == Outcome::kDevice) make_ready(index);
        if (outcome == Outcome::kDevice) ++device_waiting_;
    }
    pumping_.clear();
    return bytes_sent_;
}

Fanout::Outcome Fanout::pump_one(uint32_t index) {
    Subscription& subscription = *table_[index];
    reactor::Outlet* outlet = surroundings_.outlet(subscription.outlet);
    shard::Shard* shard = surroundings_.shard(subscription.shard);
    if (outlet == nullptr || shard == nullptr) {
        release(index);
        return Outcome::kEnded;
    }
    // Another subscription of this connection is in the middle of its frame, or the socket is full: woken when it drains.
    if (!outlet->writable() || (outlet->mid_frame() && !subscription.mid_frame)) return Outcome::kParked;
    if (!subscription.mid_frame) {
        const auto flushed = outlet->flush(connections_);
        if (!flushed) {
            surroundings_.drop(subscription.outlet);
            return Outcome::kEnded;
        }
        if (!*flushed) return Outcome::kParked;
    }

    gathered_.clear();
    stage_.clear();
    size_t gathered_bytes = 0;
    size_t pumped_bytes = 0;
    uint64_t record_count_left = subscription.record_count_left;
    int64_t credit = subscription.credit_bytes;
    for (;;) {
        const bool exhausted = !subscription.mid_frame && (credit <= 0 || record_count_left == 0);
        RunView run;
        Result<ShardReader::Step> step = ShardReader::Step::kTail;
        if (!exhausted) step = subscription.reader->peek(run);
        const bool has_run = !exhausted && step && *step == ShardReader::Step::kRun;

        if (has_run) {
            EAGRE_ASSERT_LE(run.header.first_sequence + run.header.record_count, shard->durable.value);
            Gathered item;
            item.header.kind = FrameKind::kDeliver;
            item.header.correlation = subscription.correlation;
            item.header.shard = subscription.shard.value;
            item.header.detail = run.header.arrival_ns;
            item.header.number = shard->durable.value;
            item.header.sequence = run.header.first_sequence;
            item.header.record_count = run.header.record_count;
            item.header.payload_bytes = run.header.stored_bytes;
            item.header.payload_crc = run.header.payload_crc;
            frame::seal_header(item.header);
            if (subscription.mid_frame && gathered_.empty()) {
                // Byte for byte the frame that was begun: only the tail in its header could differ.
                EAGRE_ASSERT_EQ(subscription.mid_header.sequence, item.header.sequence);
                EAGRE_ASSERT_EQ(subscription.mid_header.payload_crc, item.header.payload_crc);
                item.header = subscription.mid_header;
            }
            item.payload = run.payload;
            item.end = SequenceNumber{run.header.first_sequence + run.header.record_count};
            bool send_now = false;
            if (!subscription.reader->from_memory()) {
                ++stats_.deliveries_from_device;
                if (run.payload.size() <= kStageRunBytesMax && stage_.size() + run.payload.size() <= kStageBytes) {
                    const size_t at = stage_.size();
                    stage_.insert(stage_.end(), run.payload.begin(), run.payload.end());
                    item.payload = std::span(stage_).subspan(at);
                } else {
                    send_now = true;
                }
            } else {
                ++stats_.deliveries_from_memory;
            }
            const uint64_t wanted = subscription.reader->wanted().value;
            const uint64_t records = item.end.value - wanted;
            record_count_left -= std::min(record_count_left, subscription.one_shot ? records : 0);
            credit -= static_cast<int64_t>(frame::kHeaderBytes + item.payload.size());
            gathered_bytes += frame::kHeaderBytes + item.payload.size();
            gathered_.push_back(item);
            if (!send_now) subscription.reader->advance();
            if (!send_now && gathered_.size() < kPumpRunsMax && gathered_bytes < kPumpBytes) continue;
        }

        if (!gathered_.empty()) {
            const bool last_is_peeked = has_run && subscription.reader->wanted() < gathered_.back().end;
            const Outcome outcome = send_gathered(subscription, *outlet, gathered_.size());
            if (outcome != Outcome::kAgain) {
                if (outcome == Outcome::kEnded) surroundings_.drop(subscription.outlet);
                return outcome;
            }
            if (last_is_peeked) subscription.reader->advance();
            credit = subscription.credit_bytes;
            record_count_left = subscription.record_count_left;
            pumped_bytes += gathered_bytes;
            gathered_bytes = 0;
            gathered_.clear();
            stage_.clear();
            if (has_run) {
                if (pumped_bytes >= kPumpBytes) return Outcome::kAgain;  // Others get their turn.
                continue;
            }
        }

        // Nothing gathered and no run at hand: why?
        if (exhausted) {
            if (subscription.one_shot || subscription.record_count_left == 0) {
                end(index, error_of(subscription.stopped));
                return Outcome::kEnded;
            }
            return Outcome::kParked;  // Until more credit.
        }
        if (!step) {
            if (subscription.mid_frame) {
                surroundings_.drop(subscription.outlet);
            } else {
                end(index, step.error());
            }
            return Outcome::kEnded;
        }
        if (*step == ShardReader::Step::kPending) return Outcome::kDevice;  // Asked again after the next poll.
        if (!shard->facts.open && subscription.reader->wanted() >= shard->durable && shard->durable == shard->appended) {
            // The end of a closed shard is told with its children; until the map has them there is nothing to tell.
            children_.clear();
            surroundings_.children_of(subscription.shard, children_);
            if (!children_.empty()) {
                end(index, error_of(Errc::kShardClosed), children_);
                return Outcome::kEnded;
            }
        }
        if (subscription.one_shot) {
            end(index, error_of(Errc::kOk));
            return Outcome::kEnded;
        }
        return Outcome::kParked;  // Until the tail moves.
    }
}

// Sends gathered_[0..run_count). On a partial send the reader goes back to the run that was cut, or that was not begun.
Fanout::Outcome Fanout::send_gathered(Subscription& subscription, reactor::Outlet& outlet, size_t run_count) {
    std::array<io::ByteSlice, 2 * kPumpRunsMax> slices;
    size_t slice_count = 0;
    size_t skip = subscription.mid_frame ? subscription.mid_sent : 0;  // Of the first run: already on its way.
    for (size_t i = 0; i < run_count; ++i) {
        const auto header = std::as_bytes(std::span(&gathered_[i].header, 1));
        const size_t header_skip = std::min(skip, header.size());
        const size_t payload_skip = skip - header_skip;
        if (header_skip < header.size()) {
            slices[slice_count++] = {header.data() + header_skip, header.size() - header_skip};
        }
        slices[slice_count++] = {gathered_[i].payload.data() + payload_skip, gathered_[i].payload.size() - payload_skip};
        skip = 0;
    }
    const auto taken = outlet.send(connections_, std::span(slices).first(slice_count));
    if (!taken) return Outcome::kEnded;
    bytes_sent_ += *taken;
    stats_.bytes_out += *taken;

    size_t left = *taken + (subscription.mid_frame ? subscription.mid_sent : 0);
    shard::Shard* shard = surroundings_.shard(subscription.shard);
    for (size_t i = 0; i < run_count; ++i) {
        const Gathered& item = gathered_[i];
        const size_t whole = frame::kHeaderBytes + item.payload.size();
        if (left < whole) {
            subscription.mid_frame = left > 0;
            subscription.mid_header = item.header;
            subscription.mid_sent = left;
            outlet.set_mid_frame(left > 0);
            subscription.reader->seek(SequenceNumber{item.header.sequence});
            return Outcome::kParked;  // Woken when the socket takes bytes again.
        }
        left -= whole;
        if (std::exchange(subscription.mid_frame, false)) {
            // Others of this connection were parked while the frame was cut, and the socket may never be full again to wake them.
            subscription.mid_sent = 0;
            outlet.set_mid_frame(false);
            wake_outlet(subscription.outlet);
        }
        subscription.credit_bytes -= static_cast<int64_t>(whole);
        if (subscription.one_shot) {
            subscription.record_count_left -=
                std::min<uint64_t>(subscription.record_count_left, item.header.record_count);
        }
        subscription.delivered_count += item.header.record_count;
        stats_.records_delivered += item.header.record_count;
        stats_.payload_bytes_delivered += item.payload.size();
        shard->stats->records_out += item.header.record_count;
        shard->stats->bytes_out += item.payload.size();
    }
    EAGRE_ASSERT_EQ(left, 0U);
    return Outcome::kAgain;
}

uint32_t Fanout::find(reactor::OutletId outlet, uint64_t correlation) const {
    if (outlet.slot >= by_slot_.size()) return kNone;
    for (const uint32_t index : by_slot_[outlet.slot]) {
        if (table_[index]->outlet == outlet && table_[index]->correlation == correlation) return index;
    }
    return kNone;
}

uint32_t Fanout::find_owned(const shard::Shard& shard, uint64_t owner) const {
    const auto found = std::find_if(shard.watchers.begin(), shard.watchers.end(), [&](uint32_t index) { return table_[index]->owner == owner; });
    return found == shard.watchers.end() ? kNone : *found;
}

void Fanout::make_ready(uint32_t index) {
    Subscription& subscription = *table_[index];
    if (subscription.ready || !subscription.used) return;
    subscription.ready = true;
    ready_.push_back(index);
}

void Fanout::end(uint32_t index, Error error, std::span<const uint64_t> children) {
    Subscription& subscription = *table_[index];
    reactor::Outlet* outlet = surroundings_.outlet(subscription.outlet);
    const shard::Shard* shard = surroundings_.shard(subscription.shard);
    if (outlet != nullptr) {
        FrameHeader last;
        last.kind = subscription.one_shot ? FrameKind::kReadEnd : FrameKind::kDeliverEnd;
        last.flags = static_cast<uint16_t>(error.code);
        last.correlation = subscription.correlation;
        last.shard = subscription.shard.value;
        last.detail = error.detail;
        last.number = shard != nullptr ? shard->durable.value : 0;
        last.sequence = subscription.reader->wanted().value;
        last.record_count = static_cast<uint32_t>(std::min<uint64_t>(subscription.delivered_count, UINT32_MAX));
        outlet->push(last, std::as_bytes(children));
        if (error.code != Errc::kOk) ++stats_.errors[static_cast<size_t>(error.code) % shm::kErrcSlots];
    }
    release(index);
}

void Fanout::release(uint32_t index) {
    Subscription& subscription = *table_[index];
    EAGRE_ASSERT(subscription.used);
    if (shard::Shard* shard = surroundings_.shard(subscription.shard)) std::erase(shard->watchers, index);
    if (reactor::Outlet* outlet = surroundings_.outlet(subscription.outlet); outlet != nullptr && subscription.mid_frame) {
        outlet->set_mid_frame(false);  // Only when the connection is being closed.
    }
    std::erase(by_slot_[subscription.outlet.slot], index);
    subscription.used = false;
    subscription.ready = false;
    subscription.reader.reset();
    free_.push_back(index);
    EAGRE_ASSERT_GT(count_, 0U);
    --count_;
    stats_.subscriptions = count_;
}

}  // namespace eagre::fanout
