// What a changed shard map does to a producer: new lanes, retired lanes, records that go to the
// children of a closed shard.
#include <algorithm>
#include <iterator>

#include "wire/base/assert.h"
#include "wire/client/producer_impl.h"

namespace eagre::client {
namespace {

HashKey next_key(const HashKey& key) {
    return {key.low == UINT64_MAX ? key.high + 1 : key.high, key.low + 1};
}

// Between the opening of two children a map may have a hole: records wait until it is closed.
bool covers_all_keys(const StreamDescription& stream) {
    std::vector<HashKeyRange> ranges;
    for (const ShardDescription& shard : stream.shards) {
        if (shard.open) ranges.push_back(shard.range);
    }
    std::sort(ranges.begin(), ranges.end(),
              [](const auto& a, const auto& b) { return a.starting < b.starting; });
    if (ranges.empty() || ranges.front().starting != HashKey{} ||
        ranges.back().ending != kHashKeyMax)
        return false;
    for (size_t i = 1; i < ranges.size(); ++i) {
        if (ranges[i].starting != next_key(ranges[i - 1].ending)) return false;
    }
    return true;
}

}  // namespace

uint64_t ProducerImpl::new_producer_id() {
    uint64_t id = 0;
    while (options_.idempotent && (id == 0 || is_feed_producer(ProducerId{id}))) id = client_.transport().random();
    return id;
}

void ProducerImpl::learn(const StreamDescription& stream) {
    latest_ = stream;
    record_bytes_max_ = stream.record_bytes_max != 0 ? stream.record_bytes_max : kRecordDataBytesDefault;
}

// Lanes of open shards in the order of their ranges, new ones made.
void ProducerImpl::build_routes() {
    routes_.clear();
    keys_.clear();
    lanes_by_shard_.build(lanes_);
    for (const ShardDescription& shard : latest_.shards) {
        if (!shard.open) continue;
        Lane* lane = lanes_by_shard_.find(shard.id.value);
        if (lane == nullptr) {
            lane = lanes_.emplace_back(std::make_unique<Lane>()).get();
            lane->producer_id = new_producer_id();
            lane->shard = shard;
        }
        routes_.push_back(lane);
    }
    lanes_by_shard_.build(lanes_);
    std::sort(routes_.begin(), routes_.end(), [](const Lane* a, const Lane* b) {
        return a->shard.range.starting < b->shard.range.starting;
    });
}

// The shard is closed: the batch at `index` was not stored and never will be, nor any behind it.
void ProducerImpl::retire(Lane& lane, size_t index) {
    go_back(lane, index);
    lane.retired = true;
    reroute_wanted_ = true;
    for (size_t i = index; i < lane.queue.size(); ++i) {
        lane.queue[i]->refused = true;
        lane.queue[i]->correlation = 0;
    }
    client_.refresh(stream_);
    try_reroute();
}

void ProducerImpl::on_map(const StreamDescription& stream) {
    if (stream.name != stream_) return;
    ++stats_.map_refresh_count;
    if (stream.shards.empty()) {
        fail_everything(error_of(Errc::kUnknownStream));
        return;
    }
    if (stream.map_version < latest_.map_version) {
        client_.refresh(stream_);
        return;
    }
    learn(stream);
    const uint64_t now = client_.now_ns();
    bool changed = false;
    for (const auto& lane : lanes_) lane->retired = true;
    for (const ShardDescription& shard : stream.shards) {
        Lane* const known = lanes_by_shard_.find(shard.id.value);
        if (known == nullptr) {
            changed = changed || shard.open;
            continue;
        }
        Lane& lane = *known;
        lane.retired = !shard.open;
        const bool moved = lane.shard.core != shard.core;
        if (moved) go_back(lane, 0);
        lane.shard = shard;
    }
    for (const auto& lane : lanes_) {
        // The box said closed, whatever this map still says.
        const bool refused = std::any_of(lane->queue.begin(), lane->queue.end(),
                                         [](const auto& batch) { return batch->refused; });
        lane->retired = lane->retired || refused;
        changed = changed || lane->retired;
    }
    reroute_wanted_ = reroute_wanted_ || changed;
    if (reroute_wanted_) try_reroute();
    for (const auto& lane : lanes_) {
        if (lane->waits_for_map) {
            lane->waits_for_map = false;
            // Should the box still call the map stale, this is no tight loop.
            if (!lane->queue.empty()) retry_later(*lane, lane->sent, 0);
        }
        send(*lane, now);
    }
}

// Takes the latest map into use once nothing that was sent to a closed shard waits for its answer.
void ProducerImpl::try_reroute() {
    if (!covers_all_keys(latest_)) return;
    for (const auto& lane : lanes_) {
        if (!lane->retired) continue;
        const bool settled =
            std::all_of(lane->queue.begin(), lane->queue.end(), [](const BatchPointer& batch) {
                return batch->done || batch->refused || batch->attempt_count == 0;
            });
        const bool closed = std::none_of(latest_.shards.begin(), latest_.shards.end(),
                                         [&](const ShardDescription& shard) {
                                             return shard.id == lane->shard.id && shard.open;
                                         });
        if (!settled || !closed) return;
    }
    reroute_wanted_ = false;
    std::vector<std::unique_ptr<Lane>> retired;
    for (auto& lane : lanes_) {
        if (!lane->retired) continue;
        if (lane->open != nullptr) close_batch(*lane);  // Retired: closed, not sent.
        std::erase(blocked_, lane.get());
        retired.push_back(std::move(lane));
    }
    std::erase_if(lanes_, [](const auto& lane) { return lane == nullptr; });
    build_routes();
    std::vector<BatchPointer> left;
    for (const auto& lane : retired) {
        settle(*lane);
        std::move(lane->queue.begin(), lane->queue.end(), std::back_inserter(left));
    }
    move_records(std::move(left));
}

void ProducerImpl::move_records(std::vector<BatchPointer> batches) {
    struct Moving {
        uint64_t tag = 0;
        uint32_t batch = 0;
        uint32_t index = 0;
    };
    std::vector<frame::BatchView> views;
    std::vector<Moving> records;
    for (uint32_t at = 0; at < batches.size(); ++at) {
        const Batch& batch = *batches[at];
        EAGRE_ASSERT(!batch.done);
        in_flight_bytes_ -= batch.window_bytes;
        closed_bytes_ -= batch.window_bytes;
        views.push_back(frame::BatchView::trusted(batch.payload()));
        for (uint32_t i = 0; i < views.back().record_count(); ++i) records.push_back({batch.tags[i], at, i});
    }
    if (options_.tags_grow) std::stable_sort(records.begin(), records.end(), [](const Moving& a, const Moving& b) { return a.tag < b.tag; });
    for (const Moving& each : records) {
        const frame::RecordView record = views[each.batch].record(each.index);
        Lane* const lane = find_lane(frame::hash_of(record));
        EAGRE_ASSERT(lane != nullptr);  // covers_all_keys() held.
        const Status added = add(*lane, record, each.tag);
        EAGRE_ASSERT(added.has_value());  // It was added once before, and counted.
        --stats_.record_count;
        const Batch& batch = *batches[each.batch];
        if (batch.sync_serial == 0 || batch.sync_index != each.index) continue;
        Batch& target = lane->open != nullptr ? *lane->open : *lane->queue.back();
        target.sync_serial = batch.sync_serial;
        target.sync_index = static_cast<uint32_t>((lane->open != nullptr ? lane->tags : target.tags).size() - 1);
    }
    for (BatchPointer& batch : batches) recycle(std::move(batch));
}

void ProducerImpl::fail_everything(Error error) {
    routes_.clear();
    keys_.clear();
    flush();
    for (const auto& lane : lanes_) {
        for (const BatchPointer& batch : lane->queue) {
            if (batch->done) continue;
            batch->done = true;
            batch->error = error;
        }
        settle(*lane);
    }
    reroute_wanted_ = false;
}

}  // namespace eagre::client
