#include "wire/shards/shard_info.h"

namespace eagre::shards {

flatbuffers::Offset<wire::ShardInfo> encode_shard(flatbuffers::FlatBufferBuilder& builder, const ShardDescription& shard) {
    return wire::CreateShardInfo(builder, shard.id.value, shard.range.starting.high, shard.range.starting.low,
                                 shard.range.ending.high, shard.range.ending.low, shard.parent.value,
                                 shard.adjacent_parent.value, shard.open, shard.available, shard.journal.value,
                                 shard.core.value, shard.port, shard.trim_horizon.value, shard.next_sequence.value,
                                 shard.first_sequence.value, shard.opened_ns, shard.ordinal);
}

flatbuffers::Offset<wire::StreamInfo> encode_stream(flatbuffers::FlatBufferBuilder& builder,
                                                    const StreamDescription& stream, uint32_t shard_count) {
    std::vector<flatbuffers::Offset<wire::ShardInfo>> offsets;
    offsets.reserve(stream.shards.size());
    for (const ShardDescription& shard : stream.shards) offsets.push_back(encode_shard(builder, shard));
    const auto name = builder.CreateString(stream.name);
    const auto list = builder.CreateVector(offsets);
    std::vector<flatbuffers::Offset<wire::Tag>> tag_offsets;
    for (const auto& [key, value] : stream.tags) {
        tag_offsets.push_back(wire::CreateTag(builder, builder.CreateString(key), builder.CreateString(value)));
    }
    flatbuffers::Offset<flatbuffers::Vector<flatbuffers::Offset<wire::Tag>>> tags;
    if (!tag_offsets.empty()) tags = builder.CreateVector(tag_offsets);
    return wire::CreateStreamInfo(builder, stream.id.value, name, stream.map_version, stream.retention_ms,
                                  stream.record_bytes_max, stream.created_ns, list, shard_count, stream.retention_bytes,
                                  stream.quota_bytes_per_s, stream.quota_records_per_s, tags, stream.stored_bytes,
                                  stream.state, stream.scale_target);
}

ShardDescription decode_shard(const wire::ShardInfo& info) {
    ShardDescription shard;
    shard.id = ShardId{info.id()};
    shard.range = {{info.starting_hash_high(), info.starting_hash_low()}, {info.ending_hash_high(), info.ending_hash_low()}};
    shard.parent = ShardId{info.parent()};
    shard.adjacent_parent = ShardId{info.adjacent_parent()};
    shard.journal = JournalId{info.journal()};
    shard.open = info.open();
    shard.available = info.available();
    shard.core = CoreIndex{info.core()};
    shard.port = info.port();
    shard.trim_horizon = SequenceNumber{info.trim_horizon()};
    shard.next_sequence = SequenceNumber{info.next_sequence()};
    shard.first_sequence = SequenceNumber{info.first_sequence()};
    shard.opened_ns = info.opened_ns();
    shard.ordinal = info.ordinal();
    return shard;
}

StreamDescription decode_stream(const wire::StreamInfo& info) {
    StreamDescription stream;
    stream.id = StreamId{info.id()};
    if (info.name() != nullptr) stream.name = info.name()->str();
    stream.map_version = info.map_version();
    stream.retention_ms = info.retention_ms();
    stream.record_bytes_max = info.record_bytes_max();
    stream.created_ns = info.created_ns();
    stream.retention_bytes = info.retention_bytes();
    stream.quota_bytes_per_s = info.quota_bytes_per_s();
    stream.quota_records_per_s = info.quota_records_per_s();
    stream.stored_bytes = info.stored_bytes();
    stream.state = info.state();
    stream.scale_target = info.scale_target();
    if (info.tags() != nullptr) {
        for (const wire::Tag* tag : *info.tags()) {
            if (tag->key() != nullptr) stream.tags[tag->key()->str()] = tag->value() == nullptr ? "" : tag->value()->str();
        }
    }
    if (info.shards() == nullptr) return stream;
    stream.shards.reserve(info.shards()->size());
    for (const wire::ShardInfo* shard : *info.shards()) stream.shards.push_back(decode_shard(*shard));
    return stream;
}

}  // namespace eagre::shards
