#include "wire/client/control_client.h"

#include <flatbuffers/flatbuffers.h>

#include <algorithm>
#include <cstring>

#include "wire/client/client_impl.h"
#include "wire/client/connection.h"
#include "wire/feeds/spec/feed_codec.h"
#include "wire/schema/admin_generated.h"

namespace eagre::client {
namespace {

using frame::FrameHeader;
using frame::FrameKind;

// A table per shard and stream, or per shard of a group, and some.
constexpr flatbuffers::uoffset_t kReplyTablesMax = kBoxShardCountMax + kBoxStreamCountMax * (2 + kTagCountMax) +
                                                    kBoxShardCountMax + kBoxJournalCountMax + kBoxDirectoryCountMax +
                                                    kBoxNoteCountMax + 8192;

std::string text(const flatbuffers::String* string) {
    return string == nullptr ? std::string() : string->str();
}

GroupDescription describe_group_answer(const wire::GroupAnswer& answer) {
    GroupDescription group;
    group.stream = text(answer.stream());
    group.name = text(answer.name());
    group.heartbeat_ms = answer.heartbeat_ms();
    group.created_ns = answer.created_ns();
    group.member_count = answer.member_count();
    group.shard_count = answer.shard_count();
    group.known = answer.known();
    group.unread_records = answer.unread_records();
    group.unread_bytes = answer.unread_bytes();
    group.unread_since_ns = answer.unread_since_ns();
    for (uint32_t i = 0; answer.members() != nullptr && i < answer.members()->size(); ++i) {
        const wire::GroupMemberAnswer* member = answer.members()->Get(i);
        group.members.push_back({text(member->name()), member->joined_ns(), member->silent_ns(), member->shard_count()});
    }
    for (uint32_t i = 0; answer.shards() != nullptr && i < answer.shards()->size(); ++i) {
        const wire::GroupShardAnswer* each = answer.shards()->Get(i);
        GroupShard shard;
        shard.shard = ShardId{each->shard()};
        shard.member = text(each->member());
        shard.token = each->token();
        shard.next = SequenceNumber{each->next()};
        shard.checkpoint_ns = each->checkpoint_ns();
        shard.ended = each->ended();
        shard.waits = each->waits();
        shard.releasing = each->releasing();
        shard.known = each->known();
        shard.tail = SequenceNumber{each->tail()};
        shard.unread_records = each->unread_records();
        shard.unread_bytes = each->unread_bytes();
        shard.unread_since_ns = each->unread_since_ns();
        group.shards.push_back(std::move(shard));
    }
    return group;
}

class ControlClientImpl final : public ControlClient, public ConnectionEvents {
  public:
    ControlClientImpl(const std::string& socket_path, uint64_t timeout_ns)
        : timeout_ns_(timeout_ns), transport_(make_tcp_transport()) {
        options_.address = "unix:" + socket_path;
        options_.name = "eagre-cli";
    }
    Status open() {
        pipe_ = std::make_unique<Connection>(*transport_, *this, options_, 0, uint16_t{0});
        if (wait_until([&] { return pipe_->ready(); })) return {};
        return pipe_->last_error().code != Errc::kOk ? pipe_->last_error() : error_of(Errc::kTimeout);
    }

