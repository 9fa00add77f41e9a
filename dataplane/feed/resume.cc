#include "dataplane/feed/resume.h"

#include <algorithm>

#include "wire/base/assert.h"

namespace eagre::feed {
namespace {

constexpr uint32_t kGenerationsMax = 8;  // Parents of parents that are asked.

void raise(uint64_t& place, uint64_t to) { place = std::max(place, to); }

const shard::ShardEntry* find(const shard::StreamEntry& stream, ShardId id) {
    const auto at = std::find_if(stream.shards.begin(), stream.shards.end(), [id](const auto& each) { return each.id == id; });
    return at == stream.shards.end() ? nullptr : &*at;
}

}  // namespace

ProducerId producer_of(const Source& source, bool alone) {
    EAGRE_ASSERT_LE(source.feed, kFeedIdMax);
    return ProducerId{(kFeedProducerMark << 52U) | (uint64_t{alone} << 51U) | (uint64_t{source.feed} << 32U) | source.session};
}

Source source_of(ProducerId id) { return {static_cast<uint32_t>(id.value >> 32U) & kFeedIdMax, static_cast<uint32_t>(id.value)}; }

void Resume::take(JournalId journal, const journal::ProducerFacts& facts) {
    if (!is_feed_producer(facts.producer) || facts.result_count == 0) return;
    const uint64_t next = facts.results[facts.result_count - 1].number.value;
    Places& places = sources_[source_of(facts.producer)];
    raise(is_alone(facts.producer) ? places.alone[facts.shard] : places.together[journal], next);
}

void Resume::merge(const Resume& other) {
    for (const auto& [source, places] : other.sources_) {
        Places& mine = sources_[source];
        for (const auto& [journal, next] : places.together) raise(mine.together[journal], next);
        for (const auto& [shard, next] : places.alone) raise(mine.alone[shard], next);
    }
}

uint64_t Resume::next_of(const Source& source, const shard::StreamEntry& stream, const shard::ShardEntry& shard) const {
    const auto found = sources_.find(source);
    if (found == sources_.end()) return 0;
    const Places& places = found->second;
    uint64_t next = 0;
    std::vector<const shard::ShardEntry*> generation{&shard};
    for (uint32_t i = 0; i < kGenerationsMax && next == 0 && !generation.empty(); ++i) {
        std::vector<const shard::ShardEntry*> parents;
        for (const shard::ShardEntry* each : generation) {
            if (const auto at = places.together.find(each->journal); at != places.together.end()) raise(next, at->second);
            if (const auto at = places.alone.find(each->id); at != places.alone.end()) raise(next, at->second);
            for (const ShardId id : {each->parent, each->adjacent_parent}) {
                const shard::ShardEntry* parent = id.value == 0 ? nullptr : find(stream, id);
                if (parent != nullptr) parents.push_back(parent);
            }
        }
        generation = std::move(parents);
    }
    return next;
}

}  // namespace eagre::feed
