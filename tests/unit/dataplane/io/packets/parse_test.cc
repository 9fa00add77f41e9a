#include "dataplane/io/packets/parse.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "dataplane/io/packets/build.h"
#include "dataplane/io/packets/checksum.h"

namespace eagre::io::packets {
namespace {

using Bytes = std::vector<std::byte>;

constexpr Mac kOurMac{std::byte{2}, std::byte{0}, std::byte{0}, std::byte{0}, std::byte{0}, std::byte{1}};
constexpr Mac kPeerMac{std::byte{2}, std::byte{0}, std::byte{0}, std::byte{0}, std::byte{0}, std::byte{9}};
constexpr Ip4 kOurs{0x0a000002};
constexpr Ip4 kPeer{0x0a000009};
constexpr Ip4 kGroup{0xefff0101};
const Host kUs{kOurMac, kOurs};
const Host kThem{kPeerMac, kPeer};
const Receiver kReceiver{kOurMac, kOurs, 1500, false, false};

Bytes udp(Ip4 to = kOurs, size_t payload = 100, uint16_t port = 9000) {
    Bytes frame(std::max(kUdpFrameBytes + payload, kFrameBytesMin));
    for (size_t i = 0; i < payload; ++i) frame[kUdpFrameBytes + i] = static_cast<std::byte>(i * 7);
    build_udp_headers(frame, {kThem, {is_group(to) ? mac_of_group(to) : kOurMac, to}, 5000, port}, payload, 77);
    return frame;
}

// As `frame`, with `options` behind the IP header.
Bytes with_options(const Bytes& frame, size_t option_bytes) {
    Bytes longer(frame.begin(), frame.begin() + kEthernetBytes + kIpBytes);
    longer.insert(longer.end(), option_bytes, std::byte{1});
    longer.insert(longer.end(), frame.begin() + kEthernetBytes + kIpBytes, frame.end());
    const std::span ip = std::span(longer).subspan(kEthernetBytes);
    ip[0] = static_cast<std::byte>(0x40U | (kIpBytes + option_bytes) / 4);
    store16(ip, 2, static_cast<uint16_t>(load16(ip, 2) + option_bytes));
    store_checksum(ip.first(kIpBytes + option_bytes), 10);
    return longer;
}

void reseal(Bytes& frame) { store_checksum(std::span(frame).subspan(kEthernetBytes, kIpBytes), 10); }

Drop why(const Bytes& frame, const Receiver& receiver = kReceiver) { return parse_frame(frame, receiver).drop; }

TEST(Parse, UdpToUs) {
    const Bytes frame = udp();
    const Parsed parsed = parse_frame(frame, kReceiver);
    ASSERT_EQ(parsed.kind, Kind::kUdp);
    EXPECT_EQ(parsed.from, kPeer);
    EXPECT_EQ(parsed.to, kOurs);
    EXPECT_EQ(parsed.from_port, 5000);
    EXPECT_EQ(parsed.to_port, 9000);
    EXPECT_EQ(parsed.from_mac, kPeerMac);
    EXPECT_FALSE(parsed.has_options);
    EXPECT_EQ(parsed.payload.data(), frame.data() + kUdpFrameBytes);
    EXPECT_EQ(parsed.payload.size(), 100U);
}

TEST(Parse, PaddingIsNoPayload) {
    const Parsed parsed = parse_frame(udp(kOurs, 1), kReceiver);
    ASSERT_EQ(parsed.kind, Kind::kUdp);
    EXPECT_EQ(parsed.payload.size(), 1U);
    EXPECT_EQ(parse_frame(udp(kOurs, 0), kReceiver).payload.size(), 0U);
}

TEST(Parse, EveryTruncationIsOne) {
    const Bytes frame = udp();
    for (size_t length = 0; length < frame.size(); ++length) {
        const Bytes part(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(length));
        EXPECT_EQ(why(part), Drop::kTruncated) << length;
    }
}

TEST(Parse, EveryFlippedByteIsFoundOrNotOurs) {
    for (size_t at = kEthernetBytes; at < kUdpFrameBytes + 100; ++at) {
        Bytes frame = udp();
        frame[at] ^= std::byte{0x10};
        const Parsed parsed = parse_frame(frame, kReceiver);
        EXPECT_EQ(parsed.kind, Kind::kDropped) << at;
    }
}

TEST(Parse, ChecksumZeroIsLegal) {
    Bytes frame = udp();
    store16(frame, kEthernetBytes + kIpBytes + 6, 0);
    frame.back() ^= std::byte{1};
    EXPECT_EQ(parse_frame(frame, kReceiver).kind, Kind::kUdp);
}

TEST(Parse, WhatTheDeviceVerifiedIsNotVerifiedAgain) {
    Bytes frame = udp();
    frame.back() ^= std::byte{1};
    EXPECT_EQ(why(frame), Drop::kBadChecksum);
    Receiver trusting = kReceiver;
    trusting.trust_udp_checksum = true;
    EXPECT_EQ(parse_frame(frame, trusting).kind, Kind::kUdp);
    frame[kEthernetBytes + 8] ^= std::byte{1};  // Its time to live.
    EXPECT_EQ(why(frame, trusting), Drop::kBadIpChecksum);
    trusting.trust_ip_checksum = true;
    EXPECT_EQ(parse_frame(frame, trusting).kind, Kind::kUdp);
}

TEST(Parse, OptionsAreSkipped) {
    for (size_t bytes = 4; bytes <= 40; bytes += 4) {
        const Bytes frame = with_options(udp(), bytes);
        const Parsed parsed = parse_frame(frame, kReceiver);
        ASSERT_EQ(parsed.kind, Kind::kUdp) << bytes;
        EXPECT_TRUE(parsed.has_options);
        EXPECT_EQ(parsed.payload.size(), 100U);
        EXPECT_EQ(parsed.payload[1], std::byte{7});
    }
}

TEST(Parse, Fragments) {
    for (const uint16_t bits : {uint16_t{0x2000}, uint16_t{1}, uint16_t{0x1fff}}) {
        Bytes frame = udp();
        store16(frame, kEthernetBytes + 6, bits);
        reseal(frame);
        EXPECT_EQ(why(frame), Drop::kFragment);
    }
}

TEST(Parse, Tagged) {
    Bytes frame = udp();
    store16(frame, 12, kTypeVlan);
    EXPECT_EQ(why(frame), Drop::kVlan);
    store16(frame, 12, kTypeVlanOuter);
    EXPECT_EQ(why(frame), Drop::kVlan);
}

TEST(Parse, ForOthers) {
    EXPECT_EQ(why(udp(Ip4{0x0a000003})), Drop::kNotOurs);
    Bytes frame = udp();
    frame[5] = std::byte{0x55};  // Another host's Ethernet address: we are promiscuous.
    EXPECT_EQ(why(frame), Drop::kNotOurs);
    frame = udp();
    store16(frame, 12, 0x86dd);
    EXPECT_EQ(parse_frame(frame, kReceiver).kind, Kind::kOther);
}

TEST(Parse, SuperframesAreOversizedThoughTheyAreCutOff) {
    Bytes frame = udp(kOurs, 4000);
    EXPECT_EQ(why(frame), Drop::kOversized);
    frame.resize(2048);
    EXPECT_EQ(why(frame), Drop::kOversized);
    Receiver jumbo = kReceiver;
    jumbo.ip_bytes_max = 9000;
    EXPECT_EQ(why(frame, jumbo), Drop::kTruncated);
}

TEST(Parse, Groups) {
    const Parsed parsed = parse_frame(udp(kGroup), kReceiver);
    ASSERT_EQ(parsed.kind, Kind::kUdp);
    EXPECT_EQ(parsed.to, kGroup);
}

TEST(Parse, Arp) {
    Bytes frame(kFrameBytesMin);
    ASSERT_EQ(build_arp_request(frame, kThem, kOurs), kFrameBytesMin);
    const Parsed request = parse_frame(frame, kReceiver);
    ASSERT_EQ(request.kind, Kind::kArpRequest);
    EXPECT_EQ(request.from, kPeer);
    EXPECT_EQ(request.from_mac, kPeerMac);
    build_arp_request(frame, kThem, Ip4{0x0a000077});
    EXPECT_EQ(why(frame), Drop::kNotOurs);
    build_arp_reply(frame, kThem, kUs);
    EXPECT_EQ(parse_frame(frame, kReceiver).kind, Kind::kArpReply);
    // Who says that it has a group's Ethernet address is not believed.
    const Host liar{kBroadcastMac, kPeer};
    build_arp_reply(frame, liar, kUs);
    EXPECT_EQ(why(frame), Drop::kNotOurs);
}

TEST(Parse, EchoIsAnsweredWithWhatCame) {
    Bytes message(64, std::byte{0x33});
    message[0] = std::byte{8};
    message[1] = std::byte{0};
    store_checksum(message, 2);
    Bytes frame = udp(kOurs, message.size() - kUdpBytes);
    frame[kEthernetBytes + 9] = std::byte{kProtocolIcmp};
    std::memcpy(frame.data() + kEthernetBytes + kIpBytes, message.data(), message.size());
    reseal(frame);
    const Parsed request = parse_frame(frame, kReceiver);
    ASSERT_EQ(request.kind, Kind::kIcmpEcho);
    Bytes place(2048);
    const size_t bytes = build_echo_reply(place, kUs, {request.from_mac, request.from}, request.payload);
    ASSERT_EQ(bytes, kEthernetBytes + kIpBytes + 64);
    const auto reply = std::span(place).subspan(kEthernetBytes + kIpBytes, 64);
    EXPECT_EQ(reply[0], std::byte{0});
    EXPECT_TRUE(checksum_holds(reply));
    EXPECT_EQ(std::memcmp(reply.data() + 4, message.data() + 4, 60), 0);
    EXPECT_EQ(build_echo_reply(std::span(place).first(80), kUs, kThem, request.payload), 0U);
}

Bytes query(uint8_t code, Ip4 group, size_t bytes, std::span<const Ip4> sources = {}) {
    Bytes frame(256);
    build_igmp2_report(frame, kThem, kAllHosts);
    const auto ip = std::span(frame).subspan(kEthernetBytes);
    const auto message = ip.subspan(kIpBytes + 4, bytes);
    std::memset(message.data(), 0, message.size());
    message[0] = std::byte{0x11};
    message[1] = std::byte{code};
    store32(message, 4, group.value);
    if (bytes >= 12) {
        message[8] = std::byte{3};
        message[9] = std::byte{0x8f};
        store16(message, 10, static_cast<uint16_t>(sources.size()));
        for (size_t i = 0; i < sources.size() && 16 + 4 * i <= bytes; ++i) store32(message, 12 + 4 * i, sources[i].value);
    }
    store_checksum(message, 2);
    store16(ip, 2, static_cast<uint16_t>(kIpBytes + 4 + bytes));
    store_checksum(ip.first(kIpBytes + 4), 10);
    return frame;
}

TEST(Parse, QueriesOfAllVersions) {
    const Bytes first = query(0, {}, 8);
    const Parsed parsed = parse_frame(first, kReceiver);
    ASSERT_EQ(parsed.kind, Kind::kIgmpQuery);
    EXPECT_TRUE(parsed.has_options);  // The router alert.
    EXPECT_EQ(read_query(parsed.payload).version, 1);
    const Bytes second = query(100, kGroup, 8);
    const IgmpQuery v2 = read_query(parse_frame(second, kReceiver).payload);
    EXPECT_EQ(v2.version, 2);
    EXPECT_EQ(v2.group, kGroup);
    EXPECT_EQ(v2.max_response_ns, 10'000'000'000ULL);
    const Ip4 sources[2] = {Ip4{1}, Ip4{2}};
    const Bytes third = query(0x9f, kGroup, 20, sources);
    const IgmpQuery v3 = read_query(parse_frame(third, kReceiver).payload);
    EXPECT_EQ(v3.version, 3);
    EXPECT_EQ(v3.robustness, 3U);
    EXPECT_EQ(v3.max_response_ns, (0x1fULL << 4U) * 100'000'000ULL);
    EXPECT_EQ(v3.interval_ns, (0x1fULL << 3U) * 1'000'000'000ULL);
    EXPECT_EQ(v3.sources.size(), 8U);
}

TEST(Parse, QueryThatLiesAboutItsSources) {
    const Ip4 many[8] = {};
    Bytes frame = query(10, kGroup, 16, many);
    EXPECT_EQ(read_query(parse_frame(frame, kReceiver).payload).sources.size(), 4U);
}

TEST(Parse, IgmpWithABadChecksum) {
    Bytes frame = query(10, kGroup, 8);
    frame[kEthernetBytes + kIpBytes + 4 + 7] ^= std::byte{1};
    EXPECT_EQ(why(frame), Drop::kBadChecksum);
}

}  // namespace
}  // namespace eagre::io::packets