    Result<StreamDescription> create_stream(const CreateStream& request) override {
        return first_of(ask(wire::AdminOp::CreateStream, request));
    }
    Status delete_stream(std::string_view name) override { return done(ask(wire::AdminOp::DeleteStream, named(name))); }
    Status set_retention(std::string_view name, uint64_t retention_ms) override {
        CreateStream request = named(name);
        request.retention_ms = retention_ms;
        return done(ask(wire::AdminOp::SetRetention, request));
    }
    Status set_stream(const SetStream& wanted) override {
        flatbuffers::FlatBufferBuilder builder;
        const auto name = builder.CreateString(wanted.name);
        wire::AdminRequestBuilder request(builder);
        request.add_op(wire::AdminOp::SetStream);
        request.add_name(name);
        wire::StreamField fields{};
        const auto said = [&fields](const std::optional<uint64_t>& value, wire::StreamField field) {
            if (value) fields = fields | field;
            return value.value_or(0);
        };
        request.add_retention_ms(said(wanted.retention_ms, wire::StreamField::RetentionMs));
        request.add_retention_bytes(said(wanted.retention_bytes, wire::StreamField::RetentionBytes));
        request.add_record_bytes_max(said(wanted.record_bytes_max, wire::StreamField::RecordBytesMax));
        request.add_quota_bytes_per_s(said(wanted.quota_bytes_per_s, wire::StreamField::QuotaBytesPerS));
        request.add_quota_records_per_s(said(wanted.quota_records_per_s, wire::StreamField::QuotaRecordsPerS));
        request.add_fields(fields);
        builder.Finish(request.Finish());
        return done(exchange(builder));
    }
    Status tag_stream(std::string_view name, const StreamTags& tags) override {
        return done(ask_tags(wire::AdminOp::TagStream, name, tags));
    }
    Status untag_stream(std::string_view name, const std::vector<std::string>& keys) override {
        StreamTags tags;
        for (const std::string& key : keys) tags.emplace_back(key, "");
        return done(ask_tags(wire::AdminOp::UntagStream, name, tags));
    }
    Result<std::vector<StreamDescription>> list_streams() override { return ask(wire::AdminOp::ListStreams, named("")); }
    Result<StreamDescription> describe_stream(std::string_view name) override {
        return first_of(ask(wire::AdminOp::DescribeStream, named(name)));
    }
    Result<StreamDescription> split_shard(std::string_view stream, ShardId shard, std::optional<HashKey> at) override {
        return first_of(ask_reshard(wire::AdminOp::SplitShard, stream, {shard.value}, at, 0));
    }
    Result<StreamDescription> merge_shards(std::string_view stream, ShardId one, ShardId other) override {
        return first_of(ask_reshard(wire::AdminOp::MergeShards, stream, {one.value, other.value}, std::nullopt, 0));
    }
    Result<StreamDescription> scale_stream(std::string_view stream, uint32_t shard_count) override {
        return first_of(ask_reshard(wire::AdminOp::ScaleStream, stream, {}, std::nullopt, shard_count));
    }
    Result<std::vector<ShardMove>> plan_rebalance() override {
        const auto reply = ask_named(wire::AdminOp::PlanRebalance, "");
        if (!reply) return reply.error();
        std::vector<ShardMove> moves;
        if ((*reply)->moves() == nullptr) return moves;
        for (const wire::ShardMove* each : *(*reply)->moves()) {
            const std::string stream = each->stream() == nullptr ? std::string() : each->stream()->str();
            moves.push_back({stream, ShardId{each->shard()}, each->from(), each->to()});
        }
        return moves;
    }
    Status move_shards(std::span<const ShardMove> moves) override {
        if (moves.empty()) return Errc::kBadArgument;
        flatbuffers::FlatBufferBuilder builder;
        std::vector<uint64_t> shards;
        std::vector<uint32_t> journals;
        for (const ShardMove& each : moves) {
            if (each.stream != moves.front().stream) return Errc::kBadArgument;
            shards.push_back(each.shard.value);
            journals.push_back(each.to);
        }
        const auto name = builder.CreateString(moves.front().stream);
        const auto shard_list = builder.CreateVector(shards);
        const auto journal_list = builder.CreateVector(journals);
        wire::AdminRequestBuilder request(builder);
        request.add_op(wire::AdminOp::MoveShards);
        request.add_name(name);
        request.add_shards(shard_list);
        request.add_journals(journal_list);
        builder.Finish(request.Finish());
        return done(streams_of(exchange(builder)));
    }
    Status accept_clock() override { return done(ask(wire::AdminOp::AcceptClock, named(""))); }
    const std::string& message() const override { return message_; }
    const BoxPlaces& places() const override { return places_; }

