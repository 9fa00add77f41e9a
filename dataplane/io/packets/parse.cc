#include "dataplane/io/packets/parse.h"

#include "dataplane/io/packets/checksum.h"
#include "wire/base/assert.h"

namespace eagre::io::packets {
namespace {

constexpr uint16_t kArpRequestCode = 1;
constexpr uint16_t kArpReplyCode = 2;
constexpr unsigned kIgmpQueryType = 0x11;
constexpr unsigned kIcmpEchoType = 8;
constexpr size_t kIgmpBytes = 8;
constexpr size_t kIgmp3QueryBytes = 12;
constexpr size_t kIcmpBytes = 8;
constexpr uint16_t kFragmentBits = 0x3fff;  // More follow, or not the first.
constexpr uint64_t kTenthNs = 100'000'000;
constexpr uint64_t kSecondNs = 1'000'000'000;
// What versions 1 and 2 leave unsaid.
constexpr uint64_t kQueryIntervalNs = 125 * kSecondNs;
constexpr uint64_t kVersion1ResponseNs = 10 * kSecondNs;

unsigned byte_at(std::span<const std::byte> bytes, size_t at) { return std::to_integer<unsigned>(bytes[at]); }

Parsed dropped(Parsed parsed, Drop why) {
    parsed.kind = Kind::kDropped;
    parsed.drop = why;
    return parsed;
}

Parsed parse_arp(std::span<const std::byte> message, const Receiver& receiver) {
    Parsed parsed;
    if (message.size() < kArpBytes) return dropped(parsed, Drop::kTruncated);
    // Ethernet, IPv4, and the lengths of their addresses.
    if (load16(message, 0) != 1 || load16(message, 2) != kTypeIp || load16(message, 4) != 0x0604) {
        return dropped(parsed, Drop::kNotOurs);
    }
    const uint16_t code = load16(message, 6);
    parsed.from_mac = load_mac(message, 8);
    parsed.from = Ip4{load32(message, 14)};
    parsed.to = Ip4{load32(message, 24)};
    // A group for a neighbour would make us send to many.
    if (parsed.to != receiver.address || is_group_mac(parsed.from_mac)) return dropped(parsed, Drop::kNotOurs);
    if (code == kArpRequestCode) parsed.kind = Kind::kArpRequest;
    else if (code == kArpReplyCode) parsed.kind = Kind::kArpReply;
    else parsed.kind = Kind::kOther;
    return parsed;
}

Parsed parse_udp(std::span<const std::byte> message, Parsed parsed, const Receiver& receiver) {
    if (message.size() < kUdpBytes) return dropped(parsed, Drop::kTruncated);
    const uint16_t bytes = load16(message, 4);
    if (bytes < kUdpBytes || bytes > message.size()) return dropped(parsed, Drop::kTruncated);
    // Zero: the sender has computed none, which IPv4 allows.
    if (!receiver.trust_udp_checksum && load16(message, 6) != 0) {
        Checksum sum;
        sum.add_pseudo_header(parsed.from, parsed.to, kProtocolUdp, bytes);
        sum.add(message.first(bytes));
        if (sum.finish() != 0) return dropped(parsed, Drop::kBadChecksum);
    }
    parsed.kind = Kind::kUdp;
    parsed.from_port = load16(message, 0);
    parsed.to_port = load16(message, 2);
    parsed.payload = message.subspan(kUdpBytes, bytes - kUdpBytes);
    return parsed;
}

Parsed parse_control(std::span<const std::byte> message, Parsed parsed, uint8_t protocol) {
    const bool igmp = protocol == kProtocolIgmp;
    if (message.size() < (igmp ? kIgmpBytes : kIcmpBytes)) return dropped(parsed, Drop::kTruncated);
    if (!checksum_holds(message)) return dropped(parsed, Drop::kBadChecksum);
    const unsigned type = byte_at(message, 0);
    parsed.payload = message;
    parsed.kind = Kind::kOther;
    if (igmp && type == kIgmpQueryType) parsed.kind = Kind::kIgmpQuery;
    if (!igmp && type == kIcmpEchoType && !is_group(parsed.to)) parsed.kind = Kind::kIcmpEcho;
    return parsed;
}

Parsed parse_ip(std::span<const std::byte> packet, Parsed parsed, const Receiver& receiver) {
    if (packet.size() < kIpBytes) return dropped(parsed, Drop::kTruncated);
    if (byte_at(packet, 0) >> 4U != 4) return dropped(parsed, Drop::kNotOurs);
    const size_t header_bytes = (byte_at(packet, 0) & 0xfU) * 4;
    const size_t total_bytes = load16(packet, 2);
    if (header_bytes < kIpBytes || total_bytes < header_bytes) return dropped(parsed, Drop::kTruncated);
    // Before "truncated": a device that cuts a superframe off must not hide what it was.
    if (total_bytes > receiver.ip_bytes_max) return dropped(parsed, Drop::kOversized);
    if (total_bytes > packet.size()) return dropped(parsed, Drop::kTruncated);
    if (!receiver.trust_ip_checksum && !checksum_holds(packet.first(header_bytes))) {
        return dropped(parsed, Drop::kBadIpChecksum);
    }
    parsed.from = Ip4{load32(packet, 12)};
    parsed.to = Ip4{load32(packet, 16)};
    parsed.has_options = header_bytes > kIpBytes;
    if (parsed.to != receiver.address && !is_group(parsed.to)) return dropped(parsed, Drop::kNotOurs);
    if (is_group(parsed.from) || parsed.from.value == UINT32_MAX) return dropped(parsed, Drop::kNotOurs);
    if ((load16(packet, 6) & kFragmentBits) != 0) return dropped(parsed, Drop::kFragment);
    const auto protocol = static_cast<uint8_t>(byte_at(packet, 9));
    const auto message = packet.subspan(header_bytes, total_bytes - header_bytes);
    if (protocol == kProtocolUdp) return parse_udp(message, parsed, receiver);
    if (protocol == kProtocolIgmp || protocol == kProtocolIcmp) return parse_control(message, parsed, protocol);
    parsed.kind = Kind::kOther;
    return parsed;
}

// One byte of IGMPv3: below 128 as it is, else a small floating-point number.
uint64_t decode_time(unsigned code) {
    if (code < 128) return code;
    return ((code & 0xfU) | 0x10U) << ((code >> 4U & 0x7U) + 3U);
}

}  // namespace

Parsed parse_frame(std::span<const std::byte> frame, const Receiver& receiver) {
    Parsed parsed;
    if (frame.size() < kEthernetBytes) return dropped(parsed, Drop::kTruncated);
    const Mac to_mac = load_mac(frame, 0);
    parsed.from_mac = load_mac(frame, 6);
    // A device that is promiscuous, for want of a filter for groups, shows us what others get.
    if (!is_group_mac(to_mac) && to_mac != receiver.mac) return dropped(parsed, Drop::kNotOurs);
    const uint16_t type = load16(frame, 12);
    if (type == kTypeVlan || type == kTypeVlanOuter) return dropped(parsed, Drop::kVlan);
    const auto rest = frame.subspan(kEthernetBytes);
    if (type == kTypeArp) return parse_arp(rest, receiver);
    if (type == kTypeIp) return parse_ip(rest, parsed, receiver);
    parsed.kind = Kind::kOther;
    return parsed;
}

IgmpQuery read_query(std::span<const std::byte> message) {
    EAGRE_ASSERT_GE(message.size(), kIgmpBytes);
    IgmpQuery query;
    const unsigned code = byte_at(message, 1);
    query.group = Ip4{load32(message, 4)};
    query.interval_ns = kQueryIntervalNs;
    if (message.size() < kIgmp3QueryBytes) {
        query.version = code == 0 ? 1 : 2;
        query.max_response_ns = code == 0 ? kVersion1ResponseNs : code * kTenthNs;
        return query;
    }
    query.version = 3;
    query.max_response_ns = decode_time(code) * kTenthNs;
    const unsigned robustness = byte_at(message, 8) & 7U;
    if (robustness != 0) query.robustness = robustness;
    const uint64_t interval = decode_time(byte_at(message, 9));
    if (interval != 0) query.interval_ns = interval * kSecondNs;
    const size_t named = load16(message, 10);
    const size_t there = (message.size() - kIgmp3QueryBytes) / 4;
    query.sources = message.subspan(kIgmp3QueryBytes, (named < there ? named : there) * 4);
    return query;
}

}  // namespace eagre::io::packets
