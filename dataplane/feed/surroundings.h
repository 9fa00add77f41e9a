#pragma once
// What a feed needs of the core that serves it.

#include <cstdint>
#include <span>

#include "dataplane/journal/journal.h"
#include "dataplane/shard/directory.h"
#include "dataplane/shard/shard.h"
#include "wire/base/result.h"
#include "wire/base/types.h"
#include "wire/frame/frame.h"

namespace eagre::feed {

class Surroundings {
  public:
    virtual ~Surroundings() = default;
    /// Null: there is none. Valid until the map changes.
    virtual const shard::StreamEntry* stream(StreamId stream) = 0;
    /// Null: not on this core.
    virtual shard::Shard* shard(ShardId shard) = 0;
    /// As Journal::begin_group, for shards of this core; also kBusy while acknowledgements have no room.
    virtual Status begin_group(journal::Journal& journal, uint32_t run_count, uint64_t stored_bytes) = 0;
    /// One batch of the group. What it needs was looked after by begin_group: it can't fail.
    virtual journal::CommitNumber append_fed(shard::Shard& shard, const frame::FrameHeader& header, std::span<const std::byte> payload) = 0;
    /// One batch for a shard of another core; its answer comes to Feeds::on_reply with the header's correlation. False: no room now.
    virtual bool hand_over_fed(CoreIndex to, const frame::FrameHeader& header, std::span<const std::byte> payload) = 0;
};

}  // namespace eagre::feed
