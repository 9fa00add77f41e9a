#include "tests/support/fake_box.h"

#include <flatbuffers/flatbuffers.h>

#include <algorithm>

#include "wire/schema/request_generated.h"

namespace eagre::test {

using frame::FrameHeader;
using frame::FrameKind;

class FakeTransport final : public client::Transport {
  public:
    explicit FakeTransport(FakeBox& box) : box_(box) {}
    Result<client::PipeId> connect(std::string_view, uint16_t) override {
        const uint64_t id = ++box_.connection_count;
        box_.pipes_[id];
        return client::PipeId{id};
    }
    Result<size_t> send(client::PipeId id, std::span<const client::Slice> slices) override {
        FakeBox::Pipe& pipe = box_.pipes_.at(id.value);
        if (pipe.broken) return Errc::kDisconnected;
        size_t taken = 0;
        for (const client::Slice& slice : slices) {
            const size_t count = box_.piece(slice.bytes);
            pipe.in.insert(pipe.in.end(), slice.data, slice.data + count);
            taken += count;
            if (count < slice.bytes) break;
        }
        box_.on_bytes(pipe);
        return taken;
    }
    Result<size_t> receive(client::PipeId id, std::span<std::byte> target) override {
        FakeBox::Pipe& pipe = box_.pipes_.at(id.value);
        if (pipe.broken) return Errc::kDisconnected;
        box_.serve(pipe);
        const size_t count = box_.piece(std::min(target.size(), pipe.out.size()));
        const size_t given = std::min(count, pipe.out.size());
        std::copy_n(pipe.out.begin(), given, target.begin());
        pipe.out.erase(pipe.out.begin(), pipe.out.begin() + static_cast<ptrdiff_t>(given));
        return given;
    }
    void close(client::PipeId id) override { box_.pipes_.at(id.value).broken = true; }
    void wait(uint64_t timeout_ns) override { box_.now_ns += std::clamp<uint64_t>(timeout_ns, 1000, 1'000'000ULL); }
    uint64_t monotonic_ns() override { return box_.now_ns += 100; }
    uint64_t wall_ns() override { return box_.now_ns; }
    uint64_t random() override { return box_.prng_.next(); }