    Result<KeyDescription> create_key(std::string_view name, std::string_view allow, uint64_t expires_ns) override {
        flatbuffers::FlatBufferBuilder builder;
        const auto name_text = builder.CreateString(name.data(), name.size());
        const auto allow_text = builder.CreateString(allow.data(), allow.size());
        wire::AdminRequestBuilder request(builder);
        request.add_op(wire::AdminOp::CreateKey);
        request.add_name(name_text);
        request.add_allow(allow_text);
        request.add_expires_ns(expires_ns);
        builder.Finish(request.Finish());
        return key_of(exchange(builder));
    }
    Result<KeyDescription> rotate_key(std::string_view name) override { return key_of(ask_named(wire::AdminOp::RotateKey, name)); }
    Result<KeyDescription> revoke_key(std::string_view name) override { return key_of(ask_named(wire::AdminOp::RevokeKey, name)); }
    Result<feeds::FeedSpec> add_feed(const feeds::FeedSpec& spec) override {
        flatbuffers::FlatBufferBuilder builder;
        const auto feed = feeds::pack_feed(builder, spec);
        wire::AdminRequestBuilder request(builder);
        request.add_op(wire::AdminOp::AddFeed);
        request.add_feed(feed);
        builder.Finish(request.Finish());
        auto added = feeds_of(exchange(builder));
        if (!added) return added.error();
        if (added->empty()) return Errc::kUnknownFeed;
        return std::move(added->front());
    }
    Status remove_feed(std::string_view name) override { return done(ask_named(wire::AdminOp::RemoveFeed, name)); }
    Status pause_feed(std::string_view name, bool paused) override {
        return done(ask_named(paused ? wire::AdminOp::PauseFeed : wire::AdminOp::ResumeFeed, name));
    }
    Result<std::vector<feeds::FeedSpec>> list_feeds(std::string_view name) override { return feeds_of(ask_named(wire::AdminOp::ListFeeds, name)); }
    Result<std::vector<KeyDescription>> list_keys() override { return keys_of(ask_named(wire::AdminOp::ListKeys, "")); }

    Status create_group(std::string_view stream, std::string_view group, const StartAt& start, uint32_t heartbeat_ms) override {
        GroupAsk ask{wire::AdminOp::CreateGroup, stream, group};
        ask.to = start;
        ask.heartbeat_ms = heartbeat_ms;
        return done(ask_group(ask));
    }
    Status reset_group(const ResetGroup& request) override {
        GroupAsk ask{wire::AdminOp::ResetGroup, request.stream, request.group};
        ask.to = request.to;
        for (const ShardId shard : request.shards) ask.shards.push_back(shard.value);
        ask.force = request.force;
        return done(ask_group(ask));
    }
    Status delete_group(std::string_view stream, std::string_view group, bool force) override {
        GroupAsk ask{wire::AdminOp::DeleteGroup, stream, group};
        ask.force = force;
        return done(ask_group(ask));
    }
    Result<std::vector<GroupDescription>> list_groups(std::string_view stream) override {
        return groups_of(ask_group({wire::AdminOp::ListGroups, stream, {}}));
    }
    Result<GroupDescription> describe_group(std::string_view stream, std::string_view group) override {
        auto groups = groups_of(ask_group({wire::AdminOp::DescribeGroup, stream, group}));
        if (!groups) return groups.error();
        if (groups->empty()) return Errc::kUnknownGroup;
        return std::move(groups->front());
    }

    Result<std::vector<Note>> list_notes(std::string_view stream, std::string_view prefix) override {
        return notes_of(ask_note(wire::AdminOp::ListNotes, {std::string(stream), std::string(prefix), {}, 0}));
    }
    Result<Note> put_note(const Note& note) override {
        auto notes = notes_of(ask_note(wire::AdminOp::PutNote, note));
        if (!notes) return notes.error();
        if (notes->empty()) return Errc::kBadSchema;
        return std::move(notes->front());
    }
    Status delete_note(const Note& note) override { return done(ask_note(wire::AdminOp::DeleteNote, note)); }

