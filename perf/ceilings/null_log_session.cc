#include "perf/ceilings/null_log_session.h"

#include <cstring>

#include <flatbuffers/flatbuffers.h>

#include "perf/ceilings/machine.h"
#include "wire/base/prng.h"
#include "wire/base/types.h"
#include "wire/schema/request_generated.h"

namespace eagre::perf {
namespace {

using frame::FrameHeader;
using frame::FrameKind;

constexpr uint64_t kStream = 1;

void put_bytes(std::vector<std::byte>& target, const void* bytes, size_t count) {
    const auto* first = static_cast<const std::byte*>(bytes);
    target.insert(target.end(), first, first + count);
}

void put_frame(std::vector<std::byte>& target, FrameHeader header,
               const flatbuffers::FlatBufferBuilder& payload) {
    std::vector<std::byte> padded(static_cast<size_t>(payload.GetSize() + 7U) / 8U * 8U);
    std::memcpy(padded.data(), payload.GetBufferPointer(), payload.GetSize());
    frame::seal_frame(header, padded);
    put_bytes(target, &header, sizeof header);
    put_bytes(target, padded.data(), padded.size());
}

// Where range `index` of `count` equal ranges begins: index * 2^128 / count.
HashKey range_begin(uint64_t index, uint64_t count) {
    if (index == 0) return {};
    // Long division of index * 2^128 by count, 64 bits at a time.
    const auto high = (static_cast<Uint128>(index) << 64U) / count;
    const auto rest = (static_cast<Uint128>(index) << 64U) % count;
    const auto low = (rest << 64U) / count;
    return {static_cast<uint64_t>(high), static_cast<uint64_t>(low)};
}

HashKey before(HashKey key) {
    return {key.low == 0 ? key.high - 1 : key.high, key.low - 1};
}

}  // namespace

Result<size_t> NullLogSession::take(std::span<const std::byte> bytes) {
    size_t done = 0;
    while (bytes.size() - done >= frame::kHeaderBytes) {
        FrameHeader header;
        std::memcpy(&header, bytes.data() + done, sizeof header);
        if (header.magic != frame::kMagic) return Errc::kBadMagic;
        if (header.payload_bytes > kFrameBytesMax - frame::kHeaderBytes) {
            return error_of(Errc::kBadLength, kFrameBytesMax);
        }
        const size_t frame_bytes = frame::kHeaderBytes + header.payload_bytes;
        if (bytes.size() - done < frame_bytes) break;
        const auto payload = bytes.subspan(done + frame::kHeaderBytes, header.payload_bytes);
        if (Status status = answer(header, payload); !status) return status.error();
        done += frame_bytes;
    }
    return done;
}

Status NullLogSession::answer(const FrameHeader& header, std::span<const std::byte> payload) {
    switch (header.kind) {
        case FrameKind::kAppend:
            return answer_append(header);
        case FrameKind::kHello:
            answer_hello(header);
            return {};
        case FrameKind::kMetadata:
            answer_metadata(header, payload);
            return {};
        default:
            return error_of(Errc::kBadKind, static_cast<uint64_t>(header.kind));
    }
}

Status NullLogSession::answer_append(const FrameHeader& header) {
    if (header.shard == 0 || header.shard > box_.shard_count)
        return error_of(Errc::kUnknownShard, header.shard);
    uint64_t& next = box_.next_sequence[header.shard - 1];
    FrameHeader reply = frame::reply_to(header, FrameKind::kAppendReply);
    reply.number = header.number;
    reply.sequence = next;
    reply.record_count = header.record_count;
    frame::seal_header(reply);
    put_bytes(durable_, &reply, sizeof reply);
    next += header.record_count;
    ++box_.append_count;
    box_.record_count += header.record_count;
    return {};
}

void NullLogSession::answer_hello(const FrameHeader& header) {
    flatbuffers::FlatBufferBuilder builder;
    const auto ports = builder.CreateVector(std::vector<uint16_t>{box_.port});
    builder.Finish(wire::CreateHelloReply(builder, 0, 0, 0, 0, ports, monotonic_ns(), 1));
    put_frame(now_, frame::reply_to(header, FrameKind::kHelloReply), builder);
}

void NullLogSession::answer_metadata(const FrameHeader& header,
                                     std::span<const std::byte> payload) {
    const auto* request = flatbuffers::GetRoot<wire::MetadataRequest>(payload.data());
    const bool with_shards =
        request->stream_name() != nullptr && request->stream_name()->size() > 0;
    const std::string name = with_shards ? request->stream_name()->str() : "null";

    flatbuffers::FlatBufferBuilder builder;
    std::vector<flatbuffers::Offset<wire::ShardInfo>> shards;
    for (uint64_t i = 0; with_shards && i < box_.shard_count; ++i) {
        const HashKey starting = range_begin(i, box_.shard_count);
        const HashKey ending =
            i + 1 == box_.shard_count ? kHashKeyMax : before(range_begin(i + 1, box_.shard_count));
        wire::ShardInfoBuilder shard(builder);
        shard.add_id(i + 1);
        shard.add_starting_hash_high(starting.high);
        shard.add_starting_hash_low(starting.low);
        shard.add_ending_hash_high(ending.high);
        shard.add_ending_hash_low(ending.low);
        shard.add_open(true);
        shard.add_available(true);
        shard.add_port(box_.port);
        shard.add_trim_horizon(1);
        shard.add_first_sequence(1);
        shard.add_next_sequence(box_.next_sequence[i]);
        shards.push_back(shard.Finish());
    }
    const auto stream =
        wire::CreateStreamInfoDirect(builder, kStream, name.c_str(), 1, 0, kRecordDataBytesDefault,
                                     0, with_shards ? &shards : nullptr);
    const std::vector<flatbuffers::Offset<wire::StreamInfo>> streams{stream};
    builder.Finish(wire::CreateMetadataReplyDirect(builder, &streams));
    put_frame(now_, frame::reply_to(header, FrameKind::kMetadataReply), builder);
}

}  // namespace eagre::perf
