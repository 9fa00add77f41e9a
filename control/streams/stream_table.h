#pragma once
// The catalogue as it is now, in memory: kept up to date by watching it, never changed in any other
// way.

#include <cstdint>
#include <map>
#include <string_view>
#include <vector>

#include "control/catalog/catalog.h"

namespace eagre::streams {

struct Stream {
    catalog::StreamRow row;
    std::vector<catalog::ShardRow> shards;  // By id.
};

class StreamTable final : public catalog::Watcher {
  public:
    /// Reads all of `catalog`. Errors: as its reads.
    Status load(catalog::Catalog& catalog);
    void on_change(const catalog::Change& applied) override;

    /// Null when there is none. Valid until the next change.
    const Stream* find(StreamId id) const;
    const Stream* find(std::string_view name) const;
    const std::map<StreamId, Stream>& streams() const { return streams_; }
    const catalog::MetaRow& meta() const { return meta_; }
    /// Grows with every change to a stream or a shard.
    uint64_t change_count() const { return change_count_; }
    /// Of all streams.
    uint64_t shard_count() const;

  private:
    void remove_shard(ShardId shard);
    void put_shard(const catalog::ShardRow& shard);

    std::map<StreamId, Stream>
        streams_;  // Ordered: everything that walks it does so the same way each time.
    std::map<std::string, StreamId, std::less<>> ids_by_name_;
    catalog::MetaRow meta_;
    uint64_t change_count_ = 0;
};

}  // namespace eagre::streams
