#include "dataplane/feed/place.h"

#include <algorithm>
#include <utility>

#include "wire/base/assert.h"

namespace eagre::feed {
namespace {

// What a batch takes before its first record, and for being aligned.
constexpr size_t kLaneOverheadBytes = 192;

uint64_t gaps_in(std::span<const std::byte> payload) {
    const auto batch = frame::BatchView::trusted(payload);
    uint64_t count = 0;
    for (uint32_t i = 0; i < batch.record_count(); ++i) count += batch.record(i).gap ? 1U : 0U;
    return count;
}

}  // namespace

Place::Place(Surroundings& surroundings, journal::Journal* journal, CoreIndex core, uint64_t token, const uint64_t& number)
    : surroundings_(surroundings),
      journal_(journal),
      core_(core),
      token_(token),
      group_bytes_max_(journal == nullptr ? kRemoteGroupBytesMax : std::min(kGroupBytesMax, journal->group_bytes_max())),
      number_(number) {}

bool Place::add(Lane& lane, const frame::RecordView& record, size_t bytes, uint64_t now_ns) {
    if (!lane.builder.add(record)) return false;
    if (!lane.dirty) {
        lane.dirty = true;
        dirty_.push_back(&lane);
        pending_bytes_ += kLaneOverheadBytes;
        if (dirty_.size() == 1) since_ns_ = now_ns;
    }
    pending_bytes_ += bytes;
    ++pending_records_;
    if (record.gap) ++pending_gaps_;
    if (!stamps_.empty() && stamps_.back().ns == record.source_time_ns) ++stamps_.back().record_count;
    else stamps_.push_back({record.source_time_ns, 1});
    return true;
}

bool Place::flush_due(uint64_t now_ns) const {
    if (!aside_.empty()) return true;
    if (dirty_.empty()) return false;
    if (pending_bytes_ >= kFlushBytes || now_ns >= since_ns_ + kFlushNs) return true;
    const uint64_t gathered_ns = now_ns - flushed_ns_;
    if (pending_records_ * 1'000'000'000 >= kGatherRatePerS * gathered_ns && now_ns < since_ns_ + kGatherNs) return false;
    // What would be stored now could not be written before the device has finished: better gather, a larger batch costs less.
    return journal_ == nullptr || !journal_->busy() || journal_->durable() != flushed_durable_;
}

bool Place::flush(uint64_t now_ns) {
    now_ns_ = now_ns;
    while (!aside_.empty()) {
        Group& group = aside_.front();
        views_.clear();
        for (const Group::Piece& piece : group.pieces) views_.push_back({piece.shard, piece.record_count, piece.payload});
        if (!store(views_, group.producer, group.number, group.record_count, group.stamps)) return false;
        aside_bytes_ -= group.bytes;
        aside_.pop_front();
    }
    if (dirty_.empty()) return true;
    return store_open();
}

bool Place::store_open() {
    views_.clear();
    for (Lane* lane : dirty_) views_.push_back({lane->shard, lane->builder.record_count(), lane->builder.finish()});
    if (!store(views_, producer_, number_, pending_records_ - pending_gaps_, stamps_)) return false;
    clear_open();
    return true;
}

void Place::clear_open() {
    for (Lane* lane : dirty_) {
        lane->builder.clear();
        lane->dirty = false;
    }
    dirty_.clear();
    stamps_.clear();
    pending_bytes_ = 0;
    pending_records_ = 0;
    pending_gaps_ = 0;
}

void Place::make_room(uint64_t now_ns) {
    if (!flush(now_ns)) put_aside();
}

void Place::put_aside() {
    Group& group = aside_.emplace_back();
    group.producer = producer_;
    group.number = number_;
    group.record_count = pending_records_ - pending_gaps_;
    group.bytes = pending_bytes_;
    group.stamps = std::move(stamps_);
    stamps_ = {};
    for (Lane* lane : dirty_) {
        const auto payload = lane->builder.finish();
        group.pieces.push_back({lane->shard, lane->builder.record_count(), {payload.begin(), payload.end()}});
    }
    aside_bytes_ += group.bytes;
    clear_open();
}

// Everything that an append could be refused for, asked before the first one: a group is stored whole or not at all.
Error Place::check(std::span<const View> views, uint64_t& bytes, uint32_t& count) {
    for (const View& view : views) {
        const shard::Shard* shard = surroundings_.shard(view.shard);
        if (shard == nullptr) continue;  // Deleted: nobody waits for it.
        if (shard->closing || !shard->facts.open) return error_of(Errc::kBusy);  // A new map is on its way.
        if (shard->quota.limited()) {
            if (const uint64_t wait_ns = shard->quota.wait_ns(now_ns_); wait_ns > 0) return error_of(Errc::kThrottled, wait_ns);
        }
        bytes += view.payload.size();
        ++count;
    }
    if (count == 0) return {};
    const Status room = surroundings_.begin_group(*journal_, count, bytes);
    return room ? Error{} : room.error();
}

frame::FrameHeader Place::header_of(const View& view, ProducerId producer, uint64_t number) const {
    frame::FrameHeader header;
    header.kind = frame::FrameKind::kAppend;
    header.payload_bytes = static_cast<uint32_t>(view.payload.size());
    header.correlation = token_;
    header.shard = view.shard.value;
    header.detail = producer.value;
    header.number = producer.value == 0 ? 0 : number;
    header.record_count = view.record_count;
    return header;
}

bool Place::store(std::span<const View> views, ProducerId producer, uint64_t number, uint64_t record_count, std::vector<Group::Stamp>& stamps) {
    if (is_remote()) {
        if (in_flight_) return false;
        EAGRE_ASSERT_EQ(views.size(), 1U);
        if (!surroundings_.hand_over_fed(core_, header_of(views[0], producer, number), views[0].payload)) return false;
        in_flight_ = true;
        sent_ = Group{};
        sent_.producer = producer;
        sent_.number = number;
        sent_.record_count = record_count;
        sent_.pieces.push_back({views[0].shard, views[0].record_count, {views[0].payload.begin(), views[0].payload.end()}});
        sent_.stamps = std::move(stamps);
        stamps = {};
        return true;
    }
    uint64_t bytes = 0;
    uint32_t count = 0;
    blocked_ = check(views, bytes, count);
    if (blocked_.code != Errc::kOk) return false;
    flushed_durable_ = journal_->durable();
    flushed_ns_ = now_ns_;
    if (count == 0) return true;
    Outstanding& outstanding = outstanding_.emplace_back();
    for (const View& view : views) {
        shard::Shard* shard = surroundings_.shard(view.shard);
        if (shard == nullptr) continue;
        const journal::CommitNumber commit = surroundings_.append_fed(*shard, header_of(view, producer, number), view.payload);
        EAGRE_ASSERT(outstanding.commit.value == 0 || outstanding.commit == commit);
        outstanding.commit = commit;
    }
    outstanding.number = number;
    outstanding.record_count = record_count;
    if (!spare_stamps_.empty()) {
        outstanding.stamps = std::move(spare_stamps_.back());
        spare_stamps_.pop_back();
    }
    outstanding.stamps.swap(stamps);
    return true;
}

uint64_t Place::account(Outstanding& done, uint64_t wall_ns, Histogram& durable_ns) {
    for (const Group::Stamp& stamp : done.stamps) durable_ns.record(wall_ns - std::min(wall_ns, stamp.ns), stamp.record_count);
    durable_number_ = done.number;
    done.stamps.clear();
    spare_stamps_.push_back(std::move(done.stamps));
    return done.record_count;
}

uint64_t Place::settle(uint64_t wall_ns, Histogram& durable_ns) {
    uint64_t records = 0;
    while (!outstanding_.empty() && outstanding_.front().commit <= journal_->durable()) {
        records += account(outstanding_.front(), wall_ns, durable_ns);
        outstanding_.pop_front();
    }
    return records;
}

bool Place::on_reply(const frame::FrameHeader& header, uint64_t wall_ns, Histogram& durable_ns, uint64_t& durable_records, Group& again) {
    if (!in_flight_) return false;
    const auto code = static_cast<Errc>(header.flags);
    in_flight_ = false;
    blocked_ = {};
    if (code == Errc::kOk) {
        Outstanding done{{}, sent_.number, sent_.record_count, std::move(sent_.stamps)};
        durable_records += account(done, wall_ns, durable_ns);
        sent_ = {};
        return false;
    }
    if (code == Errc::kShardClosed || code == Errc::kUnknownShard || code == Errc::kNotOwner) {
        again = std::move(sent_);
        sent_ = {};
        return true;
    }
    // kBusy and whatever else may be over in a moment: the same once more, before what came later.
    blocked_ = error_of(code, header.detail);
    for (const Group::Piece& piece : sent_.pieces) sent_.bytes += piece.payload.size();
    aside_bytes_ += sent_.bytes;
    aside_.push_front(std::move(sent_));
    sent_ = {};
    return false;
}

void Place::take_out(Lane& lane, std::vector<Group::Piece>& pieces) {
    for (Group& group : aside_) {
        const auto mine = std::stable_partition(group.pieces.begin(), group.pieces.end(), [&](const Group::Piece& piece) { return piece.shard != lane.shard; });
        for (auto at = mine; at != group.pieces.end(); ++at) {
            group.record_count -= std::min<uint64_t>(group.record_count, at->record_count - gaps_in(at->payload));
            pieces.push_back(std::move(*at));
        }
        group.pieces.erase(mine, group.pieces.end());
    }
    std::erase_if(aside_, [this](const Group& group) {
        if (group.pieces.empty()) aside_bytes_ -= group.bytes;
        return group.pieces.empty();
    });
    if (!lane.dirty) return;
    const auto payload = lane.builder.finish();
    const uint64_t gaps = gaps_in(payload);
    pending_records_ -= lane.builder.record_count();
    pending_gaps_ -= gaps;
    pieces.push_back({lane.shard, lane.builder.record_count(), {payload.begin(), payload.end()}});
    std::erase(dirty_, &lane);
    lane.builder.clear();
    lane.dirty = false;
    if (dirty_.empty()) clear_open();
}

}  // namespace eagre::feed