    // -- ConnectionEvents
    void on_ready(uint32_t, const std::vector<uint16_t>&, uint64_t) override {}
    void on_lost(uint32_t, Error) override { lost_ = true; }
    void on_frame(uint32_t, const FrameHeader& header, std::span<const std::byte> payload) override {
        if (header.kind != FrameKind::kCommandReply || header.correlation != correlation_) return;
        answered_ = true;
        answer_.resize(payload.size() / 8);
        if (!payload.empty()) std::memcpy(answer_.data(), payload.data(), payload.size());
    }

  private:
    static CreateStream named(std::string_view name) {
        CreateStream request;
        request.name = std::string(name);
        return request;
    }
    template <class Done>
    bool wait_until(Done is_done) {
        const uint64_t deadline = transport_->monotonic_ns() + timeout_ns_;
        for (;;) {
            const uint64_t now = transport_->monotonic_ns();
            const bool moved = pipe_->poll(now);
            if (is_done()) return true;
            if (now >= deadline) return false;
            if (!moved) transport_->wait(std::min<uint64_t>(deadline - now, 5'000'000ULL));
        }
    }

    Result<std::vector<StreamDescription>> ask(wire::AdminOp op, const CreateStream& request) {
        flatbuffers::FlatBufferBuilder builder;
        const auto name = builder.CreateString(request.name);
        const auto tags = encode_tags(builder, request.tags);
        flatbuffers::Offset<wire::Note> note;
        if (!request.note_name.empty()) {
            const auto note_name = builder.CreateString(request.note_name);
            const auto note_text = builder.CreateString(request.note_text);
            note = wire::CreateNote(builder, name, note_name, note_text);
        }
        wire::AdminRequestBuilder table(builder);
        table.add_op(op);
        table.add_name(name);
        table.add_shard_count(request.shard_count);
        table.add_retention_ms(request.retention_ms);
        table.add_record_bytes_max(request.record_bytes_max);
        table.add_retention_bytes(request.retention_bytes);
        table.add_quota_bytes_per_s(request.quota_bytes_per_s);
        table.add_quota_records_per_s(request.quota_records_per_s);
        table.add_tags(tags);
        if (!note.IsNull()) table.add_note(note);
        builder.Finish(table.Finish());
        return streams_of(exchange(builder));
    }
    Result<std::vector<StreamDescription>> ask_reshard(wire::AdminOp op, std::string_view stream, const std::vector<uint64_t>& shards,
                                                       std::optional<HashKey> at, uint32_t shard_count) {
        flatbuffers::FlatBufferBuilder builder;
        const auto name = builder.CreateString(stream.data(), stream.size());
        const auto ids = builder.CreateVector(shards);
        wire::AdminRequestBuilder request(builder);
        request.add_op(op);
        request.add_name(name);
        request.add_shards(ids);
        request.add_shard_count(shard_count);
        if (at) {
            request.add_split_at_high(at->high);
            request.add_split_at_low(at->low);
        }
        request.add_has_split_at(at.has_value());
        builder.Finish(request.Finish());
        return streams_of(exchange(builder));
    }
    static Result<std::vector<StreamDescription>> streams_of(const Result<const wire::AdminReply*>& reply) {
        if (!reply) return reply.error();
        std::vector<StreamDescription> streams;
        if ((*reply)->streams() != nullptr) {
            for (const wire::StreamInfo* info : *(*reply)->streams()) streams.push_back(describe_stream_info(*info));
        }
        return streams;
    }
    static flatbuffers::Offset<flatbuffers::Vector<flatbuffers::Offset<wire::Tag>>> encode_tags(
        flatbuffers::FlatBufferBuilder& builder, const StreamTags& tags) {
        std::vector<flatbuffers::Offset<wire::Tag>> offsets;
        for (const auto& [key, value] : tags) {
            offsets.push_back(wire::CreateTag(builder, builder.CreateString(key), builder.CreateString(value)));
        }
        return builder.CreateVector(offsets);
    }
    Result<const wire::AdminReply*> ask_tags(wire::AdminOp op, std::string_view name, const StreamTags& tags) {
        flatbuffers::FlatBufferBuilder builder;
        const auto text = builder.CreateString(name.data(), name.size());
        const auto list = encode_tags(builder, tags);
        wire::AdminRequestBuilder request(builder);
        request.add_op(op);
        request.add_name(text);
        request.add_tags(list);
        builder.Finish(request.Finish());
        return exchange(builder);
    }
    Result<const wire::AdminReply*> ask_note(wire::AdminOp op, const Note& note) {
        flatbuffers::FlatBufferBuilder builder;
        const auto stream = builder.CreateString(note.stream);
        const auto name = builder.CreateString(note.name);
        const auto body = builder.CreateString(note.text);
        const auto table = wire::CreateNote(builder, stream, name, body, note.revision);
        wire::AdminRequestBuilder request(builder);
        request.add_op(op);
        request.add_note(table);
        builder.Finish(request.Finish());
        return exchange(builder);
    }
    static Result<std::vector<Note>> notes_of(const Result<const wire::AdminReply*>& reply) {
        if (!reply) return reply.error();
        std::vector<Note> notes;
        if ((*reply)->notes() == nullptr) return notes;
        for (const wire::Note* each : *(*reply)->notes()) notes.push_back({text(each->stream()), text(each->name()), text(each->text()), each->revision()});
        return notes;
    }
    Result<const wire::AdminReply*> ask_named(wire::AdminOp op, std::string_view name) {
        flatbuffers::FlatBufferBuilder builder;
        const auto text = builder.CreateString(name.data(), name.size());
        builder.Finish(wire::CreateAdminRequest(builder, op, text));
        return exchange(builder);
    }

