// What a feed does when its sockets, its stream or the stream's map change. Cold.
#include <algorithm>
#include <map>

#include "dataplane/feed/feed.h"
#include "wire/base/assert.h"

namespace eagre::feed {
namespace {

uint64_t window_ns(const feeds::FeedSpec& spec) { return uint64_t{spec.window_ms} * 1'000'000; }

feeds::KeyRule rule_of(const feeds::FeedSpec& spec) {
    auto rule = feeds::KeyRule::parse(spec.key);
    EAGRE_ASSERT(rule);  // feeds::check() has read it.
    return std::move(*rule);
}

const shard::ShardEntry* entry_of(const shard::StreamEntry& stream, ShardId id) {
    const auto at = std::find_if(stream.shards.begin(), stream.shards.end(), [id](const auto& each) { return each.id == id; });
    return at == stream.shards.end() ? nullptr : &*at;
}

}  // namespace

Feed::Feed(const feeds::FeedSpec& spec, io::Datagrams& datagrams, Surroundings& surroundings, const Resume& resume, shm::FeedStats& stats, uint64_t seed,
           uint64_t token)
    : spec_(spec),
      datagrams_(datagrams),
      surroundings_(surroundings),
      resume_(resume),
      stats_(stats),
      rule_(rule_of(spec)),
      arbiter_(*this, feeds::ArbiterLimits{.window_ns = window_ns(spec)}),
      next_token_(token),
      hot_keys_(kFeedHotKeyCount, seed) {
    stats_ = shm::FeedStats{};
    for (const feeds::FeedLine& options : spec_.lines) {
        Line& line = lines_.emplace_back();
        line.options = options;
        line.local = io::parse_address(options.address, options.port);
        if (!options.source.empty()) line.source = io::parse_address(options.source, 0);
    }
    stats_.line_count = lines_.size();
    spec_.name.copy(stats_.name, sizeof(stats_.name) - 1);
    set_state(spec_.paused ? shm::FeedState::kPaused : shm::FeedState::kNoStream);
    stats_.id = spec_.id;
}

Feed::~Feed() {
    close_lines();
    stats_.id = 0;
}

void Feed::set_state(shm::FeedState state, const Error& error) {
    stats_.error = static_cast<uint64_t>(error.code);
    stats_.os_errno = static_cast<uint64_t>(error.os_errno);
    stats_.state = static_cast<uint64_t>(state);
}

void Feed::set_paused(bool paused) {
    spec_.paused = paused;
    if (paused) {
        close_lines();
        arbiter_.finish();
        set_state(shm::FeedState::kPaused);
    }
    retry_at_ns_ = 0;
}

void Feed::close(const Now& now) {
    now_ = now;
    closed_ = true;
    close_lines();
    arbiter_.finish();
    flush(true);
}

bool Feed::open_lines(uint64_t now_ns) {
    const auto missing = [](const Line& line) { return !line.inlet; };
    if (std::none_of(lines_.begin(), lines_.end(), missing)) return true;
    if (now_ns < retry_at_ns_) return false;
    retry_at_ns_ = now_ns + kFeedRetryNs;
    for (Line& line : lines_) {
        if (line.inlet) continue;
        const auto inlet = datagrams_.open_inlet({line.local, line.source, line.options.interface});
        if (!inlet) {
            set_state(shm::FeedState::kRefused, inlet.error());
            return false;
        }
        line.inlet = *inlet;
    }
    set_state(shm::FeedState::kListening);
    return true;
}

void Feed::close_lines() {
    housekeeping();
    for (Line& line : lines_) {
        if (!line.inlet) continue;
        line.overflowed_before += datagrams_.inlet_dropped(*line.inlet);
        datagrams_.close_inlet(*line.inlet);
        line.inlet.reset();
    }
}

void Feed::housekeeping() {
    for (size_t i = 0; i < lines_.size(); ++i) {
        const Line& line = lines_[i];
        stats_.lines[i].overflowed = line.overflowed_before + (line.inlet ? datagrams_.inlet_dropped(*line.inlet) : 0);
    }
}

// True when there is a map to store by.
bool Feed::follow_map() {
    const shard::StreamEntry* stream = surroundings_.stream(spec_.stream);
    if (stream == nullptr) {
        if (mapped_) {
            // Deleted: what waits has nowhere to go.
            for (const auto& [id, lane] : lanes_) stats_.unstored += lane->builder.record_count();
            lanes_.clear();
            in_order_.clear();
            places_.clear();
            leaving_.clear();
            hot_keys_.clear();
            constant_lane_ = nameless_lane_ = nullptr;
            mapped_ = false;
            close_lines();
        }
        if (!spec_.paused) set_state(shm::FeedState::kNoStream);
        retry_at_ns_ = now_.monotonic_ns + kFeedRetryNs;
        return false;
    }
    if (mapped_ && stream->map_version == map_version_) return true;
    rebuild(*stream);
    if (!mapped_) retry_at_ns_ = 0;
    mapped_ = true;
    map_version_ = stream->map_version;
    return true;
}

ProducerId Feed::producer(bool alone) const { return remembered_ && source_.session != 0 ? producer_of(source_, alone) : ProducerId{}; }

Place* Feed::place_for(const shard::ShardEntry& entry) {
    const shard::Shard* here = surroundings_.shard(entry.id);
    if (here != nullptr) {
        for (const auto& place : places_) {
            if (place->journal() == here->journal) return place.get();
        }
    }
    places_.push_back(std::make_unique<Place>(surroundings_, here != nullptr ? here->journal : nullptr, entry.core, next_token_++, told_next_));
    places_.back()->set_source(producer(here == nullptr));
    return places_.back().get();
}

// Lanes of shards that go on stay as they are; what waits for others is routed by the new map, in order.
void Feed::rebuild(const shard::StreamEntry& stream) {
    std::unordered_map<ShardId, std::unique_ptr<Lane>> before = std::move(lanes_);
    lanes_.clear();
    in_order_.clear();
    hot_keys_.clear();
    std::vector<std::unique_ptr<Lane>> made;
    for (const uint32_t index : stream.open_by_range) {
        const shard::ShardEntry& entry = stream.shards[index];
        if (!entry.available) continue;
        const bool here = surroundings_.shard(entry.id) != nullptr;
        std::unique_ptr<Lane>& lane = lanes_[entry.id];
        const auto old = before.find(entry.id);
        if (old != before.end() && old->second->place->is_remote() != here) {
            lane = std::move(old->second);
            before.erase(old);
        } else {
            lane = std::make_unique<Lane>();
            lane->shard = entry.id;
            lane->core = entry.core;
            lane->range = entry.range;
            lane->place = place_for(entry);
            for (const ShardId parent : {entry.parent, entry.adjacent_parent}) {
                const auto known = before.find(parent);
                if (known != before.end()) lane->skip_before = std::max(lane->skip_before, known->second->skip_before);
            }
        }
        in_order_.push_back(lane.get());
    }
    std::vector<Group::Piece> pieces;
    for (const auto& [id, lane] : before) lane->place->take_out(*lane, pieces);
    before.clear();
    const auto used = [this](const std::unique_ptr<Place>& place) {
        return std::any_of(in_order_.begin(), in_order_.end(), [&](const Lane* lane) { return lane->place == place.get(); });
    };
    for (auto& place : places_) {
        if (!used(place) && !place->settled()) leaving_.push_back(std::move(place));
    }
    std::erase_if(places_, [&](const auto& place) { return place == nullptr || !used(place); });
    constant_lane_ = rule_.kind() == feeds::KeyRule::Kind::kConstant ? lane_of(rule_.constant()) : nullptr;
    nameless_lane_ = lane_of(spec_.name);
    route_anew(pieces);
}

void Feed::route_anew(std::span<const Group::Piece> pieces) {
    for (const Group::Piece& piece : pieces) {
        const auto batch = frame::BatchView::trusted(piece.payload);
        for (uint32_t i = 0; i < batch.record_count(); ++i) {
            const frame::RecordView record = batch.record(i);
            Lane* lane = lane_of(record.partition_key);
            if (rule_.kind() == feeds::KeyRule::Kind::kRoundRobin && !in_order_.empty()) lane = in_order_[i % in_order_.size()];
            if (lane == nullptr) {
                ++stats_.unstored;
                continue;
            }
            if (!record.gap) --stats_.records;  // Counted when it came.
            stats_.record_bytes -= record.data.size();
            add(*lane, record);
            if (record.gap) --stats_.records;
        }
    }
}

void Feed::resume_lanes(const shard::StreamEntry& stream) {
    for (Lane* lane : in_order_) {
        const shard::ShardEntry* entry = entry_of(stream, lane->shard);
        if (entry != nullptr) lane->skip_before = resume_.next_of(source_, stream, *entry);
    }
}

}  // namespace eagre::feed
