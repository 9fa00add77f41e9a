#pragma once
// A dataplane that is nothing but its facts: it takes epochs, opens, changes and deletes streams at
// once, and can be told to fail at any step.

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include <flatbuffers/flatbuffers.h>

#include "control/frames/frame_pipe.h"
#include "control/streams/facts.h"
#include "tests/support/memory_network.h"
#include "wire/feeds/spec/feed_codec.h"
#include "wire/schema/control_generated.h"
#include "wire/schema/request_generated.h"

namespace eagre::test {

class FakeDataplane {
  public:
    explicit FakeDataplane(MemoryNetwork& network, uint32_t journal_count = 2)
        : network_(network), door_(network.door("unix:eagred")), journal_count_(journal_count) {}

    // -- The script. Each applies to the next command of its kind, then is spent.
    std::optional<wire::CommandOp> lose_command;  // The connection breaks before anything is done.
    std::optional<wire::CommandOp>
        lose_reply;  // The connection breaks when all is done and nothing is said.
    std::optional<wire::CommandOp>
        do_half;  // As lose_reply, but only every other shard has been done.
    std::map<wire::CommandOp, std::vector<Errc>> refuse;  // Answers, one for each attempt.
    bool silent = false;                     // Reads nothing, says nothing, until switched off.
    std::vector<uint32_t> journals_missing;  // Their shards are not listed.

    // -- The facts: they outlive every connection, as journals do.
    std::map<uint64_t, streams::StreamFact> streams;
    uint64_t epoch = 0;
    uint64_t stream_id_max = 0;
    uint64_t shard_id_max = 0;
    uint64_t box_id = 77;
    std::map<wire::CommandOp, uint32_t> done_count;
    feeds::FeedSet feeds;
    std::vector<uint64_t> shards_ever_opened;  // In order; an id that is here twice was used twice.

    void set_up(bool up) {
        door_.accepting = up;
        if (!up) pipe_.reset();
    }

    void poll() {
        while (const auto accepted = door_.accept()) {
            frames::PipeLimits limits;
            limits.receive_payload_bytes_max = kFramePayloadBytesMax;
            pipe_ = std::make_unique<frames::FramePipe>(network_, *accepted, limits);
        }
        while (pipe_ && !silent) {
            if (!pipe_->flush()) return pipe_.reset();
            const auto frame = pipe_->receive();
            if (!frame) return pipe_.reset();
            if (!*frame) return;
            take(**frame);
            if (pipe_ && !pipe_->flush()) return pipe_.reset();
        }
    }

  private:
    static bool spend(std::optional<wire::CommandOp>& script, wire::CommandOp op) {
        if (script != op) return false;
        script.reset();
        return true;
    }

    void take(const frames::Frame& frame) {
        if (frame.header.kind == frame::FrameKind::kHello) {
            flatbuffers::FlatBufferBuilder builder;
            wire::HelloReplyBuilder hello(builder);
            hello.add_box_id_low(box_id);
            hello.add_incarnation(1);
            builder.Finish(hello.Finish());
            send(frame::reply_to(frame.header, frame::FrameKind::kHelloReply), builder);
            return;
        }
        const auto& command = *flatbuffers::GetRoot<wire::Command>(frame.payload.data());
        if (spend(lose_command, command.op())) return pipe_.reset();
        const bool half = spend(do_half, command.op());
        const Error error = execute(command, half);
        if (spend(lose_reply, command.op()) || half) return pipe_.reset();
        reply(frame.header, command, error);
    }

    Error execute(const wire::Command& command, bool half) {
        if (command.op() == wire::CommandOp::TakeEpoch) {
            if (command.epoch() <= epoch) return error_of(Errc::kStaleEpoch, epoch);
            epoch = command.epoch();
        }
        if (command.epoch() != epoch) return error_of(Errc::kStaleEpoch, epoch);
        auto& refusals = refuse[command.op()];
        if (!refusals.empty()) {
            const Errc code = refusals.front();
            refusals.erase(refusals.begin());
            return error_of(code, 7);
        }
        ++done_count[command.op()];
        switch (command.op()) {
            case wire::CommandOp::OpenStream:
                return open(*command.stream(), half);
            case wire::CommandOp::DeleteStream:
                return remove(command.stream()->id(), half);
            case wire::CommandOp::SetStream:
                return set(*command.stream());
            case wire::CommandOp::PutFeeds: {
                const auto set = feeds::feed_set_from(command.feed_set());
                if (!set) return set.error();
                if ((*set)->number < feeds.number) return error_of(Errc::kStaleFeeds, feeds.number);
                feeds = **set;
                return {};
            }
            default:
                return {};
        }
    }

