#include "control/channel/facts_codec.h"

#include "wire/base/limits.h"
#include "wire/shards/shard_info.h"

namespace eagre::channel {
namespace {

// A reply nests reply > stream > shard; a table per shard, stream, journal and directory, and one
// for the reply.
constexpr flatbuffers::uoffset_t kDepthMax = 8;
constexpr flatbuffers::uoffset_t kTablesMax = kBoxShardCountMax + kBoxStreamCountMax + kBoxJournalCountMax + kBoxDirectoryCountMax + 1;

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
    if (reply.journals() != nullptr) {
        for (const wire::JournalInfo* info : *reply.journals()) {
            facts.journals.push_back({JournalId(info->id()), info->directory(),
                                      CoreIndex(info->core()), info->available()});
        }
    }
    if (reply.directories() != nullptr) {
        for (const wire::DirectoryInfo* info : *reply.directories()) {
            facts.directories.push_back({info->number(),
                                         info->path() == nullptr ? "" : info->path()->str(),
                                         info->available()});
        }
    }
    if (reply.streams() == nullptr) return facts;
    for (const wire::StreamInfo* info : *reply.streams()) {
        if (info->id() == 0) continue;
        facts.streams.push_back(shards::decode_stream(*info));
    }
    return facts;
}

flatbuffers::Offset<wire::StreamInfo> encode_stream(flatbuffers::FlatBufferBuilder& builder,
                                                    const catalog::StreamRow& stream,
                                                    const std::vector<catalog::ShardRow>* rows) {
    shards::StreamDescription description;
    description.id = stream.id;
    description.name = stream.name;
    description.map_version = stream.map_version;
    description.retention_ms = stream.retention_ms;
    description.record_bytes_max = stream.record_bytes_max;
    description.created_ns = stream.created_ns;
    description.retention_bytes = stream.retention_bytes;
    description.quota_bytes_per_s = stream.quota_bytes_per_s;
    description.quota_records_per_s = stream.quota_records_per_s;
    if (rows == nullptr) return shards::encode_stream(builder, description, 0);
    for (const catalog::ShardRow& row : *rows) {
        shards::ShardDescription shard;
        shard.id = row.id;
        shard.range = row.range;
        shard.parent = row.parent;
        shard.adjacent_parent = row.adjacent_parent;
        shard.open = row.open;
        shard.journal = row.journal;
        shard.first_sequence = row.first_sequence;
        shard.ordinal = row.ordinal;
        description.shards.push_back(shard);
    }
    return shards::encode_stream(builder, description, 0);
}

}  // namespace eagre::channel
