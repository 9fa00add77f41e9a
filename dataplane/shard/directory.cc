#include "dataplane/shard/directory.h"

#include <algorithm>

#include "wire/base/assert.h"

namespace eagre::shard {

void StreamEntry::index() {
    std::sort(shards.begin(), shards.end(), [](const ShardEntry& a, const ShardEntry& b) { return a.id < b.id; });
    open_by_range.clear();
    for (uint32_t i = 0; i < shards.size(); ++i) {
        if (shards[i].open) open_by_range.push_back(i);
    }
    std::sort(open_by_range.begin(), open_by_range.end(), [this](uint32_t a, uint32_t b) {
        return shards[a].range.starting < shards[b].range.starting;
    });
}

const ShardEntry* StreamEntry::route(const HashKey& key) const {
    // The last open shard that starts at or before the key.
    const auto after = std::upper_bound(open_by_range.begin(), open_by_range.end(), key,
                                        [this](const HashKey& k, uint32_t i) { return k < shards[i].range.starting; });
    if (after == open_by_range.begin()) return nullptr;
    const ShardEntry& entry = shards[*(after - 1)];
    return entry.range.contains(key) ? &entry : nullptr;
}

void Directory::put(StreamPointer stream) {
    EAGRE_ASSERT(stream != nullptr);
    erase(stream->id);
    for (const ShardEntry& entry : stream->shards) shards_[entry.id] = Place{stream.get(), &entry};
    by_id_[stream->id] = stream;
    by_name_[stream->name] = std::move(stream);
}

void Directory::erase(StreamId id) {
    const auto found = by_id_.find(id);
    if (found == by_id_.end()) return;
    const StreamPointer old = found->second;
    for (const ShardEntry& entry : old->shards) shards_.erase(entry.id);
    const auto named = by_name_.find(old->name);
    if (named != by_name_.end() && named->second->id == id) by_name_.erase(named);
    by_id_.erase(found);
}

const StreamEntry* Directory::find(StreamId id) const {
    const auto found = by_id_.find(id);
    return found == by_id_.end() ? nullptr : found->second.get();
}

const StreamEntry* Directory::find(std::string_view name) const {
    const auto found = by_name_.find(name);
    return found == by_name_.end() ? nullptr : found->second.get();
}

Directory::Place Directory::find_shard(ShardId shard) const {
    const auto found = shards_.find(shard);
    return found == shards_.end() ? Place{} : found->second;
}

}  // namespace eagre::shard
