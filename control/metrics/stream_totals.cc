#include "control/metrics/stream_totals.h"

namespace eagre::metrics {
namespace {

StreamCounters counters_of(const shm::ShardStats& shard) {
    return {shard.records_in, shard.bytes_in, shard.batches_in, shard.records_out, shard.bytes_out};
}

bool ran_backwards(const StreamCounters& before, const StreamCounters& now) {
    return now.records_in < before.records_in || now.bytes_in < before.bytes_in ||
           now.batches_in < before.batches_in || now.records_out < before.records_out ||
           now.bytes_out < before.bytes_out;
}

}  // namespace

void StreamCounters::add(const StreamCounters& other) {
    records_in += other.records_in;
    bytes_in += other.bytes_in;
    batches_in += other.batches_in;
    records_out += other.records_out;
    bytes_out += other.bytes_out;
}

std::vector<shm::ShardStats> distinct_shards(const shm::StatsSnapshot& snapshot) {
    std::vector<shm::ShardStats> distinct;
    distinct.reserve(snapshot.shards().size());
    for (const shm::ShardStats& shard : snapshot.shards()) {
        if (distinct.empty() || distinct.back().shard != shard.shard) {
            distinct.push_back(shard);
            continue;
        }
        shm::ShardStats& kept = distinct.back();
        StreamCounters sum = counters_of(kept);
        sum.add(counters_of(shard));
        if (shard.durable_sequence >= kept.durable_sequence) kept = shard;
        kept.records_in = sum.records_in;
        kept.bytes_in = sum.bytes_in;
        kept.batches_in = sum.batches_in;
        kept.records_out = sum.records_out;
        kept.bytes_out = sum.bytes_out;
    }
    return distinct;
}

void StreamTotals::update(const shm::StatsSnapshot& snapshot,
                          const std::vector<shm::ShardStats>& shards) {
    if (snapshot.header().incarnation != incarnation_ || snapshot.header().pid != pid_) {
        incarnation_ = snapshot.header().incarnation;
        pid_ = snapshot.header().pid;
        seen_.clear();
        departed_.clear();
    }
    std::map<uint64_t, Seen> seen;
    std::map<std::string, Stream, std::less<>> streams;
    for (const shm::ShardStats& shard : shards) {
        const std::string_view name = shm::stream_name(shard);
        const StreamCounters counters = counters_of(shard);
        if (const auto old = seen_.find(shard.shard); old != seen_.end()) {
            // On another core it counts from 0.
            if (ran_backwards(old->second.counters, counters))
                departed_[old->second.stream].add(old->second.counters);
            seen_.erase(old);
        }
        seen[shard.shard] = Seen{std::string(name), counters};
        Stream& stream = streams[std::string(name)];
        stream.id = shard.stream;
        stream.counters.add(counters);
        ++(shard.open != 0 ? stream.now.open_shard_count : stream.now.closed_shard_count);
        if (shard.durable_sequence > shard.trim_horizon)
            stream.now.record_count += shard.durable_sequence - shard.trim_horizon;
    }
    for (const auto& [shard, gone] : seen_) departed_[gone.stream].add(gone.counters);
    seen_ = std::move(seen);
    std::erase_if(departed_, [&](const auto& departed) {
        const auto now = streams.find(departed.first);
        const auto before = streams_.find(departed.first);
        // Deleted, or deleted and created again under its name.
        return now == streams.end() ||
               (before != streams_.end() && before->second.id != now->second.id);
    });
    for (const auto& [name, counters] : departed_)
        streams.find(name)->second.counters.add(counters);
    streams_ = std::move(streams);
}

}  // namespace eagre::metrics
