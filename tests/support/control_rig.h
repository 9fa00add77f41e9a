#pragma once
// A controller, a fake dataplane and administrators on one network in memory, driven turn by turn.
// The catalogue lies in a temporary directory, so that a controller can be killed and started anew,
// or be given an old copy.

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "control/catalog/sqlite_catalog.h"
#include "control/controller.h"
#include "control/log/log.h"
#include "tests/support/fake_dataplane.h"
#include "tests/support/memory_network.h"
#include "wire/client/control_client.h"
#include "wire/schema/admin_generated.h"

namespace eagre::test {

/// What an administrator was told.
struct AdminAnswer {
    Errc code{};
    uint64_t detail = 0;
    std::string message;
    std::vector<streams::StreamFact> streams;
    std::vector<uint32_t> shard_counts;
    catalog::Tags tags = {};  // Of all streams told.
    std::vector<client::Note> notes = {};
    std::vector<feeds::FeedSpec> feeds = {};
};

struct AdminAsk {
    wire::AdminOp op{};
    std::string name = {};
    uint32_t shard_count = 0;
    uint64_t retention_ms = 0;
    uint64_t record_bytes_max = 0;
    wire::StreamField fields = {};
    uint64_t retention_bytes = 0;
    uint64_t quota_records_per_s = 0;
    catalog::Tags tags = {};
    std::optional<client::Note> note = {};
    std::optional<feeds::FeedSpec> feed = {};
};

class ControlRig {
  public:
    ControlRig()
        : dataplane(network),
          directory_(std::filesystem::temp_directory_path() /
                     ("eagre-control-" + std::to_string(getpid()))) {
        log::set_level(log::Level::kOff);
        std::filesystem::remove_all(directory_);
        std::filesystem::create_directories(directory_);
    }
    ~ControlRig() {
        caller_.reset();
        kill();
        std::filesystem::remove_all(directory_);
    }
    ControlRig(const ControlRig&) = delete;
    ControlRig& operator=(const ControlRig&) = delete;

    std::string catalog_path() const { return directory_ / "catalog.sqlite"; }
    MemoryNetwork::Door& admin_door() { return network.door("unix:control"); }

    void start() {
        auto opened = catalog::open_sqlite_catalog(catalog_path(), 1);
        ASSERT_TRUE(opened.has_value());
        catalog = std::move(*opened);
        control::ControllerOptions options;
        options.channel.address = "unix:eagred";
        auto made = control::Controller::open(*catalog, network, admin_door(), options);
        ASSERT_TRUE(made.has_value());
        controller = std::move(*made);
    }
    void kill() {
        controller.reset();
        catalog.reset();
        caller_.reset();
        while (admin_door().accept()) {
        }
    }
    void start_and_agree() {
        start();
        ASSERT_TRUE(run_until([this] { return controller->ready(); }));
    }

    void turn() {
        controller->poll(1'000'000);
        dataplane.poll();
    }
    /// True when `done` came true within `turns`, at most a millisecond each.
    bool run_until(const std::function<bool()>& done, uint32_t turns = 20'000) {
        for (uint32_t i = 0; i < turns; ++i) {
            if (done()) return true;
            turn();
        }
        return done();
    }

    void send(const AdminAsk& ask) {
        flatbuffers::FlatBufferBuilder builder;
        const auto name = builder.CreateString(ask.name);
        std::vector<flatbuffers::Offset<wire::Tag>> offsets;
        for (const auto& [key, value] : ask.tags) {
            offsets.push_back(
                wire::CreateTag(builder, builder.CreateString(key), builder.CreateString(value)));
        }
        const auto tags = builder.CreateVector(offsets);
        flatbuffers::Offset<wire::Note> note;
        if (ask.note) {
            const auto note_name = builder.CreateString(ask.note->name);
            note = wire::CreateNote(builder, name, note_name, builder.CreateString(ask.note->text), ask.note->revision);
        }
        flatbuffers::Offset<wire::FeedInfo> feed;
        if (ask.feed) feed = feeds::pack_feed(builder, *ask.feed);
        wire::AdminRequestBuilder request(builder);
        request.add_op(ask.op);
        request.add_name(name);
        request.add_shard_count(ask.shard_count);
        request.add_retention_ms(ask.retention_ms);
        request.add_record_bytes_max(ask.record_bytes_max);
        request.add_fields(ask.fields);
        request.add_retention_bytes(ask.retention_bytes);
        request.add_quota_records_per_s(ask.quota_records_per_s);
        request.add_tags(tags);
        if (ask.note) request.add_note(note);
        if (ask.feed) request.add_feed(feed);
        builder.Finish(request.Finish());
        frame::FrameHeader header;
        header.kind = frame::FrameKind::kCommand;
        header.correlation = ++correlation_;
        const std::span bytes(reinterpret_cast<const std::byte*>(builder.GetBufferPointer()),
                              builder.GetSize());
        ASSERT_TRUE(caller().send(header, bytes).has_value());
        ASSERT_TRUE(caller().flush().has_value());
    }
    /// The next frame for the administrator; nothing when none came within `turns`.
    std::optional<frames::Frame> next_frame(uint32_t turns = 20'000) {
        for (uint32_t i = 0; i < turns; ++i) {
            auto frame = caller().receive();
            if (!frame) return std::nullopt;
            if (*frame) return std::move(**frame);
            turn();
        }
        return std::nullopt;
    }
    AdminAnswer answer() {
        const auto frame = next_frame();
        if (!frame) return {Errc::kTimeout, 0, "no answer", {}, {}};
        return unpack(*frame);
    }
    AdminAnswer ask(const AdminAsk& what) {
        send(what);
        return answer();
    }
    AdminAnswer create(const std::string& name, uint32_t shard_count) {
        return ask({wire::AdminOp::CreateStream, name, shard_count, 0, 0});
    }
    AdminAnswer remove(const std::string& name) {
        return ask({wire::AdminOp::DeleteStream, name, 0, 0, 0});
    }
    AdminAnswer describe(const std::string& name) {
        return ask({wire::AdminOp::DescribeStream, name, 0, 0, 0});
    }
    AdminAnswer list() { return ask({wire::AdminOp::ListStreams, "", 0, 0, 0}); }

