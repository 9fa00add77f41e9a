#include "control/admin/admin_codec.h"

#include <cstring>

#include <flatbuffers/flatbuffers.h>

#include "wire/base/limits.h"
#include "wire/feeds/spec/feed_codec.h"
#include "wire/shards/shard_info.h"

namespace eagre::admin {
namespace {

// One flat table and its tags: anything deeper is a lie. More tags than a stream may have are refused by name, far more as
// a lie.
constexpr flatbuffers::uoffset_t kDepthMax = 4;
constexpr flatbuffers::uoffset_t kTablesMax = 4 + 4 * kTagCountMax;

flatbuffers::Offset<wire::GroupAnswer> encode_group(flatbuffers::FlatBufferBuilder& builder,
                                                    const GroupAnswer& group) {
    std::vector<flatbuffers::Offset<wire::GroupMemberAnswer>> member_offsets;
    for (const GroupMemberAnswer& member : group.members) {
        const auto member_name = builder.CreateString(member.name);
        member_offsets.push_back(wire::CreateGroupMemberAnswer(
            builder, member_name, member.joined_ns, member.silent_ns, member.shard_count));
    }
    std::vector<flatbuffers::Offset<wire::GroupShardAnswer>> shard_offsets;
    for (const GroupShardAnswer& shard : group.shards) {
        const auto member = builder.CreateSharedString(shard.member);
        shard_offsets.push_back(wire::CreateGroupShardAnswer(
            builder, shard.shard.value, member, shard.token, shard.next.value, shard.checkpoint_ns,
            shard.ended, shard.waits, shard.releasing, shard.known, shard.tail.value,
            shard.unread_records, shard.unread_bytes, shard.unread_since_ns));
    }
    const auto stream = builder.CreateString(group.stream);
    const auto name = builder.CreateString(group.name);
    const auto members = builder.CreateVector(member_offsets);
    const auto shards = builder.CreateVector(shard_offsets);
    return wire::CreateGroupAnswer(builder, stream, name, group.heartbeat_ms, group.created_ns,
                                   group.member_count, group.shard_count, group.known,
                                   group.unread_records, group.unread_bytes, group.unread_since_ns,
                                   members, shards);
}

}  // namespace

Result<Request> decode_request(std::span<const std::byte> payload) {
    flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t*>(payload.data()), payload.size(),
                                   kDepthMax, kTablesMax);
    if (!verifier.VerifyBuffer<wire::AdminRequest>(nullptr)) return Errc::kBadSchema;
    const auto* table = flatbuffers::GetRoot<wire::AdminRequest>(payload.data());
    Request request;
    request.op = table->op();
    if (table->name() != nullptr) request.name = table->name()->str();
    request.shard_count = table->shard_count();
    request.limits = {static_cast<uint32_t>(table->fields()),
                      {table->retention_ms(), table->retention_bytes(), table->record_bytes_max(),
                       table->quota_bytes_per_s(), table->quota_records_per_s()}};
    if (table->tags() != nullptr) {
        for (const wire::Tag* tag : *table->tags()) {
            if (tag->key() == nullptr) return Errc::kBadSchema;
            request.tags[tag->key()->str()] = tag->value() == nullptr ? "" : tag->value()->str();
        }
    }
    if (table->allow() != nullptr) request.allow = table->allow()->str();
    request.expires_ns = table->expires_ns();
    if (table->group() != nullptr) request.group = table->group()->str();
    request.position = table->position();
    request.position_value = table->position_value();
    if (table->shards() != nullptr) {
        if (table->shards()->size() > kStreamShardCountMax) return Errc::kBadSchema;
        for (const uint64_t shard : *table->shards()) request.shards.push_back(ShardId(shard));
    }
    request.force = table->force();
    request.heartbeat_ms = table->heartbeat_ms();
    for (uint32_t i = 0; table->journals() != nullptr && i < table->journals()->size(); ++i)
        request.journals.emplace_back(table->journals()->Get(i));
    if (const wire::Note* note = table->note(); note != nullptr) {
        const auto said = [](const flatbuffers::String* text) { return text == nullptr ? std::string() : text->str(); };
        request.name = said(note->stream());
        request.note_name = said(note->name());
        request.note_text = said(note->text());
        request.note_revision = note->revision();
    }
    if (const wire::FeedInfo* feed = table->feed(); feed != nullptr) {
        // Whatever is wrong with it is found, and said, by whoever acts on it.
        const auto said = [](const flatbuffers::String* text) { return text == nullptr ? std::string() : text->str(); };
        request.feed.name = said(feed->name());
        request.feed.stream_name = said(feed->stream_name());
        request.feed.framing = static_cast<feeds::Framing>(feed->framing());
        request.feed.key = said(feed->key());
        request.feed.window_ms = feed->window_ms();
        for (uint32_t i = 0; feed->lines() != nullptr && i < feed->lines()->size() && i <= feeds::kFeedLineCountMax; ++i) {
            const wire::FeedLine* line = feed->lines()->Get(i);
            request.feed.lines.push_back({said(line->address()), line->port(), said(line->interface()), said(line->source())});
        }
    }
    if (table->has_split_at()) request.split_at = HashKey{table->split_at_high(), table->split_at_low()};
    return request;
}

