#pragma once
// A whole box on one simulated node whose cores turn when a test says so, and a client that speaks bare frames.

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include <flatbuffers/flatbuffers.h>

#include "dataplane/core.h"
#include "dataplane/data_directory.h"
#include "dataplane/feed/feed_store.h"
#include "dataplane/io/sim/sim_world.h"
#include "dataplane/recovered.h"
#include "tests/support/sim_transport.h"
#include "wire/client/connection.h"
#include "wire/feeds/spec/feed_codec.h"
#include "wire/frame/batch.h"
#include "wire/schema/control_generated.h"

namespace eagre::test {

/// One connection to one core, by frames. Answers are kept by correlation id.
class FrameClient final : public client::ConnectionEvents {
  public:
    FrameClient(io::sim::SimWorld& world, const std::string& address, uint16_t port) : transport_(world) {
        options_.address = address;
        connection_ = std::make_unique<client::Connection>(transport_, *this, options_, 0, port);
    }
    void on_ready(uint32_t, const std::vector<uint16_t>&, uint64_t) override {}
    void on_lost(uint32_t, Error) override { ++lost; }
    void on_frame(uint32_t, const frame::FrameHeader& header, std::span<const std::byte> payload) override {
        frames.push_back(header);
        payload_bytes += payload.size();
        last_payload.resize((payload.size() + 7) / 8);
        if (!payload.empty()) std::memcpy(last_payload.data(), payload.data(), payload.size());
    }
    bool ready() const { return connection_->ready(); }
    void poll() { connection_->poll(transport_.monotonic_ns()); }
    uint64_t push(frame::FrameHeader header, std::span<const std::byte> payload = {}) {
        header.correlation = ++correlation_;
        connection_->push(header, payload);
        return header.correlation;
    }
    /// With a correlation id that is in use: credit and the end of a subscription.
    void push_as(uint64_t correlation, frame::FrameHeader header) {
        header.correlation = correlation;
        connection_->push(header);
    }
    /// One record of `key`, for `shard` at map version 1.
    uint64_t append(ShardId shard, std::string_view key, uint64_t producer = 0, uint64_t number = 0, uint16_t flags = 0) {
        frame::BatchBuilder builder;
        EXPECT_TRUE(builder.add({key, std::as_bytes(std::span("data", 4)), {}, 0, 0}).has_value());
        frame::FrameHeader header;
        header.kind = frame::FrameKind::kAppend;
        header.flags = flags;
        header.shard = shard.value;
        header.detail = producer;
        header.number = number;
        header.sequence = (flags & frame::kAppendRouteForMe) != 0 ? 0 : 1;
        header.record_count = 1;
        return push(header, builder.finish());
    }
    /// The last answer to `correlation`; null when there is none yet.
    const frame::FrameHeader* answer(uint64_t correlation) const {
        for (auto it = frames.rbegin(); it != frames.rend(); ++it) {
            if (it->correlation == correlation) return &*it;
        }
        return nullptr;
    }
    Errc code(uint64_t correlation) const {
        const auto* header = answer(correlation);
        EXPECT_NE(header, nullptr) << "no answer to " << correlation;
        return header == nullptr ? Errc::kTimeout : frame::errc_of(*header);
    }

    std::vector<frame::FrameHeader> frames;
    std::vector<uint64_t> last_payload;
    uint64_t payload_bytes = 0;
    int lost = 0;

  private:
    SimTransport transport_;
    client::ClientOptions options_;
    std::unique_ptr<client::Connection> connection_;
    uint64_t correlation_ = 100;
};

class CoreRig {
  public:
    /// Stands between a core and its simulated I/O.
    using WrapIo = std::function<io::Io(uint32_t core, io::Io io)>;

    explicit CoreRig(uint32_t core_count, uint64_t seed = 1, const std::vector<bool>& journals_available = {},
                     const WrapIo& wrap = {}, io::sim::SimDisk* used_disk = nullptr, bool auth = false)
        : disk(used_disk != nullptr ? *used_disk : own_disk), world(seed) {
        Options options;
        options.port = 5000;
        options.auth = auth;
        options.wait = reactor::WaitPolicy::kSpin;  // A wait would move time on behind the test's back.
        options.stats_shard_capacity = 64;
        options.journal.segment_bytes = 4 * kMiB;
        options.journal.window_bytes = 16 * kMiB;
        options.journal.disk_reserve_bytes = 0;
        for (uint32_t core = 1; core < core_count; ++core) options.cpus.push_back(core);
        node = &world.start_node(disk, core_count);
        box.options = options;
        box.core_count = core_count;
        io::Io first = node->io(0);
        const auto identity = open_data_directory(first.files, core_count, options.journal.segment_bytes, first.seed);
        EXPECT_TRUE(identity.has_value());
        box.journal_count = identity->journal_count;
        auto feeds = feed::load_feeds(first.files);
        EXPECT_TRUE(feeds.has_value());
        if (feeds) box.feeds = std::move(*feeds);
        EXPECT_TRUE(box.prepare().has_value());
        if (!journals_available.empty()) box.journal_available = journals_available;
        std::vector<Core*> all;
        for (uint32_t index = 0; index < core_count; ++index) {
            auto core = Core::create(box, CoreIndex{index}, wrap ? wrap(index, node->io(index)) : node->io(index));
            EXPECT_TRUE(core.has_value());
            cores.push_back(std::move(*core));
            all.push_back(cores.back().get());
        }
        const Recovered recovered = merge_recovered(all);
        for (Core* core : all) {
            core->start(recovered);
            EXPECT_TRUE(core->listen().has_value());
        }
        EXPECT_TRUE(cores[0]->listen_control("eagred.sock").has_value());
    }

