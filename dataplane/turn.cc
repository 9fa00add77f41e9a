// The reactor's turn: Core::turn and its steps.
#include <algorithm>
#include <array>

#include "dataplane/core.h"
#include "wire/base/assert.h"

namespace eagre {

using frame::FrameHeader;
using frame::FrameKind;

bool Core::turn() {
    waiter_.turn(io_.events, did_work_, now_ns_, did_work_ ? 0 : wait_ns());
    now_ns_ = io_.clock.monotonic_ns();
    wall_ns_ = io_.clock.wall_ns();
    const uint64_t began_ns = now_ns_;

    // What completed goes on to its next step (a write to its sync) before we receive: the device works meanwhile. Receiving
    // a MiB takes 0.3 ms; a sync that waited for it made commits of 1 MiB take 1 ms instead of 0.6.
    bool device_busy = false;
    for (auto& slot : journals_) {
        slot->journal->poll(now_ns_);
        device_busy = device_busy || slot->journal->busy();
    }
    if (device_busy) io_.events.poll();

    size_t work = take_in_events();
    work += take_in_messages();
    work += sessions_->receive(now_ns_, !journals_behind() && !stopping_);
    work += door_->receive(now_ns_, !journals_behind() && !stopping_);
    work += feeds_->receive(feed_now(), !journals_behind() && !stopping_);
    for (auto& slot : journals_) slot->journal->poll(now_ns_);
    work += acknowledge();
    feeds_->settle(feed_now());
    if (!jobs_.empty()) work += work_on_jobs();
    if (!locates_.empty()) work += retry_locates();
    if (!cold_waiting_.empty()) work += send_waiting_cold();
    work += fanout_->pump();
    if (fanout_->busy()) ++work;
    sessions_->flush();
    door_->flush(now_ns_);
    wake_cores();
    if (now_ns_ >= housekeeping_ns_) housekeeping(now_ns_);

    ++stats_->turn_count;
    if (work > 0) {
        const uint64_t turn_ns = io_.clock.monotonic_ns() - began_ns;
        stats_->turn_ns.record(turn_ns);
        stats_->stall_ns_max = std::max(stats_->stall_ns_max, turn_ns);
    } else {
        ++stats_->idle_turn_count;
    }
    did_work_ = work > 0;
    return did_work_;
}

uint64_t Core::wait_ns() const {
    uint64_t until_ns = std::min({now_ns_ + kHousekeepingNs, door_->next_timer_ns(), feeds_->next_timer_ns()});
    for (const auto& slot : journals_) until_ns = std::min(until_ns, slot->journal->next_timer_ns());
    return std::min(until_ns - std::min(until_ns, now_ns_), io_.datagrams.wait_ns_max());
}

// While more than half the window waits for the device, receiving more would only move the waiting from the socket to us.
// One slow device among several holds up nobody but those who write to it: their frames wait where append finds no room.
bool Core::journals_behind() const {
    const uint64_t limit = box_.options.journal.window_bytes / 2;
    return !journals_.empty() && std::all_of(journals_.begin(), journals_.end(), [limit](const auto& slot) {
        return slot->acks.full() || slot->waiting_bytes > limit;
    });
}

size_t Core::take_in_events() {
    std::array<io::ConnectionEvent, 256> events;
    size_t total = 0;
    for (;;) {
        const size_t count = io_.connections.events(events);
        for (const io::ConnectionEvent& event : std::span(events).first(count)) {
            if (event.kind == io::ConnectionEvent::Kind::kAccepted) {
                const bool control = event.listener == control_listener_;
                sessions_->accept(event.connection, control, now_ns_);
                ingress::Session* accepted = sessions_->find(event.connection);
                if (control && !event.trusted && accepted != nullptr) {
                    (void)refuse_hello(*accepted, FrameHeader{}, {}, "another user at the control socket");
                }
                continue;
            }
            ingress::Session* session = sessions_->find(event.connection);
            if (session == nullptr) continue;  // Closed by us in the meantime.
            if (event.kind == io::ConnectionEvent::Kind::kReadable) {
                sessions_->mark_readable(*session);
            } else {
                session->outlet.set_writable();
                sessions_->mark_dirty(*session);
                fanout_->wake_outlet(session->id);
            }
        }
        total += count;
        if (count < events.size()) return total;
    }
}

size_t Core::take_in_messages() {
    size_t total = 0;
    // At most one quota's worth from each core and turn, so that no core starves the rest.
    const auto take = [&](reactor::SpscRing& ring, auto handle) {
        for (uint32_t i = 0; i < kHandoverQuota; ++i) {
            const auto bytes = ring.front();
            if (bytes.data() == nullptr) return;
            CoreMessage message;
            std::memcpy(static_cast<void*>(&message), bytes.data(), sizeof(message));
            handle(message, bytes.subspan(sizeof(message)));
            ring.release();
            ++total;
        }
    };
    for (uint32_t from = 0; from < box_.core_count; ++from) {
        if (from == index_.value) continue;
        take(box_.reply_rings[from][index_.value], [&](const CoreMessage& message, std::span<const std::byte>) {
            EAGRE_ASSERT_GT(handed_over_[from], 0U);
            --handed_over_[from];
            if (message.outlet == kFeedOutlet) {
                feeds_->on_reply(message.header, feed_now());
                return;
            }
            ingress::Session* session = sessions_->find(message.outlet);
            if (session != nullptr && message.header.kind == FrameKind::kAppendReply) --session->unanswered;
            reply({ack::ReplyTo::Kind::kConnection, index_, message.outlet}, message.header);
        });
        take(box_.rings[from][index_.value], [&](const CoreMessage& message, std::span<const std::byte> payload) {
            if (message.kind == CoreMessage::Kind::kCold) {
                on_cold(CoreIndex{from}, std::unique_ptr<ColdMessage>(static_cast<ColdMessage*>(message.cold)));
            } else {
                on_handed_over({ack::ReplyTo::Kind::kCore, CoreIndex{from}, message.outlet}, message.header, payload);
            }
        });
    }
    return total;
}

void Core::on_handed_over(const ack::ReplyTo& to, const FrameHeader& header, std::span<const std::byte> payload) {
    if (header.kind == FrameKind::kLocate) {
        locate(header, to);
        return;
    }
    if (header.kind == FrameKind::kMeasure) {
        measure(header, to);
        return;
    }
    shard::Shard* target = shard(ShardId{header.shard});
    if (target == nullptr) {
        const Error absent = why_absent(ShardId{header.shard});
        count_error(absent.code);
        FrameHeader answer = frame::reply_to(header, FrameKind::kAppendReply, absent);
        answer.number = header.number;
        const bool silent = frame::ack_mode_of(header) == frame::AckMode::kNone;
        reply(silent ? ack::ReplyTo{to.kind, to.core, {}} : to, answer);
        return;
    }
    const bool check_map = (header.flags & frame::kAppendRouteForMe) == 0;
    append_here(*target, header, payload, to, check_map, false);
}

size_t Core::acknowledge() {
    size_t total = 0;
    moved_.clear();
    for (auto& slot : journals_) {
        const auto answer = [&](const ack::AckEntry& entry, Errc code) {
            FrameHeader header;
            header.kind = FrameKind::kAppendReply;
            header.flags = static_cast<uint16_t>(code);
            header.correlation = entry.correlation;
            header.shard = entry.shard.value;
            header.number = entry.batch.value;
            header.sequence = entry.first_sequence.value;
            header.record_count = entry.record_count;
            if (entry.to.kind == ack::ReplyTo::Kind::kConnection || entry.to.kind == ack::ReplyTo::Kind::kDatagram) {
                ingress::Session* session = sessions_->find(entry.to.outlet);
                if (session != nullptr) --session->unanswered;
            }
            reply(entry.to, header);
        };
        total += slot->acks.drain(slot->journal->durable(), [&](const ack::AckEntry& entry) {
            slot->waiting_bytes -= entry.payload_bytes;
            if (entry.durable_after.value != 0) {
                shard::Shard* moved = shard(entry.shard);
                if (moved != nullptr) {
                    moved->advance_durable(std::max(moved->durable, entry.durable_after));
                    if (moved_.empty() || moved_.back() != moved) moved_.push_back(moved);
                }
            }
            ++stats_->batches_acknowledged;
            if (entry.to.kind != ack::ReplyTo::Kind::kNobody) stats_->ack_ns.record(now_ns_ - entry.received_ns);
            answer(entry, Errc::kOk);
        });
        if (slot->journal->failed() && !slot->acks.empty()) {
            // Stored or not: nobody knows before recovery.
            slot->waiting_bytes = 0;
            slot->acks.drain_failed([&](const ack::AckEntry& entry) {
                count_error(Errc::kOutcomeUnknown);
                answer(entry, Errc::kOutcomeUnknown);
                ++total;
            });
        }
        if (slot->journal->failed() && !slot->failure_reported) {
            slot->failure_reported = true;
            std::fprintf(stderr, "eagred: core %u: a journal write or sync failed; its shards refuse writes until eagred is restarted\n",
                         index_.value);
        }
    }
    for (shard::Shard* moved : moved_) fanout_->wake_shard(*moved);
    return total;
}

size_t Core::retry_locates() {
    const std::vector<LocatePending> pending = std::move(locates_);
    locates_.clear();
    size_t answered = 0;
    for (const LocatePending& entry : pending) {
        FrameHeader request;
        request.kind = entry.kind;
        if (entry.kind == FrameKind::kLocate) request.flags = static_cast<uint16_t>(frame::Position::kAtTimestamp);
        request.correlation = entry.correlation;
        request.shard = entry.shard.value;
        request.sequence = entry.value;
        const size_t before = locates_.size();
        if (entry.kind == FrameKind::kMeasure) {
            measure(request, entry.to);
        } else {
            locate(request, entry.to);
        }
        if (locates_.size() == before) ++answered;
    }
    return answered;
}

void Core::wake_cores() {
    for (uint32_t core = 0; core < box_.core_count; ++core) {
        if (!wake_[core]) continue;
        wake_[core] = false;
        if (box_.events[core] != nullptr) box_.events[core]->wake();
    }
}

void Core::housekeeping(uint64_t now_ns) {
    housekeeping_ns_ = now_ns + kHousekeepingNs;
    stats_->heartbeat_ns = now_ns;
    sessions_->expire(now_ns);
    door_->housekeeping();
    feeds_->housekeeping();
    close_void_grants();
    expire_relayed();
    keep_map(false);
    // Summed aside first: a reader of the board never sees half a sum.
    journal::JournalStats sum;
    for (const auto& slot : journals_) {
        const journal::JournalStats& j = slot->journal->stats();
        sum.commit_count += j.commit_count;
        sum.journal_bytes += j.journal_bytes;
        sum.device_written_bytes += j.device_written_bytes;
        sum.device_read_bytes += j.device_read_bytes;
        sum.segments_live += j.segments_live;
        sum.segments_ready += j.segments_ready;
        sum.segments_recycled += j.segments_recycled;
        sum.damaged_run_count += j.damaged_run_count;
        sum.alive_bytes += j.alive_bytes;
        sum.used_bytes += j.used_bytes;
        sum.relocated_bytes += j.relocated_bytes;
        sum.segments_damaged += j.segments_damaged;
        sum.failed |= j.failed;
        sum.disk_full |= j.disk_full;
    }
    shm::CoreStats& s = *stats_;
    s.commit_count = sum.commit_count;
    s.journal_bytes = sum.journal_bytes;
    s.device_written_bytes = sum.device_written_bytes;
    s.device_read_bytes = sum.device_read_bytes;
    s.segments_live = sum.segments_live;
    s.segments_ready = sum.segments_ready;
    s.segments_recycled = sum.segments_recycled;
    s.damaged_runs = sum.damaged_run_count;
    s.alive_bytes = sum.alive_bytes;
    s.used_bytes = sum.used_bytes;
    s.relocated_bytes = sum.relocated_bytes;
    s.segments_damaged = sum.segments_damaged;
    s.journal_failed = sum.failed ? 1 : 0;
    s.disk_full = sum.disk_full ? 1 : 0;
    s.cpu_ns = io_.clock.thread_cpu_ns();
    io_.datagrams.read_stats(s.nic);
    for (size_t i = 0; i < journals_.size(); ++i) {
        if (i == 0) {
            s.write_ns = journals_[i]->journal->write_latency_ns();
            s.sync_ns = journals_[i]->journal->sync_latency_ns();
        } else {
            s.write_ns.merge(journals_[i]->journal->write_latency_ns());
            s.sync_ns.merge(journals_[i]->journal->sync_latency_ns());
        }
    }
    if (now_ns < retention_ns_) return;
    retention_ns_ = now_ns + kRetentionNs;
    retain(now_ns);
    report_room();
}

void Core::retain(uint64_t now_ns) {
    const uint64_t trim_ns = retention_clock_->advance(wall_ns_, now_ns);
    stats_->clock_waits = retention_clock_->waits() ? 1 : 0;
    limit_streams();
    // A clock that waits for the operator holds up age, not size.
    for (const auto& slot : journals_) slot->journal->retain(retention_clock_->waits() ? 0 : trim_ns);
    // By the clock that never runs ahead: a wall clock that jumps must not make the box forget who it has answered.
    producers_.expire(trim_ns);
    if (!retention_clock_->waits()) report_spent_shards(trim_ns);
    for (const auto& [id, shard] : shards_) shard->stats->trim_horizon = shard->trim_horizon().value;
}

// Each journal gives up the part of the excess that it has of the stream: what is stored on all cores counts.
void Core::limit_streams() {
    for (const auto& [name, stream] : directory_.streams()) {
        uint64_t own_bytes = 0;
        for (const auto& slot : journals_) own_bytes += slot->journal->stored_bytes(stream->id);
        box_.usage.publish(index_, stream->id, own_bytes);
        if (stream->retention_bytes == 0) continue;
        const uint64_t total_bytes = box_.usage.total(stream->id);
        if (total_bytes <= stream->retention_bytes) continue;
        // A little below the limit, so that it is not passed again at once: each horizon that rises is a fact to be written.
        const uint64_t wanted_bytes = stream->retention_bytes - stream->retention_bytes / kRetentionSlackPart;
        for (const auto& slot : journals_) {
            const Uint128 part = static_cast<Uint128>(slot->journal->stored_bytes(stream->id)) * wanted_bytes / total_bytes;
            slot->journal->limit_stream(stream->id, static_cast<uint64_t>(part));
        }
    }
}

// A line when writes begin to be refused, one when they are taken again, and one for what was given up to make room.
void Core::report_room() {
    bool full = false;
    uint64_t trimmed = 0;
    for (const auto& slot : journals_) {
        full = full || slot->journal->stats().disk_full;
        trimmed += slot->journal->stats().segments_trimmed;
    }
    if (full != full_reported_) {
        std::fprintf(stderr, full ? "eagred: core %u: no room for another segment: writes will be refused, reads, retention and deletion go on\n"
                                  : "eagred: core %u: there is room again\n",
                     index_.value);
        full_reported_ = full;
    }
    if (trimmed != segments_trimmed_) {
        std::fprintf(stderr, "eagred: core %u: the oldest records were given up to make room (%llu segments)\n", index_.value,
                     static_cast<unsigned long long>(trimmed - segments_trimmed_));
        segments_trimmed_ = trimmed;
    }
}

}  // namespace eagre
