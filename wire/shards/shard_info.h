#pragma once
// StreamInfo and ShardInfo (wire/schema/request.fbs) to and from plain data, once for everybody who speaks of streams:
// facts in the journals, metadata, commands, answers to administrators. Which fields a message means is said by its
// schema; the others keep the values below. Pure functions, any thread.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <flatbuffers/flatbuffers.h>

#include "wire/base/types.h"
#include "wire/schema/request_generated.h"

namespace eagre::shards {

struct ShardDescription {
    ShardId id;
    HashKeyRange range;
    ShardId parent;           // 0: none.
    ShardId adjacent_parent;  // 0: none (only a merge has two).
    JournalId journal;
    bool open = true;
    bool available = true;
    CoreIndex core;
    uint16_t port = 0;
    SequenceNumber trim_horizon;
    SequenceNumber next_sequence;
    SequenceNumber first_sequence;
    uint64_t opened_ns = 0;
    uint32_t ordinal = 0;  // Among all shards that the stream ever had, from 1; 0: not known.
};

struct StreamDescription {
    StreamId id;
    std::string name;
    uint64_t map_version = 0;
    uint64_t retention_ms = 0;
    uint64_t record_bytes_max = 0;
    uint64_t created_ns = 0;
    std::vector<ShardDescription> shards;
    uint64_t retention_bytes = 0;
    uint64_t quota_bytes_per_s = 0;
    uint64_t quota_records_per_s = 0;
    std::map<std::string, std::string> tags;
    uint64_t stored_bytes = 0;
    wire::StreamState state = wire::StreamState::Unknown;
    uint32_t scale_target = 0;
};

flatbuffers::Offset<wire::ShardInfo> encode_shard(flatbuffers::FlatBufferBuilder& builder, const ShardDescription& shard);

/// `shard_count`: said beside the shards, for lists that leave the shards themselves out.
flatbuffers::Offset<wire::StreamInfo> encode_stream(flatbuffers::FlatBufferBuilder& builder,
                                                    const StreamDescription& stream, uint32_t shard_count);

/// `info` must have been verified. Values are as they came: nothing is checked.
ShardDescription decode_shard(const wire::ShardInfo& info);
/// With its shards, in the order in which they came.
StreamDescription decode_stream(const wire::StreamInfo& info);

}  // namespace eagre::shards
