#include "dataplane/io/packets/build.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>

#include "dataplane/io/packets/checksum.h"
#include "dataplane/io/packets/parse.h"

namespace eagre::io::packets {
namespace {

constexpr Host kUs{{std::byte{2}, std::byte{0}, std::byte{0}, std::byte{0}, std::byte{0}, std::byte{1}}, Ip4{0x0a000002}};
constexpr Ip4 kGroup{0xef812345};

TEST(Checksum, Rfc1071) {
    const uint8_t raw[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
    Checksum sum;
    sum.add(std::as_bytes(std::span(raw)));
    EXPECT_EQ(__builtin_bswap16(sum.finish()), static_cast<uint16_t>(~0xddf2));
}

TEST(Checksum, OfEveryLengthAsByteByByte) {
    std::array<std::byte, 100> bytes;
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 37 + 200);
    for (size_t length = 0; length <= bytes.size(); ++length) {
        uint32_t plain = 0;
        for (size_t i = 0; i < length; ++i) plain += std::to_integer<uint32_t>(bytes[i]) << (i % 2 == 0 ? 0U : 8U);
        while (plain >> 16U != 0) plain = (plain & 0xffffU) + (plain >> 16U);
        Checksum sum;
        sum.add(std::span(bytes).first(length));
        EXPECT_EQ(sum.finish(), static_cast<uint16_t>(~plain)) << length;
    }
}

TEST(Build, UdpChecksumIsNeverZero) {
    // Of all payloads of 2 bytes, one gives a sum that would be stored as zero, which would say "none".
    std::array<std::byte, kFrameBytesMin> frame{};
    bool seen = false;
    for (uint32_t value = 0; value <= UINT16_MAX; ++value) {
        store16(frame, kUdpFrameBytes, static_cast<uint16_t>(value));
        build_udp_headers(frame, {kUs, kUs, 1, 2}, 2, 0);
        const uint16_t sum = load16(frame, kEthernetBytes + kIpBytes + 6);
        ASSERT_NE(sum, 0);
        seen = seen || sum == 0xffff;
    }
    EXPECT_TRUE(seen);
}

TEST(Build, ReportsAsTheRfcsDrawThem) {
    std::array<std::byte, kControlFrameBytesMax> place;
    const size_t old = build_igmp2_report(place, kUs, kGroup);
    EXPECT_EQ(old, kFrameBytesMin);
    EXPECT_EQ(load_mac(place, 0), (Mac{std::byte{1}, std::byte{0}, std::byte{0x5e}, std::byte{1}, std::byte{0x23}, std::byte{0x45}}));
    EXPECT_EQ(place[kEthernetBytes], std::byte{0x46});
    EXPECT_EQ(place[kEthernetBytes + 8], std::byte{1});  // Not beyond the link.
    EXPECT_EQ(load32(place, kEthernetBytes + kIpBytes), 0x94040000U);
    EXPECT_EQ(place[kEthernetBytes + kIpBytes + 4], std::byte{0x16});
    EXPECT_EQ(load32(place, kEthernetBytes + 16), kGroup.value);

    (void)build_igmp2_leave(place, kUs, kGroup);
    EXPECT_EQ(load32(place, kEthernetBytes + 16), kAllRouters.value);
    EXPECT_EQ(place[kEthernetBytes + kIpBytes + 4], std::byte{0x17});

    const Ip4 sources[2] = {Ip4{0x01020304}, Ip4{0x05060708}};
    const size_t bytes = build_igmp3_report(place, kUs, kGroup, RecordType::kAllowNew, sources);
    EXPECT_EQ(bytes, kEthernetBytes + kIpBytes + 4 + 24);
    EXPECT_EQ(load32(place, kEthernetBytes + 16), kAllIgmp3Routers.value);
    const auto message = std::span(place).subspan(kEthernetBytes + kIpBytes + 4, 24);
    EXPECT_TRUE(checksum_holds(message));
    EXPECT_EQ(message[0], std::byte{0x22});
    EXPECT_EQ(load16(message, 6), 1);
    EXPECT_EQ(message[8], std::byte{5});
    EXPECT_EQ(load16(message, 10), 2);
    EXPECT_EQ(load32(message, 12), kGroup.value);
    EXPECT_EQ(load32(message, 20), sources[1].value);
}

TEST(Build, LargestReportFits) {
    std::array<std::byte, kControlFrameBytesMax> place;
    const std::array<Ip4, kReportSourcesMax> sources{};
    EXPECT_EQ(build_igmp3_report(place, kUs, kGroup, RecordType::kIsInclude, sources), kControlFrameBytesMax);
}

}  // namespace
}  // namespace eagre::io::packets
