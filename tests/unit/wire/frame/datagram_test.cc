// The envelope of datagrams: what is sealed is decoded, whatever is changed on the way is refused; tokens depend on all that
// they bind.
#include "wire/frame/datagram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <vector>

namespace eagre::frame {
namespace {

std::vector<std::byte> datagram_of(DatagramHeader header, std::vector<std::byte> bitmap, size_t frame_bytes) {
    header.bitmap_words = static_cast<uint16_t>(bitmap.size() / 8);
    seal_datagram(header, bitmap);
    std::vector<std::byte> bytes(sizeof(header) + bitmap.size() + frame_bytes, std::byte{0x5a});
    std::memcpy(bytes.data(), &header, sizeof(header));
    std::copy(bitmap.begin(), bitmap.end(), bytes.begin() + sizeof(header));
    return bytes;
}

DatagramHeader answer() {
    DatagramHeader header;
    header.kind = DatagramKind::kAnswer;
    header.session = 0x0102030405060708;
    header.token = {11, 12};
    header.packet = 3;
    header.next_packet = 100;
    header.sent_ns = 77;
    header.window = 9;
    return header;
}

TEST(Datagram, WhatIsSealedIsDecoded) {
    std::vector<std::byte> bitmap(16);
    bitmap[0] = std::byte{0b10};
    bitmap[9] = std::byte{0x80};
    auto bytes = datagram_of(answer(), bitmap, 128);
    const auto view = decode_datagram(bytes);
    ASSERT_TRUE(view.has_value());
    EXPECT_EQ(view->header.session, 0x0102030405060708U);
    EXPECT_EQ(view->header.token, (DatagramToken{11, 12}));
    EXPECT_EQ(view->frames.size(), 128U);
    EXPECT_TRUE(view->has(0));
    EXPECT_TRUE(view->has(99));
    EXPECT_FALSE(view->has(100));
    EXPECT_TRUE(view->has(101));
    EXPECT_TRUE(view->has(100 + 79));
    EXPECT_FALSE(view->has(100 + 80));
    EXPECT_FALSE(view->has(100 + 128)) << "beyond the bitmap";
}

TEST(Datagram, EveryBitOfEnvelopeAndBitmapIsChecked) {
    const auto bytes = datagram_of(answer(), std::vector<std::byte>(16), 64);
    for (size_t bit = 0; bit < (kDatagramHeaderBytes + 16) * 8; ++bit) {
        auto changed = bytes;
        changed[bit / 8] ^= std::byte{1} << (bit % 8);
        EXPECT_FALSE(decode_datagram(changed).has_value()) << "bit " << bit;
    }
}

TEST(Datagram, LengthsThatLieAreRefused) {
    auto bytes = datagram_of(answer(), std::vector<std::byte>(16), 0);
    EXPECT_TRUE(decode_datagram(bytes).has_value());
    for (size_t length = 0; length < bytes.size(); ++length) {
        EXPECT_EQ(decode_datagram(std::span(bytes).first(length)).error().code, Errc::kBadLength) << length;
    }
    DatagramHeader numbered = answer();
    numbered.kind = DatagramKind::kNumbered;
    auto with_bitmap = datagram_of(numbered, std::vector<std::byte>(8), 64);
    EXPECT_EQ(decode_datagram(with_bitmap).error().code, Errc::kBadLength) << "only answers have one";
}

TEST(Datagram, UnknownKindsAndVersionsAreRefused) {
    DatagramHeader header = answer();
    header.kind = static_cast<DatagramKind>(4);
    auto bytes = datagram_of(header, {}, 0);
    EXPECT_EQ(decode_datagram(bytes).error().code, Errc::kBadKind);
    header = answer();
    header.version = 2;
    bytes = datagram_of(header, {}, 0);
    EXPECT_EQ(decode_datagram(bytes).error().code, Errc::kBadVersion);
}

TEST(Datagram, TokensBindSecretSessionAndAddress) {
    DatagramSecret secret{};
    const std::array<std::byte, 4> here{std::byte{10}, std::byte{0}, std::byte{0}, std::byte{1}};
    std::array<std::byte, 4> there = here;
    there[3] = std::byte{2};
    const auto token = make_datagram_token(secret, 5, here);
    EXPECT_EQ(token, make_datagram_token(secret, 5, here));
    EXPECT_NE(token, make_datagram_token(secret, 6, here));
    EXPECT_NE(token, make_datagram_token(secret, 5, there));
    EXPECT_NE(token, make_datagram_token(secret, 5, {}));
    secret[31] = std::byte{1};
    EXPECT_NE(token, make_datagram_token(secret, 5, here));
}

}  // namespace
}  // namespace eagre::frame
