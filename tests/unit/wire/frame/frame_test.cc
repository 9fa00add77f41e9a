// The frame header and the batch: what is built verifies and reads back; every single flipped bit of a header is refused;
// every lie about a batch gets its own typed error.
#include "wire/frame/frame.h"

#include <gtest/gtest.h>

#include <string>

#include "wire/base/prng.h"
#include "wire/frame/batch.h"
#include "wire/schema/batch_generated.h"

namespace eagre::frame {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }

TEST(Frame, EveryFlippedBitOfTheHeaderIsRefused) {
    FrameHeader header;
    header.kind = FrameKind::kAppend;
    header.shard = 7;
    header.record_count = 3;
    seal_header(header);
    std::vector<std::byte> bytes(kHeaderBytes);
    std::memcpy(bytes.data(), &header, kHeaderBytes);
    ASSERT_TRUE(decode_header(bytes).has_value());
    for (size_t bit = 0; bit < kHeaderBytes * 8; ++bit) {
        bytes[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
        EXPECT_FALSE(decode_header(bytes).has_value()) << bit;
        bytes[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    }
}

TEST(Frame, TypedErrors) {
    FrameHeader header;
    header.kind = FrameKind::kAppend;
    const auto decode = [](const FrameHeader& h, uint32_t max = kFramePayloadBytesMax) {
        return decode_header(std::as_bytes(std::span(&h, 1)), max);
    };
    header.magic = 1;
    seal_header(header);
    EXPECT_EQ(decode(header).error().code, Errc::kBadMagic);
    header.magic = kMagic;
    header.version = 9;
    seal_header(header);
    EXPECT_EQ(decode(header).error().code, Errc::kBadVersion);
    header.version = kVersion;
    header.kind = static_cast<FrameKind>(200);
    seal_header(header);
    EXPECT_EQ(decode(header).error().code, Errc::kBadKind);
    header.kind = FrameKind::kAppend;
    header.payload_bytes = 12;
    seal_header(header);
    EXPECT_EQ(decode(header).error().code, Errc::kBadLength);
    header.payload_bytes = 64;
    seal_header(header);
    EXPECT_EQ(decode(header, 56).error().code, Errc::kBadLength);
    EXPECT_TRUE(decode(header, 64).has_value());
}

TEST(Batch, ReadsBackWhatWasBuilt) {
    BatchBuilder builder;
    Prng prng(3);
    for (int round = 0; round < 3; ++round) {
        builder.clear();
        std::vector<std::string> keys;
        std::vector<std::string> datas;
        for (uint32_t i = 0; i < 100; ++i) {
            keys.push_back("key-" + std::to_string(prng.below(50)));
            datas.push_back(std::string(prng.below(300), static_cast<char>('a' + i % 26)));
            RecordView record{keys.back(), bytes_of(datas.back()), {}, 0, 0};
            if (round == 1 && i % 3 == 0) record.explicit_hash = HashKey{i, 5};
            if (round == 2 && i > 10) record.source_time_ns = 1000 + i;
            if (round == 2) record.source_sequence = i;
            ASSERT_TRUE(builder.add(record).has_value());
        }
        const auto payload = builder.finish();
        EXPECT_LE(payload.size(), builder.payload_bytes());
        EXPECT_EQ(payload.size() % 8, 0U);
        const auto view = BatchView::verify(payload, 100);
        ASSERT_TRUE(view.has_value());
        for (uint32_t i = 0; i < 100; ++i) {
            const RecordView record = view->record(i);
            EXPECT_EQ(record.partition_key, keys[i]);
            EXPECT_TRUE(std::equal(record.data.begin(), record.data.end(), bytes_of(datas[i]).begin(), bytes_of(datas[i]).end()));
            EXPECT_EQ(record.explicit_hash.has_value(), round == 1 && i % 3 == 0);
            EXPECT_EQ(record.source_time_ns, round == 2 && i > 10 ? 1000 + i : 0);
            EXPECT_EQ(record.source_sequence, round == 2 ? i : 0);
        }
    }
}

TEST(Batch, GoesOnAfterFinish) {
    BatchBuilder builder;
    for (uint32_t count = 1; count <= 20; ++count) {
        ASSERT_TRUE(builder.add({"key", bytes_of(std::string(count, 'x')), {}, count, 0}));
        const auto payload = builder.finish();
        const auto view = BatchView::verify(payload, count);
        ASSERT_TRUE(view) << count;
        EXPECT_EQ(view->record(count - 1).data.size(), count);
        EXPECT_EQ(view->record(0).source_time_ns, 1U);
        EXPECT_LE(payload.size(), builder.payload_bytes());
        EXPECT_GE(payload.size() + 128, builder.payload_bytes());
    }
}

TEST(Batch, NoFlippedByteMakesItReadOutOfBounds) {
    BatchBuilder builder;
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(builder.add({"k", bytes_of("0123456789"), HashKey{1, 2}, 7, 9}).has_value());
    const auto payload = builder.finish();
    std::vector<uint64_t> storage(payload.size() / 8);
    auto* bytes = reinterpret_cast<std::byte*>(storage.data());
    for (size_t i = 0; i < payload.size(); ++i) {
        for (const int value : {0x00, 0x01, 0x7F, 0xFF}) {
            std::memcpy(bytes, payload.data(), payload.size());
            bytes[i] = static_cast<std::byte>(value);
            const auto view = BatchView::verify({bytes, payload.size()}, 5);
            if (!view) continue;
            for (uint32_t r = 0; r < view->record_count(); ++r) {
                const RecordView record = view->record(r);
                ASSERT_GE(record.data.data(), bytes);
                ASSERT_LE(record.data.data() + record.data.size(), bytes + payload.size());
            }
        }
    }
}

TEST(Batch, TypedErrors) {
    BatchBuilder builder;
    EXPECT_EQ(builder.add({"", bytes_of("x"), {}, 0, 0}).error().code, Errc::kBadPartitionKey);
    EXPECT_EQ(builder.add({std::string(257, 'k'), bytes_of("x"), {}, 0, 0}).error().code, Errc::kBadPartitionKey);
    std::string umlauts;
    for (int i = 0; i < 256; ++i) umlauts += "\xC3\xA4";
    EXPECT_TRUE(builder.add({umlauts, bytes_of("x"), {}, 0, 0}).has_value());
    EXPECT_TRUE(builder.add({"k", bytes_of("0123456789"), {}, 0, 0}).has_value());
    const auto payload = builder.finish();
    EXPECT_EQ(BatchView::verify(payload, 3).error().code, Errc::kBadSchema);
    EXPECT_EQ(BatchView::verify(payload, 2, 9).error().code, Errc::kRecordTooLarge);
    EXPECT_EQ(BatchView::verify(payload.first(8), 2).error().code, Errc::kBadLength);
    EXPECT_EQ(BatchView::verify(payload.first(payload.size() - 8), 2).error().code, Errc::kBadSchema);
}

TEST(Batch, RefusesAColumnThatIsNotAligned) {
    BatchBuilder builder;
    RecordView record;
    record.partition_key = "k";
    record.explicit_hash = HashKey{2, 3};
    record.source_time_ns = 1;  // Reads as "one element" when the column is said to begin 4 bytes later.
    ASSERT_TRUE(builder.add(record));
    const auto built = builder.finish();
    std::vector<uint64_t> words(built.size() / 8);
    std::memcpy(words.data(), built.data(), built.size());
    const auto payload = std::as_writable_bytes(std::span(words));
    ASSERT_TRUE(BatchView::verify(payload, 1));

    const auto* table = reinterpret_cast<const flatbuffers::Table*>(wire::GetBatch(payload.data()));
    const auto field = table->GetOptionalFieldOffset(wire::Batch::VT_TIMES);
    ASSERT_NE(field, 0);
    std::byte* place = payload.data() + (reinterpret_cast<const std::byte*>(table) - payload.data()) + field;
    uint32_t offset = 0;
    std::memcpy(&offset, place, sizeof offset);
    offset += 4;
    std::memcpy(place, &offset, sizeof offset);
    const auto view = BatchView::verify(payload, 1);
    ASSERT_FALSE(view);
    EXPECT_EQ(view.error().code, Errc::kBadSchema);
}

TEST(Routing, HashIsMd5AsBigEndianNumber) {
    // md5("a") = 0cc175b9c0f1b6a831c399e269772661
    EXPECT_EQ(hash_partition_key("a"), (HashKey{0x0cc175b9c0f1b6a8ULL, 0x31c399e269772661ULL}));
}

}  // namespace
}  // namespace eagre::frame
