// CRC-32C against the vectors of RFC 3720 B.4 and against a bit-by-bit reference, at every length around the block size.
#include "wire/base/crc32c.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "wire/base/prng.h"

namespace eagre {
namespace {

uint32_t reference(std::span<const std::byte> bytes) {
    uint32_t crc = ~0U;
    for (const std::byte byte : bytes) {
        crc ^= std::to_integer<uint32_t>(byte);
        for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1U) ^ ((crc & 1U) != 0 ? 0x82F63B78U : 0U);
    }
    return ~crc;
}

TEST(Crc32c, MatchesRfc3720) {
    std::vector<std::byte> zeros(32, std::byte{0});
    EXPECT_EQ(crc32c(zeros), 0x8A9136AAU);
    std::vector<std::byte> ones(32, std::byte{0xFF});
    EXPECT_EQ(crc32c(ones), 0x62A8AB43U);
    const char* digits = "123456789";
    EXPECT_EQ(crc32c(std::as_bytes(std::span(digits, 9))), 0xE3069283U);
}

TEST(Crc32c, AgreesWithReferenceAtEveryLengthAndCopies) {
    Prng prng(7);
    std::vector<std::byte> bytes(10000);
    for (auto& byte : bytes) byte = static_cast<std::byte>(prng.next());
    for (size_t length = 0; length < bytes.size(); length += length < 64 || (length > 3060 && length < 3090) ? 1 : 97) {
        const auto part = std::span(bytes).first(length);
        const uint32_t want = reference(part);
        ASSERT_EQ(crc32c(part), want) << length;
        std::vector<std::byte> copy(length + 1, std::byte{0x5A});
        ASSERT_EQ(crc32c_copy(copy.data(), part), want) << length;
        ASSERT_TRUE(length == 0 || std::memcmp(copy.data(), bytes.data(), length) == 0);
        ASSERT_EQ(copy[length], std::byte{0x5A});
    }
}

TEST(Crc32c, ChainsBySeed) {
    std::vector<std::byte> bytes(5000, std::byte{3});
    const auto all = std::span(bytes);
    EXPECT_EQ(crc32c(all.subspan(1234), crc32c(all.first(1234))), crc32c(all));
}

}  // namespace
}  // namespace eagre
