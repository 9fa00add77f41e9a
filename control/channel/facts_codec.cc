#include "control/channel/facts_codec.h"

#include "wire/base/limits.h"

namespace eagre::channel {
namespace {

// A reply nests reply > stream > shard; a table per shard and stream, and one for the reply.
constexpr flatbuffers::uoffset_t kDepthMax = 8;
constexpr flatbuffers::uoffset_t kTablesMax = kBoxShardCountMax + kBoxStreamCountMax + 1;

streams::ShardFact shard_from(const wire::ShardInfo& info) {
    streams::ShardFact shard;
    shard.id = ShardId(info.id());
    shard.range = {{info.starting_hash_high(), info.starting_hash_low()},
                   {info.ending_hash_high(), info.ending_hash_low()}};
    shard.parent = ShardId(info.parent());
    shard.adjacent_parent = ShardId(info.adjacent_parent());
    shard.journal = JournalId(info.journal());
    shard.open = info.open();
    shard.available = info.available();
    shard.core = CoreIndex(info.core());
    shard.port = info.port();
    shard.trim_horizon = SequenceNumber(info.trim_horizon());
    shard.next_sequence = SequenceNumber(info.next_sequence());
    shard.first_sequence = SequenceNumber(info.first_sequence());
    shard.opened_ns = info.opened_ns();
    return shard;
}

}  // namespace

const wire::CommandReply* verify_reply(std::span<const std::byte> payload) {
    flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t*>(payload.data()), payload.size(),
                                   kDepthMax, kTablesMax);
    if (!verifier.VerifyBuffer<wire::CommandReply>(nullptr)) return nullptr;
    return flatbuffers::GetRoot<wire::CommandReply>(payload.data());
}

streams::Facts facts_from(const wire::CommandReply& reply) {
    streams::Facts facts;
    facts.journal_count = reply.journal_count();
    facts.stream_id_max = StreamId(reply.stream_id_max());
    facts.shard_id_max = ShardId(reply.shard_id_max());
    facts.clock_waits = reply.clock_waits();
    if (reply.journals_missing() != nullptr) {
        for (const uint32_t journal : *reply.journals_missing())
            facts.journals_missing.push_back(JournalId(journal));
    }
    if (reply.streams() == nullptr) return facts;
    for (const wire::StreamInfo* info : *reply.streams()) {
        if (info->id() == 0) continue;
        streams::StreamFact stream;
        stream.id = StreamId(info->id());
        if (info->name() != nullptr) stream.name = info->name()->str();
        stream.map_version = info->map_version();
        stream.retention_ms = info->retention_ms();
        stream.record_bytes_max = info->record_bytes_max();
        stream.created_ns = info->created_ns();
        if (info->shards() != nullptr) {
            for (const wire::ShardInfo* shard : *info->shards()) {
                if (shard->id() != 0) stream.shards.push_back(shard_from(*shard));
            }
        }
        facts.streams.push_back(std::move(stream));
    }
    return facts;
}

flatbuffers::Offset<wire::StreamInfo> encode_stream(flatbuffers::FlatBufferBuilder& builder,
                                                    const catalog::StreamRow& stream,
                                                    const std::vector<catalog::ShardRow>* shards) {
    flatbuffers::Offset<flatbuffers::Vector<flatbuffers::Offset<wire::ShardInfo>>> shard_vector;
    if (shards != nullptr) {
        std::vector<flatbuffers::Offset<wire::ShardInfo>> offsets;
        offsets.reserve(shards->size());
        for (const catalog::ShardRow& shard : *shards) {
            wire::ShardInfoBuilder info(builder);
            info.add_id(shard.id.value);
            info.add_starting_hash_high(shard.range.starting.high);
            info.add_starting_hash_low(shard.range.starting.low);
            info.add_ending_hash_high(shard.range.ending.high);
            info.add_ending_hash_low(shard.range.ending.low);
            info.add_parent(shard.parent.value);
            info.add_adjacent_parent(shard.adjacent_parent.value);
            info.add_open(shard.open);
            info.add_journal(shard.journal.value);
            info.add_first_sequence(shard.first_sequence.value);
            offsets.push_back(info.Finish());
        }
        shard_vector = builder.CreateVector(offsets);
    }
    const auto name = builder.CreateString(stream.name);
    wire::StreamInfoBuilder info(builder);
    info.add_id(stream.id.value);
    info.add_name(name);
    info.add_map_version(stream.map_version);
    info.add_retention_ms(stream.retention_ms);
    info.add_record_bytes_max(stream.record_bytes_max);
    info.add_created_ns(stream.created_ns);
    if (shards != nullptr) info.add_shards(shard_vector);
    return info.Finish();
}

}  // namespace eagre::channel