    Error open(const wire::StreamInfo& wanted, bool half) {
        // Ids are never used twice, whatever an old catalogue believes.
        if (streams.count(wanted.id()) == 0 && wanted.id() <= stream_id_max)
            return error_of(Errc::kBadArgument, stream_id_max);
        streams::StreamFact& stream = streams[wanted.id()];
        stream.id = StreamId(wanted.id());
        stream.name = wanted.name()->str();
        stream.map_version = wanted.map_version();
        stream.retention_ms = wanted.retention_ms();
        stream.record_bytes_max = wanted.record_bytes_max();
        stream.retention_bytes = wanted.retention_bytes();
        stream.quota_bytes_per_s = wanted.quota_bytes_per_s();
        stream.quota_records_per_s = wanted.quota_records_per_s();
        stream.created_ns = wanted.created_ns();
        stream_id_max = std::max(stream_id_max, wanted.id());
        for (uint32_t i = 0; i < wanted.shards()->size(); i += half ? 2 : 1) {
            const wire::ShardInfo& info = *wanted.shards()->Get(i);
            streams::ShardFact shard;
            shard.id = ShardId(info.id());
            shard.range = {{info.starting_hash_high(), info.starting_hash_low()},
                           {info.ending_hash_high(), info.ending_hash_low()}};
            shard.journal = JournalId(info.journal());
            shard.first_sequence = SequenceNumber(info.first_sequence());
            shard.ordinal = info.ordinal();
            shard.next_sequence = shard.first_sequence;
            shard.trim_horizon = shard.first_sequence;
            shard.port = 4568;
            const bool known = std::any_of(stream.shards.begin(), stream.shards.end(),
                                           [&](const auto& other) { return other.id == shard.id; });
            if (known) continue;
            shards_ever_opened.push_back(shard.id.value);
            shard_id_max = std::max(shard_id_max, shard.id.value);
            stream.shards.push_back(shard);
        }
        return {};
    }

    Error remove(uint64_t id, bool half) {
        const auto found = streams.find(id);
        if (found == streams.end()) return error_of(Errc::kUnknownStream);
        if (!half) {
            streams.erase(found);
            return {};
        }
        auto& shards = found->second.shards;
        shards.erase(shards.begin(),
                     shards.begin() + static_cast<std::ptrdiff_t>((shards.size() + 1) / 2));
        return {};
    }

    Error set(const wire::StreamInfo& wanted) {
        const auto found = streams.find(wanted.id());
        if (found == streams.end()) return error_of(Errc::kUnknownStream);
        found->second.retention_ms = wanted.retention_ms();
        found->second.record_bytes_max = wanted.record_bytes_max();
        found->second.retention_bytes = wanted.retention_bytes();
        found->second.quota_bytes_per_s = wanted.quota_bytes_per_s();
        found->second.quota_records_per_s = wanted.quota_records_per_s();
        found->second.map_version = std::max(found->second.map_version, wanted.map_version());
        return {};
    }

    bool missing(JournalId journal) const {
        return std::find(journals_missing.begin(), journals_missing.end(), journal.value) !=
               journals_missing.end();
    }

    flatbuffers::Offset<wire::StreamInfo> pack(flatbuffers::FlatBufferBuilder& builder,
                                               const streams::StreamFact& stream) const {
        std::vector<flatbuffers::Offset<wire::ShardInfo>> shards;
        for (const streams::ShardFact& shard : stream.shards) {
            if (missing(shard.journal)) continue;
            shards.push_back(wire::CreateShardInfo(
                builder, shard.id.value, shard.range.starting.high, shard.range.starting.low,
                shard.range.ending.high, shard.range.ending.low, 0, 0, shard.open, true,
                shard.journal.value, 0, shard.port, shard.trim_horizon.value,
                shard.next_sequence.value, shard.first_sequence.value, 0, shard.ordinal));
        }
        return wire::CreateStreamInfo(builder, stream.id.value, builder.CreateString(stream.name),
                                      stream.map_version, stream.retention_ms,
                                      stream.record_bytes_max, stream.created_ns,
                                      builder.CreateVector(shards), 0, stream.retention_bytes,
                                      stream.quota_bytes_per_s, stream.quota_records_per_s);
    }

    void reply(const frame::FrameHeader& header, const wire::Command& command, Error error) {
        flatbuffers::FlatBufferBuilder builder;
        std::vector<flatbuffers::Offset<wire::StreamInfo>> listed;
        if (command.op() == wire::CommandOp::ListFacts) {
            for (const auto& [id, stream] : streams) {
                const bool hidden =
                    std::all_of(stream.shards.begin(), stream.shards.end(),
                                [this](const auto& shard) { return missing(shard.journal); });
                if (!hidden) listed.push_back(pack(builder, stream));
            }
        }
        builder.Finish(wire::CreateCommandReply(
            builder, command.id(), static_cast<uint16_t>(error.code), error.detail,
            builder.CreateVector(listed), journal_count_, shard_id_max, stream_id_max, false,
            builder.CreateVector(journals_missing)));
        send(frame::reply_to(header, frame::FrameKind::kCommandReply, error), builder);
    }

    void send(const frame::FrameHeader& header, const flatbuffers::FlatBufferBuilder& builder) {
        const std::span bytes(reinterpret_cast<const std::byte*>(builder.GetBufferPointer()),
                              builder.GetSize());
        if (!pipe_->send(header, bytes)) pipe_.reset();
    }

    MemoryNetwork& network_;
    MemoryNetwork::Door& door_;
    std::unique_ptr<frames::FramePipe> pipe_;
    uint32_t journal_count_;
};

}  // namespace eagre::test