    /// `rounds` turns of the cores named (all when empty), clients and time in between.
    void turn(int rounds, std::vector<uint32_t> which = {}) {
        if (which.empty()) {
            for (uint32_t core = 0; core < cores.size(); ++core) which.push_back(core);
        }
        for (int i = 0; i < rounds; ++i) {
            for (const uint32_t core : which) cores[core]->turn();
            for (const auto& client : clients) client->poll();
            world.advance(20'000);
        }
    }
    /// In good order, or killed. Another rig may then go on with `disk`.
    void stop(bool killed) {
        if (killed) {
            world.crash(*node, {});
        } else {
            for (const auto& core : cores) EXPECT_TRUE(core->close().has_value());
        }
        cores.clear();
        clients.clear();
        if (!killed) world.stop(*node);
    }
    FrameClient& connect(uint32_t core) { return connect("127.0.0.1", static_cast<uint16_t>(5000 + core)); }
    FrameClient& connect_control() { return connect("unix:eagred.sock", 0); }

    /// Opens stream 1 "ticks" with shards 1..n; shard i lives on journal (i - 1) % cores. Returns the answer's error.
    Errc open_stream(FrameClient& control, uint32_t shard_count, uint64_t stream_id = 1, uint64_t first_shard = 1,
                     const char* name = "ticks", uint64_t epoch = 1) {
        flatbuffers::FlatBufferBuilder builder;
        std::vector<flatbuffers::Offset<wire::ShardInfo>> shards;
        const uint64_t step = shard_count == 1 ? 0 : UINT64_MAX / shard_count + 1;
        for (uint32_t i = 0; i < shard_count; ++i) {
            const bool last = i + 1 == shard_count;
            shards.push_back(wire::CreateShardInfo(builder, first_shard + i, step * i, 0, last ? UINT64_MAX : step * (i + 1) - 1, UINT64_MAX,
                                                   0, 0, true, true, i % box.journal_count));
        }
        const auto stream = wire::CreateStreamInfo(builder, stream_id, builder.CreateString(name), 1, 0, 0, 0, builder.CreateVector(shards));
        builder.Finish(wire::CreateCommand(builder, ++command_id, epoch, wire::CommandOp::OpenStream, stream));
        return command(control, builder);
    }
    Errc simple(FrameClient& control, wire::CommandOp op, uint64_t epoch, uint64_t stream_id = 0) {
        flatbuffers::FlatBufferBuilder builder;
        flatbuffers::Offset<wire::StreamInfo> stream;
        if (stream_id != 0) stream = wire::CreateStreamInfo(builder, stream_id);
        builder.Finish(wire::CreateCommand(builder, ++command_id, epoch, op, stream));
        return command(control, builder);
    }
    Errc put_feeds(FrameClient& control, const feeds::FeedSet& set, uint64_t epoch = 1) {
        flatbuffers::FlatBufferBuilder builder;
        const auto packed = feeds::pack_feed_set(builder, set);
        wire::CommandBuilder command_builder(builder);
        command_builder.add_id(++command_id);
        command_builder.add_epoch(epoch);
        command_builder.add_op(wire::CommandOp::PutFeeds);
        command_builder.add_feed_set(packed);
        builder.Finish(command_builder.Finish());
        return command(control, builder);
    }
    Errc command(FrameClient& control, const flatbuffers::FlatBufferBuilder& builder) {
        std::vector<std::byte> payload((builder.GetSize() + 7) / 8 * 8);
        std::memcpy(payload.data(), builder.GetBufferPointer(), builder.GetSize());
        frame::FrameHeader header;
        header.kind = frame::FrameKind::kCommand;
        const uint64_t correlation = control.push(header, payload);
        for (int i = 0; i < 200 && control.answer(correlation) == nullptr; ++i) turn(1);
        return control.code(correlation);
    }
    /// A key that falls in shard `index` of `count` uniform ones.
    static std::string key_of(uint32_t index, uint32_t count) {
        const uint64_t step = count == 1 ? 0 : UINT64_MAX / count + 1;
        for (uint32_t i = 0;; ++i) {
            const std::string key = "key-" + std::to_string(i);
            if (count == 1 || frame::hash_partition_key(key).high / step == index) return key;
        }
    }

    io::sim::SimDisk own_disk;
    io::sim::SimDisk& disk;  // The own one, or that of a box that has stopped: see stop().
    io::sim::SimWorld world;
    io::sim::SimNode* node = nullptr;
    Box box;
    std::vector<std::unique_ptr<Core>> cores;
    std::vector<std::unique_ptr<FrameClient>> clients;
    uint64_t command_id = 0;

  private:
    FrameClient& connect(const std::string& address, uint16_t port) {
        clients.push_back(std::make_unique<FrameClient>(world, address, port));
        FrameClient& client = *clients.back();
        for (int i = 0; i < 100 && !client.ready(); ++i) turn(1);
        EXPECT_TRUE(client.ready());
        return client;
    }
};

}  // namespace eagre::test