  private:
    FakeBox& box_;
};

FakeBox::FakeBox(uint32_t shard_count, uint64_t seed) : prng_(seed) {
    const uint64_t step = shard_count == 1 ? 0 : UINT64_MAX / shard_count + 1;
    for (uint32_t i = 0; i < shard_count; ++i) {
        Shard shard;
        shard.range.starting = {step * i, 0};
        shard.range.ending = i + 1 == shard_count ? kHashKeyMax : HashKey{step * (i + 1) - 1, UINT64_MAX};
        shards[i + 1] = std::move(shard);
    }
}

std::unique_ptr<client::Transport> FakeBox::transport() { return std::make_unique<FakeTransport>(*this); }

void FakeBox::break_connections() {
    for (auto& [id, pipe] : pipes_) pipe.broken = true;
}

void FakeBox::split(uint64_t id) {
    Shard& parent = shards.at(id);
    parent.open = false;
    const uint64_t middle = parent.range.starting.high + (parent.range.ending.high - parent.range.starting.high) / 2;
    Shard low;
    low.range = {parent.range.starting, {middle, UINT64_MAX}};
    Shard high;
    high.range = {{middle + 1, 0}, parent.range.ending};
    low.next = high.next = low.horizon = high.horizon = parent.next;
    low.parent = high.parent = ShardId{id};
    const uint64_t next_id = shards.rbegin()->first + 1;
    shards[next_id] = std::move(low);
    shards[next_id + 1] = std::move(high);
    ++map_version;
}

void FakeBox::merge(uint64_t lower, uint64_t upper) {
    Shard& low = shards.at(lower);
    Shard& high = shards.at(upper);
    low.open = high.open = false;
    Shard child;
    child.range = {low.range.starting, high.range.ending};
    child.next = child.horizon = std::max(low.next, high.next);
    child.parent = ShardId{lower};
    child.adjacent_parent = ShardId{upper};
    const uint64_t next_id = shards.rbegin()->first + 1;
    shards[next_id] = std::move(child);
    ++map_version;
}

std::vector<uint64_t> FakeBox::children(uint64_t parent) const {
    std::vector<uint64_t> ids;
    for (const auto& [id, shard] : shards) {
        if (shard.parent.value == parent || shard.adjacent_parent.value == parent) ids.push_back(id);
    }
    return ids;
}

std::vector<std::string> FakeBox::records(uint64_t id) const {
    std::vector<std::string> all;
    for (const Run& run : shards.at(id).runs) {
        const auto batch = frame::BatchView::trusted(run.bytes());
        for (uint32_t i = 0; i < batch.record_count(); ++i) {
            const frame::RecordView record = batch.record(i);
            all.push_back(std::string(record.partition_key) + "=" +
                          std::string(reinterpret_cast<const char*>(record.data.data()), record.data.size()));
        }
    }
    return all;
}

std::vector<std::string> FakeBox::all_records() const {
    std::vector<std::string> all;
    for (const auto& [id, shard] : shards) {
        const auto some = records(id);
        all.insert(all.end(), some.begin(), some.end());
    }
    return all;
}

void FakeBox::send(Pipe& pipe, FrameHeader header, std::span<const std::byte> payload) {
    frame::seal_frame(header, payload);
    std::vector<std::byte> bytes(sizeof(header) + payload.size());
    std::memcpy(bytes.data(), &header, sizeof(header));
    if (!payload.empty()) std::memcpy(bytes.data() + sizeof(header), payload.data(), payload.size());
    if (tamper) tamper(bytes);
    pipe.out.insert(pipe.out.end(), bytes.begin(), bytes.end());
}

void FakeBox::on_bytes(Pipe& pipe) {
    while (!pipe.broken && pipe.in.size() >= frame::kHeaderBytes) {
        const auto header = frame::decode_header(pipe.in);
        if (!header || pipe.in.size() < frame::kHeaderBytes + header->payload_bytes) return;
        std::vector<uint64_t> payload((header->payload_bytes + 7) / 8);
        if (header->payload_bytes > 0) std::memcpy(payload.data(), pipe.in.data() + frame::kHeaderBytes, header->payload_bytes);
        pipe.in.erase(pipe.in.begin(), pipe.in.begin() + static_cast<ptrdiff_t>(frame::kHeaderBytes + header->payload_bytes));
        on_frame(pipe, *header, std::as_bytes(std::span(payload)).first(header->payload_bytes));
    }
}

void FakeBox::on_frame(Pipe& pipe, const FrameHeader& header, std::span<const std::byte> payload) {
    flatbuffers::FlatBufferBuilder builder;
    const auto answer = [&](FrameKind kind) {
        std::vector<std::byte> bytes(std::max<size_t>(16, (builder.GetSize() + 7) / 8 * 8));
        std::memcpy(bytes.data(), builder.GetBufferPointer(), builder.GetSize());
        send(pipe, frame::reply_to(header, kind), bytes);
    };
    switch (header.kind) {
        case FrameKind::kHello: {
            const std::vector<uint16_t> ports{4568};
            const auto list = builder.CreateVector(ports);
            wire::HelloReplyBuilder reply(builder);
            reply.add_ports(list);
            reply.add_incarnation(1);
            builder.Finish(reply.Finish());
            return answer(FrameKind::kHelloReply);
        }
        case FrameKind::kMetadata: {
            std::vector<flatbuffers::Offset<wire::ShardInfo>> infos;
            for (const auto& [id, shard] : shards) {
                infos.push_back(wire::CreateShardInfo(builder, id, shard.range.starting.high, shard.range.starting.low,
                                                      shard.range.ending.high, shard.range.ending.low, shard.parent.value, shard.adjacent_parent.value,
                                                      shard.open, true, 0, 0, 4568, shard.horizon, shard.next, 1, 0));
            }
            if (shards.empty()) return send(pipe, frame::reply_to(header, FrameKind::kMetadataReply, error_of(Errc::kUnknownStream)));
            const std::vector<flatbuffers::Offset<wire::StreamInfo>> streams{wire::CreateStreamInfo(
                builder, 1, builder.CreateString("ticks"), map_version, 0, record_bytes_max, 0, builder.CreateVector(infos))};
            builder.Finish(wire::CreateMetadataReply(builder, builder.CreateVector(streams)));
            return answer(FrameKind::kMetadataReply);
        }
        case FrameKind::kAppend:
            return on_append(pipe, header, payload);
        case FrameKind::kLocate: {
            if (!shards.contains(header.shard))
                return send(pipe, frame::reply_to(header, FrameKind::kLocateReply, error_of(Errc::kUnknownShard)));
            const Shard& shard = shards.at(header.shard);
            FrameHeader reply = frame::reply_to(header, FrameKind::kLocateReply);
            const auto position = static_cast<frame::Position>(header.flags);
            reply.sequence = position == frame::Position::kTrimHorizon ? shard.horizon
                             : position == frame::Position::kLatest    ? shard.next
                                                                       : header.sequence;
            reply.number = shard.next;
            return send(pipe, reply);
        }
        case FrameKind::kSubscribe:
            pipe.subscriptions[header.correlation] = {header.shard, header.sequence, static_cast<int64_t>(header.number)};
            return;
        case FrameKind::kCredit:
            if (pipe.subscriptions.contains(header.correlation)) {
                pipe.subscriptions[header.correlation].credit += static_cast<int64_t>(header.number);
            }
            return;
        case FrameKind::kRead: {
            if (!shards.contains(header.shard))
                return send(pipe, frame::reply_to(header, FrameKind::kReadEnd, error_of(Errc::kUnknownShard)));
            uint64_t next = header.sequence;
            if (const uint64_t horizon = shards.at(header.shard).horizon; next < horizon) {
                return send(pipe, frame::reply_to(header, FrameKind::kReadEnd, error_of(Errc::kSequenceTrimmed, horizon)));
            }
            auto credit = static_cast<int64_t>(header.number);
            deliver(pipe, header.correlation, header.shard, next, credit);
            const Shard& shard = shards.at(header.shard);
            const bool end = !shard.open && next >= shard.next;
            FrameHeader reply = frame::reply_to(header, FrameKind::kReadEnd, error_of(end ? Errc::kShardClosed : Errc::kOk));
            reply.number = shard.next;
            reply.sequence = next;
            const auto told = end ? children(header.shard) : std::vector<uint64_t>{};
            return send(pipe, reply, std::as_bytes(std::span(told)));
        }
        default:
            pipe.subscriptions.erase(header.correlation);
    }
}

void FakeBox::on_append(Pipe& pipe, const FrameHeader& header, std::span<const std::byte> payload) {
    ++append_count;
    FrameHeader reply = frame::reply_to(header, FrameKind::kAppendReply);
    reply.number = header.number;
    const auto fail = [&](Error error) {
        reply.flags = static_cast<uint16_t>(error.code);
        reply.detail = error.detail;
        send(pipe, reply);
    };
    if (prng_.chance(break_per_million)) {
        pipe.broken = true;
        return;
    }
    if (refuse) {
        const Error error = refuse(header);
        if (error.code != Errc::kOk) return fail(error);
    }
    Shard& shard = shards.at(header.shard);
    Shard::Memory* memory = nullptr;
    if (header.detail != 0) {
        const auto found = shard.producers.find(header.detail);
        if (found == shard.producers.end()) {
            if (header.number != 0) return fail(error_of(shard.open ? Errc::kUnknownProducer : Errc::kShardClosed));
        } else {
            memory = &found->second;
            if (const auto known = memory->answers.find(header.number); known != memory->answers.end()) {
                if (known->second.second != header.payload_crc) return fail(error_of(Errc::kBatchMismatch));
                reply.sequence = known->second.first;
                reply.record_count = header.record_count;
                return send(pipe, reply);
            }
            if (header.number != memory->last + 1) {
                return fail(shard.open ? error_of(Errc::kBatchOutOfOrder, memory->last + 1) : error_of(Errc::kShardClosed));
            }
        }
    }
    if (!shard.open) return fail(error_of(Errc::kShardClosed, shard.next - 1));
    if (header.sequence != map_version) return fail(error_of(Errc::kStaleMap, map_version));
    const auto batch = frame::BatchView::verify(payload, header.record_count);
    if (!batch) return fail(batch.error());
    for (uint32_t i = 0; i < batch->record_count(); ++i) {
        if (!shard.range.contains(frame::hash_of(batch->record(i)))) return fail(error_of(Errc::kWrongShard));
    }
    Run run;
    run.first_sequence = shard.next;
    run.record_count = header.record_count;
    run.payload.resize(payload.size() / 8);
    run.payload_bytes = payload.size();
    std::memcpy(run.payload.data(), payload.data(), payload.size());
    shard.runs.push_back(std::move(run));
    reply.sequence = shard.next;
    reply.record_count = header.record_count;
    shard.next += header.record_count;
    if (header.detail != 0) {
        Shard::Memory& kept = shard.producers[header.detail];
        kept.last = header.number;
        kept.answers[header.number] = {reply.sequence, header.payload_crc};
    }
    if (lose_answer && lose_answer(header)) return;
    if (prng_.chance(break_per_million)) {
        pipe.broken = true;
        return;
    }
    if (frame::ack_mode_of(header) != frame::AckMode::kNone) send(pipe, reply);
}

void FakeBox::serve(Pipe& pipe) {
    for (auto it = pipe.subscriptions.begin(); it != pipe.subscriptions.end();) {
        auto& [correlation, subscription] = *it;
        if (!shards.contains(subscription.shard)) {
            FrameHeader end;
            end.kind = FrameKind::kDeliverEnd;
            end.flags = static_cast<uint16_t>(Errc::kUnknownShard);
            end.correlation = correlation;
            end.shard = subscription.shard;
            send(pipe, end);
            it = pipe.subscriptions.erase(it);
            continue;
        }
        if (const uint64_t horizon = shards.at(subscription.shard).horizon; subscription.next < horizon) {
            FrameHeader end;
            end.kind = FrameKind::kDeliverEnd;
            end.flags = static_cast<uint16_t>(Errc::kSequenceTrimmed);
            end.correlation = correlation;
            end.shard = subscription.shard;
            end.detail = horizon;
            send(pipe, end);
            it = pipe.subscriptions.erase(it);
            continue;
        }
        deliver(pipe, correlation, subscription.shard, subscription.next, subscription.credit);
        const Shard& shard = shards.at(subscription.shard);
        if (!shard.open && subscription.next >= shard.next) {
            FrameHeader end;
            end.kind = FrameKind::kDeliverEnd;
            end.flags = static_cast<uint16_t>(Errc::kShardClosed);
            end.correlation = correlation;
            end.shard = subscription.shard;
            end.number = shard.next;
            end.sequence = shard.next;
            const auto told = children(subscription.shard);
            send(pipe, end, std::as_bytes(std::span(told)));
            it = pipe.subscriptions.erase(it);
        } else {
            ++it;
        }
    }
}

size_t FakeBox::deliver(Pipe& pipe, uint64_t correlation, uint64_t id, uint64_t& next, int64_t& credit) {
    const Shard& shard = shards.at(id);
    size_t count = 0;
    for (const Run& run : shard.runs) {
        if (run.first_sequence + run.record_count <= next) continue;
        if (credit <= 0) break;
        FrameHeader header;
        header.kind = FrameKind::kDeliver;
        header.correlation = correlation;
        header.shard = id;
        header.number = shard.next;
        header.sequence = run.first_sequence;
        header.record_count = run.record_count;
        send(pipe, header, run.bytes());
        credit -= static_cast<int64_t>(frame::kHeaderBytes + run.payload_bytes);
        next = run.first_sequence + run.record_count;
        ++count;
    }
    return count;
}

}  // namespace eagre::test