std::vector<std::byte> encode_answer(const Answer& answer) {
    flatbuffers::FlatBufferBuilder builder;
    std::vector<flatbuffers::Offset<wire::StreamInfo>> offsets;
    offsets.reserve(answer.streams.size());
    for (const StreamAnswer& stream : answer.streams)
        offsets.push_back(shards::encode_stream(builder, stream.stream, stream.shard_count));
    const auto streams = builder.CreateVector(offsets);
    const auto message = builder.CreateString(answer.message);
    std::vector<flatbuffers::Offset<wire::KeyAnswer>> key_offsets;
    for (const catalog::KeyRow& row : answer.keys) {
        const auto id = builder.CreateString(row.id);
        const auto name = builder.CreateString(row.name);
        const auto allow = builder.CreateString(row.allow);
        const auto sealed = builder.CreateVector(reinterpret_cast<const uint8_t*>(row.sealed_secret.data()), row.sealed_secret.size());
        key_offsets.push_back(wire::CreateKeyAnswer(builder, id, name, allow, row.created_ns,
                                                    row.expires_ns, row.revoked_ns,
                                                    row.generation, sealed));
    }
    const auto keys = builder.CreateVector(key_offsets);
    const auto secret = builder.CreateString(answer.secret);
    std::vector<flatbuffers::Offset<wire::GroupAnswer>> group_offsets;
    for (const GroupAnswer& group : answer.groups)
        group_offsets.push_back(encode_group(builder, group));
    const auto groups = builder.CreateVector(group_offsets);
    std::vector<flatbuffers::Offset<wire::JournalInfo>> journal_offsets;
    for (const streams::JournalFact& each : answer.journals) {
        journal_offsets.push_back(wire::CreateJournalInfo(builder, each.id.value, each.directory,
                                                          each.core.value, each.available));
    }
    std::vector<flatbuffers::Offset<wire::DirectoryInfo>> directory_offsets;
    for (const streams::DirectoryFact& each : answer.directories) {
        const auto path = builder.CreateString(each.path);
        directory_offsets.push_back(
            wire::CreateDirectoryInfo(builder, each.number, path, each.available));
    }
    std::vector<flatbuffers::Offset<wire::ShardMove>> move_offsets;
    for (const streams::Move& each : answer.moves) {
        const auto stream = builder.CreateString(each.stream);
        move_offsets.push_back(wire::CreateShardMove(builder, stream, each.shard.value,
                                                     each.from.value, each.to.value));
    }
    const auto moves = builder.CreateVector(move_offsets);
    std::vector<flatbuffers::Offset<wire::Note>> note_offsets;
    for (const NoteAnswer& each : answer.notes) {
        const auto stream = builder.CreateSharedString(each.stream);
        const auto name = builder.CreateString(each.note.name);
        const auto text = builder.CreateString(each.note.text);
        note_offsets.push_back(wire::CreateNote(builder, stream, name, text, each.note.revision));
    }
    const auto notes = builder.CreateVector(note_offsets);
    std::vector<flatbuffers::Offset<wire::FeedInfo>> feed_offsets;
    for (const feeds::FeedSpec& each : answer.feeds) feed_offsets.push_back(feeds::pack_feed(builder, each));
    const auto feeds = builder.CreateVector(feed_offsets);
    const auto journals = builder.CreateVector(journal_offsets);
    const auto directories = builder.CreateVector(directory_offsets);
    builder.Finish(wire::CreateAdminReply(builder, static_cast<uint16_t>(answer.error.code),
                                          answer.error.detail, message, streams, keys, secret,
                                          groups, journals, directories, moves, notes, feeds));
    std::vector<std::byte> bytes(builder.GetSize());
    std::memcpy(bytes.data(), builder.GetBufferPointer(), bytes.size());
    return bytes;
}

}  // namespace eagre::admin