    /// The answer lives until the next question.
    Result<const wire::AdminReply*> exchange(const flatbuffers::FlatBufferBuilder& builder) {
        message_.clear();
        places_ = {};
        if (!wait_until([&] { return pipe_->ready(); })) return pipe_->last_error();
        std::vector<std::byte> payload(std::max<size_t>(16, (builder.GetSize() + 7) / 8 * 8));
        std::memcpy(payload.data(), builder.GetBufferPointer(), builder.GetSize());
        FrameHeader header;
        header.kind = FrameKind::kCommand;
        header.correlation = ++correlation_;
        answered_ = lost_ = false;
        pipe_->push(header, payload);
        if (!wait_until([&] { return answered_ || lost_; })) return Errc::kTimeout;
        if (!answered_) return pipe_->last_error();
        const auto bytes = std::as_bytes(std::span(answer_));
        const auto* raw = reinterpret_cast<const uint8_t*>(bytes.data());
        flatbuffers::Verifier verifier(raw, bytes.size(), 8, kReplyTablesMax);
        if (bytes.size() < 16 || !verifier.VerifyBuffer<wire::AdminReply>(nullptr)) return Errc::kBadSchema;
        const auto* reply = flatbuffers::GetRoot<wire::AdminReply>(raw);
        if (reply->message() != nullptr) message_ = reply->message()->str();
        take_places(*reply);
        if (reply->code() != 0) return error_of(static_cast<Errc>(reply->code()), reply->detail());
        return reply;
    }

