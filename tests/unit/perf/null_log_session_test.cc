// The baseline must answer like a box, else the client library would not drive it. Bytes go in, in
// one piece and cut anywhere; the answers are decoded with the same functions that clients use.
#include "perf/ceilings/null_log_session.h"

#include <cstring>
#include <vector>

#include <gtest/gtest.h>

#include "wire/frame/batch.h"
#include "wire/schema/request_generated.h"

namespace eagre::perf {
namespace {

using frame::FrameHeader;
using frame::FrameKind;

std::vector<std::byte> frame_bytes(FrameHeader header, std::span<const std::byte> payload) {
    std::vector<std::byte> padded((payload.size() + 7) / 8 * 8);
    if (!payload.empty()) std::memcpy(padded.data(), payload.data(), payload.size());
    frame::seal_frame(header, padded);
    std::vector<std::byte> bytes(sizeof header);
    std::memcpy(bytes.data(), &header, sizeof header);
    bytes.insert(bytes.end(), padded.begin(), padded.end());
    return bytes;
}

std::vector<std::byte> append_frame(uint64_t shard, uint64_t number, uint32_t record_count) {
    frame::BatchBuilder builder;
    const std::vector<std::byte> data(256);
    for (uint32_t i = 0; i < record_count; ++i) {
        frame::RecordView record;
        record.partition_key = "key";
        record.data = data;
        EXPECT_TRUE(builder.add(record));
    }
    FrameHeader header;
    header.kind = FrameKind::kAppend;
    header.shard = shard;
    header.number = number;
    header.correlation = 100 + number;
    header.record_count = record_count;
    return frame_bytes(header, builder.finish());
}

NullBox box_of(uint32_t shard_count) {
    NullBox box;
    box.port = 4568;
    box.shard_count = shard_count;
    box.next_sequence.assign(shard_count, 1);
    return box;
}

TEST(NullLogSession, AnswersEachAppendWithItsSequenceNumbers) {
    NullBox box = box_of(2);
    NullLogSession session(box);
    std::vector<std::byte> bytes = append_frame(1, 0, 3);
    const auto second = append_frame(1, 1, 5);
    bytes.insert(bytes.end(), second.begin(), second.end());
    ASSERT_EQ(session.take(bytes).value(), bytes.size());

    EXPECT_TRUE(session.replies_now().empty()) << "an append is answered only after its commit";
    ASSERT_EQ(session.replies_durable().size(), 2 * frame::kHeaderBytes);
    const auto first = frame::decode_header(session.replies_durable());
    const auto last =
        frame::decode_header(std::span(session.replies_durable()).subspan(frame::kHeaderBytes));
    ASSERT_TRUE(first && last);
    EXPECT_EQ(first->kind, FrameKind::kAppendReply);
    EXPECT_EQ(first->correlation, 100U);
    EXPECT_EQ(first->sequence, 1U);
    EXPECT_EQ(last->number, 1U);
    EXPECT_EQ(last->sequence, 4U);
    EXPECT_EQ(box.record_count, 8U);
}

TEST(NullLogSession, TakesWholeFramesOnlyWhereverTheBytesAreCut) {
    const std::vector<std::byte> bytes = append_frame(1, 0, 2);
    for (size_t cut = 0; cut < bytes.size(); cut += 7) {
        NullBox box = box_of(1);
        NullLogSession session(box);
        ASSERT_EQ(session.take(std::span(bytes).first(cut)).value(), 0U);
        EXPECT_TRUE(session.replies_durable().empty());
        ASSERT_EQ(session.take(bytes).value(), bytes.size());
        EXPECT_EQ(session.replies_durable().size(), frame::kHeaderBytes);
    }
}

TEST(NullLogSession, RefusesWhatIsNoFrameAndShardsItDoesNotHave) {
    NullBox box = box_of(2);
    NullLogSession session(box);
    const std::vector<std::byte> noise(64, std::byte{0x7F});
    EXPECT_EQ(session.take(noise).error().code, Errc::kBadMagic);
    EXPECT_EQ(session.take(append_frame(3, 0, 1)).error().code, Errc::kUnknownShard);

    FrameHeader huge;
    huge.kind = FrameKind::kAppend;
    huge.payload_bytes = 64U << 20U;
    std::vector<std::byte> bytes(sizeof huge);
    std::memcpy(bytes.data(), &huge, sizeof huge);
    EXPECT_EQ(session.take(bytes).error().code, Errc::kBadLength);
}

TEST(NullLogSession, MetadataCoversTheWholeHashKeySpaceOnce) {
    for (const uint32_t shard_count : {1U, 3U, 4U, 1000U}) {
        NullBox box = box_of(shard_count);
        NullLogSession session(box);
        flatbuffers::FlatBufferBuilder builder;
        builder.Finish(wire::CreateMetadataRequestDirect(builder, "any"));
        FrameHeader header;
        header.kind = FrameKind::kMetadata;
        const auto bytes = frame_bytes(
            header, std::as_bytes(std::span(builder.GetBufferPointer(), builder.GetSize())));
        ASSERT_EQ(session.take(bytes).value(), bytes.size());

        const std::span<const std::byte> reply(session.replies_now());
        const auto reply_header = frame::decode_header(reply);
        ASSERT_TRUE(reply_header);
        EXPECT_EQ(reply_header->kind, FrameKind::kMetadataReply);
        ASSERT_TRUE(frame::payload_matches(*reply_header, reply.subspan(frame::kHeaderBytes)));
        const auto* answer =
            flatbuffers::GetRoot<wire::MetadataReply>(reply.data() + frame::kHeaderBytes);
        ASSERT_EQ(answer->streams()->size(), 1U);
        const auto& shards = *answer->streams()->Get(0)->shards();
        ASSERT_EQ(shards.size(), shard_count);
        HashKey expected;
        for (const wire::ShardInfo* shard : shards) {
            EXPECT_EQ((HashKey{shard->starting_hash_high(), shard->starting_hash_low()}), expected);
            const HashKey ending{shard->ending_hash_high(), shard->ending_hash_low()};
            EXPECT_LT(expected, ending);
            expected = {ending.low == UINT64_MAX ? ending.high + 1 : ending.high, ending.low + 1};
        }
        EXPECT_EQ(expected, HashKey{}) << "the last range ends at the largest key";
    }
}

}  // namespace
}  // namespace eagre::perf