    frames::FramePipe& caller() {
        if (!caller_) caller_ = connect_caller();
        return *caller_;
    }
    std::unique_ptr<frames::FramePipe> connect_caller() {
        return std::make_unique<frames::FramePipe>(network, *network.connect("unix:control", 0),
                                                   frames::PipeLimits{});
    }
    void hang_up() { caller_.reset(); }

    /// Catalogue and facts say the same, and nothing is half done.
    void expect_agreement() {
        size_t shard_count = 0;
        for (const auto& [id, fact] : dataplane.streams) {
            const streams::Stream* stream = controller->table().find(StreamId(id));
            ASSERT_NE(stream, nullptr) << fact.name;
            EXPECT_EQ(stream->row.name, fact.name);
            EXPECT_EQ(stream->row.retention_ms, fact.retention_ms);
            EXPECT_EQ(stream->shards.size(), fact.shards.size()) << fact.name;
            shard_count += fact.shards.size();
        }
        EXPECT_EQ(controller->table().streams().size(), dataplane.streams.size());
        EXPECT_EQ(controller->table().shard_count(), shard_count);
        for (const auto& [id, stream] : controller->table().streams())
            EXPECT_EQ(stream.row.state, catalog::StreamState::kActive);
        auto ids = dataplane.shards_ever_opened;
        std::sort(ids.begin(), ids.end());
        EXPECT_TRUE(std::adjacent_find(ids.begin(), ids.end()) == ids.end())
            << "a shard id was used twice";
    }

    MemoryNetwork network;
    FakeDataplane dataplane;
    std::unique_ptr<catalog::Catalog> catalog;
    std::unique_ptr<control::Controller> controller;

  private:
    static AdminAnswer unpack(const frames::Frame& frame) {
        AdminAnswer answer;
        answer.code = frame::errc_of(frame.header);
        answer.detail = frame.header.detail;
        if (frame.payload.empty()) return answer;
        const auto* reply = flatbuffers::GetRoot<wire::AdminReply>(frame.payload.data());
        EXPECT_EQ(reply->code(), frame.header.flags);
        answer.message = reply->message()->str();
        if (reply->notes() != nullptr) {
            for (const wire::Note* note : *reply->notes())
                answer.notes.push_back({note->stream()->str(), note->name()->str(), note->text()->str(), note->revision()});
        }
        for (uint32_t i = 0; reply->feeds() != nullptr && i < reply->feeds()->size(); ++i)
            answer.feeds.push_back(*feeds::feed_spec_from(*reply->feeds()->Get(i)));
        for (const wire::StreamInfo* info : *reply->streams()) {
            streams::StreamFact stream;
            stream.id = StreamId(info->id());
            stream.name = info->name()->str();
            stream.retention_ms = info->retention_ms();
            stream.record_bytes_max = info->record_bytes_max();
            stream.retention_bytes = info->retention_bytes();
            stream.quota_records_per_s = info->quota_records_per_s();
            if (info->tags() != nullptr) {
                for (const wire::Tag* tag : *info->tags()) answer.tags[tag->key()->str()] = tag->value()->str();
            }
            for (const wire::ShardInfo* shard : *info->shards()) {
                streams::ShardFact fact;
                fact.id = ShardId(shard->id());
                fact.journal = JournalId(shard->journal());
                fact.available = shard->available();
                fact.port = shard->port();
                fact.next_sequence = SequenceNumber(shard->next_sequence());
                stream.shards.push_back(fact);
            }
            answer.streams.push_back(std::move(stream));
            answer.shard_counts.push_back(info->shard_count());
        }
        return answer;
    }

    std::filesystem::path directory_;
    std::unique_ptr<frames::FramePipe> caller_;
    uint64_t correlation_ = 0;
};

}  // namespace eagre::test