    struct GroupAsk {
        wire::AdminOp op{};
        std::string_view stream;
        std::string_view group;
        StartAt to = {};
        std::vector<uint64_t> shards = {};
        bool force = false;
        uint32_t heartbeat_ms = 0;
    };
    Result<const wire::AdminReply*> ask_group(const GroupAsk& ask) {
        flatbuffers::FlatBufferBuilder builder;
        const auto stream = builder.CreateString(ask.stream.data(), ask.stream.size());
        const auto group = builder.CreateString(ask.group.data(), ask.group.size());
        const auto shards = builder.CreateVector(ask.shards);
        wire::AdminRequestBuilder request(builder);
        request.add_op(ask.op);
        request.add_name(stream);
        request.add_group(group);
        request.add_position(static_cast<uint16_t>(ask.to.position));
        request.add_position_value(ask.to.value);
        request.add_shards(shards);
        request.add_force(ask.force);
        request.add_heartbeat_ms(ask.heartbeat_ms);
        builder.Finish(request.Finish());
        return exchange(builder);
    }
    static Result<std::vector<GroupDescription>> groups_of(const Result<const wire::AdminReply*>& reply) {
        if (!reply) return reply.error();
        std::vector<GroupDescription> groups;
        if ((*reply)->groups() == nullptr) return groups;
        for (const wire::GroupAnswer* each : *(*reply)->groups()) groups.push_back(describe_group_answer(*each));
        return groups;
    }
    static Status done(const Result<const wire::AdminReply*>& reply) {
        if (!reply) return reply.error();
        return {};
    }
    void take_places(const wire::AdminReply& reply) {
        if (reply.journals() == nullptr || reply.directories() == nullptr) return;
        for (const wire::JournalInfo* each : *reply.journals())
            places_.journals.push_back({each->id(), each->directory(), each->core(), each->available()});
        for (const wire::DirectoryInfo* each : *reply.directories()) {
            const std::string path = each->path() == nullptr ? std::string() : each->path()->str();
            places_.directories.push_back({each->number(), path, each->available()});
        }
    }

    static Result<std::vector<KeyDescription>> keys_of(const Result<const wire::AdminReply*>& reply) {
        if (!reply) return reply.error();
        std::vector<KeyDescription> keys;
        if ((*reply)->keys() == nullptr) return keys;
        for (const wire::KeyAnswer* each : *(*reply)->keys()) {
            keys.push_back({text(each->id()), text(each->name()), text(each->allow()), each->created_ns(), each->expires_ns(),
                            each->revoked_ns(), each->generation(), text((*reply)->secret()), {}});
            if (const auto* sealed = each->sealed_secret(); sealed != nullptr) {
                const auto bytes = std::as_bytes(std::span(sealed->data(), sealed->size()));
                keys.back().sealed_secret.assign(bytes.begin(), bytes.end());
            }
        }
        return keys;
    }
    static Result<std::vector<feeds::FeedSpec>> feeds_of(const Result<const wire::AdminReply*>& reply) {
        if (!reply) return reply.error();
        std::vector<feeds::FeedSpec> specs;
        for (uint32_t i = 0; (*reply)->feeds() != nullptr && i < (*reply)->feeds()->size(); ++i) {
            auto spec = feeds::feed_spec_from(*(*reply)->feeds()->Get(i));
            if (!spec) return spec.error();
            specs.push_back(std::move(*spec));
        }
        return specs;
    }
    static Result<KeyDescription> key_of(const Result<const wire::AdminReply*>& reply) {
        auto keys = keys_of(reply);
        if (!keys) return keys.error();
        if (keys->empty()) return Errc::kUnknownKey;
        return std::move(keys->front());
    }

    static Result<StreamDescription> first_of(Result<std::vector<StreamDescription>> streams) {
        if (!streams) return streams.error();
        if (streams->empty()) return Errc::kUnknownStream;
        return std::move(streams->front());
    }
    template <class Answer>
    static Status done(const Result<Answer>& answer) {
        if (!answer) return answer.error();
        return {};
    }

    uint64_t timeout_ns_;
    std::unique_ptr<Transport> transport_;
    ClientOptions options_;
    std::unique_ptr<Connection> pipe_;
    uint64_t correlation_ = 0;
    bool answered_ = false;
    bool lost_ = false;
    std::vector<uint64_t> answer_;
    std::string message_;
    BoxPlaces places_;
};

}  // namespace

Result<std::unique_ptr<ControlClient>> ControlClient::connect(const std::string& socket_path, uint64_t timeout_ns) {
    auto client = std::make_unique<ControlClientImpl>(socket_path, timeout_ns);
    if (const Status opened = client->open(); !opened) return opened.error();
    return std::unique_ptr<ControlClient>(std::move(client));
}

}  // namespace eagre::client
