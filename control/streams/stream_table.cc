#include "control/streams/stream_table.h"

#include <algorithm>

#include "wire/base/assert.h"

namespace eagre::streams {
namespace {

auto shard_at(std::vector<catalog::ShardRow>& shards, ShardId id) {
    return std::lower_bound(shards.begin(), shards.end(), id,
                            [](const catalog::ShardRow& row, ShardId i) { return row.id < i; });
}

}  // namespace

Status StreamTable::load(catalog::Catalog& catalog) {
    auto rows = catalog.streams();
    if (!rows) return rows.error();
    const auto meta = catalog.meta();
    if (!meta) return meta.error();
    streams_.clear();
    ids_by_name_.clear();
    for (catalog::StreamRow& row : *rows) {
        auto shards = catalog.shards(row.id);
        if (!shards) return shards.error();
        ids_by_name_[row.name] = row.id;
        const StreamId id = row.id;
        streams_[id] = Stream{std::move(row), std::move(*shards)};
    }
    meta_ = *meta;
    return {};
}

void StreamTable::on_change(const catalog::Change& applied) {
    const bool streams_changed = !applied.delete_streams.empty() || !applied.delete_shards.empty() ||
                                 !applied.put_streams.empty() || !applied.put_shards.empty();
    if (streams_changed) ++change_count_;
    for (const catalog::StreamVersion& version : applied.delete_streams) {
        const auto found = streams_.find(version.id);
        if (found == streams_.end()) continue;
        ids_by_name_.erase(found->second.row.name);
        streams_.erase(found);
    }
    for (const ShardId shard : applied.delete_shards) remove_shard(shard);
    for (const catalog::StreamRow& row : applied.put_streams) {
        Stream& stream = streams_[row.id];
        const auto named = ids_by_name_.find(stream.row.name);
        if (named != ids_by_name_.end() && named->second == row.id) ids_by_name_.erase(named);
        stream.row = row;
        ids_by_name_[row.name] = row.id;
    }
    for (const catalog::ShardRow& shard : applied.put_shards) put_shard(shard);
    if (applied.put_meta) meta_ = *applied.put_meta;
    EAGRE_ASSERT_EQ(streams_.size(), ids_by_name_.size());
}

void StreamTable::remove_shard(ShardId shard) {
    for (auto& [id, stream] : streams_) {
        const auto at = shard_at(stream.shards, shard);
        if (at != stream.shards.end() && at->id == shard) {
            stream.shards.erase(at);
            return;
        }
    }
}

void StreamTable::put_shard(const catalog::ShardRow& shard) {
    const auto found = streams_.find(shard.stream);
    EAGRE_ASSERT(found != streams_.end());
    auto& shards = found->second.shards;
    const auto at = shard_at(shards, shard.id);
    if (at != shards.end() && at->id == shard.id) {
        *at = shard;
    } else {
        shards.insert(at, shard);
    }
}

const Stream* StreamTable::find(StreamId id) const {
    const auto found = streams_.find(id);
    return found == streams_.end() ? nullptr : &found->second;
}

const Stream* StreamTable::find(std::string_view name) const {
    const auto found = ids_by_name_.find(name);
    return found == ids_by_name_.end() ? nullptr : find(found->second);
}

uint64_t StreamTable::shard_count() const {
    uint64_t count = 0;
    for (const auto& [id, stream] : streams_) count += stream.shards.size();
    return count;
}

}  // namespace eagre::streams
