#include "dataplane/io/packets/build.h"

#include <algorithm>
#include <cstring>

#include "dataplane/io/packets/checksum.h"
#include "wire/base/assert.h"

namespace eagre::io::packets {
namespace {

constexpr uint8_t kTtl = 64;
constexpr uint16_t kDontFragment = 0x4000;
// Routers look into a packet that carries it (RFC 2113): IGMP must.
constexpr std::byte kRouterAlert[4] = {std::byte{0x94}, std::byte{0x04}, std::byte{0}, std::byte{0}};
constexpr std::byte kTosInternetControl{0xc0};

void put(std::span<std::byte> place, size_t at, std::span<const std::byte> bytes) {
    if (!bytes.empty()) std::memcpy(place.data() + at, bytes.data(), bytes.size());
}

void ethernet(std::span<std::byte> place, const Mac& to, const Mac& from, uint16_t type) {
    put(place, 0, to);
    put(place, 6, from);
    store16(place, 12, type);
}

size_t padded(std::span<std::byte> place, size_t bytes) {
    if (bytes >= kFrameBytesMin) return bytes;
    std::memset(place.data() + bytes, 0, kFrameBytesMin - bytes);
    return kFrameBytesMin;
}

// `header`: 20 bytes, or 24 whose last 4 are options.
void ip_header(std::span<std::byte> header, Ip4 from, Ip4 to, uint8_t protocol, size_t payload_bytes, uint8_t ttl, uint16_t id) {
    header[0] = static_cast<std::byte>(0x40U | header.size() / 4);
    header[1] = std::byte{0};
    store16(header, 2, static_cast<uint16_t>(header.size() + payload_bytes));
    store16(header, 4, id);
    store16(header, 6, kDontFragment);
    header[8] = std::byte{ttl};
    header[9] = std::byte{protocol};
    store32(header, 12, from.value);
    store32(header, 16, to.value);
    store_checksum(header, 10);
}

size_t arp(std::span<std::byte> place, const Host& us, const Mac& frame_to, uint16_t code, const Mac& target_mac, Ip4 target) {
    EAGRE_ASSERT_GE(place.size(), kFrameBytesMin);
    ethernet(place, frame_to, us.mac, kTypeArp);
    const auto message = place.subspan(kEthernetBytes);
    store16(message, 0, 1);
    store16(message, 2, kTypeIp);
    store16(message, 4, 0x0604);
    store16(message, 6, code);
    put(message, 8, us.mac);
    store32(message, 14, us.address.value);
    put(message, 18, target_mac);
    store32(message, 24, target.value);
    return padded(place, kEthernetBytes + kArpBytes);
}

// `fill` writes the message; its checksum lies at 2.
template <class Fill>
size_t igmp(std::span<std::byte> place, const Host& us, Ip4 to, size_t message_bytes, Fill fill) {
    constexpr size_t kHeaderBytes = kIpBytes + sizeof(kRouterAlert);
    EAGRE_ASSERT_GE(place.size(), std::max(kFrameBytesMin, kEthernetBytes + kHeaderBytes + message_bytes));
    ethernet(place, mac_of_group(to), us.mac, kTypeIp);
    const auto header = place.subspan(kEthernetBytes, kHeaderBytes);
    put(header, kIpBytes, kRouterAlert);
    ip_header(header, us.address, to, kProtocolIgmp, message_bytes, 1, 0);
    header[1] = kTosInternetControl;
    store_checksum(header, 10);
    const auto message = place.subspan(kEthernetBytes + kHeaderBytes, message_bytes);
    std::memset(message.data(), 0, message.size());
    fill(message);
    store_checksum(message, 2);
    return padded(place, kEthernetBytes + kHeaderBytes + message_bytes);
}

size_t igmp2(std::span<std::byte> place, const Host& us, Ip4 to, std::byte type, Ip4 group) {
    return igmp(place, us, to, 8, [&](std::span<std::byte> message) {
        message[0] = type;
        store32(message, 4, group.value);
    });
}

}  // namespace

size_t build_arp_request(std::span<std::byte> place, const Host& us, Ip4 wanted, const Mac& to) {
    return arp(place, us, to, 1, Mac{}, wanted);
}

size_t build_arp_reply(std::span<std::byte> place, const Host& us, const Host& asker) {
    return arp(place, us, asker.mac, 2, asker.mac, asker.address);
}

void build_udp_headers(std::span<std::byte> frame, const UdpAddresses& addresses, std::span<const std::byte> payload, uint16_t id) {
    EAGRE_ASSERT_GE(frame.size(), kUdpFrameBytes + payload.size());
    const size_t bytes = kUdpBytes + payload.size();
    EAGRE_ASSERT_LE(kIpBytes + bytes, size_t{UINT16_MAX});
    ethernet(frame, addresses.to.mac, addresses.from.mac, kTypeIp);
    ip_header(frame.subspan(kEthernetBytes, kIpBytes), addresses.from.address, addresses.to.address, kProtocolUdp, bytes, kTtl, id);
    const auto message = frame.subspan(kEthernetBytes + kIpBytes, bytes);
    store16(message, 0, addresses.from_port);
    store16(message, 2, addresses.to_port);
    store16(message, 4, static_cast<uint16_t>(bytes));
    store16(message, 6, 0);
    Checksum sum;
    sum.add_pseudo_header(addresses.from.address, addresses.to.address, kProtocolUdp, static_cast<uint16_t>(bytes));
    sum.add(message.first(kUdpBytes));
    sum.add(payload);
    // Zero means "none": its other form in one's complement says the same and is not it.
    const uint16_t value = sum.finish() == 0 ? uint16_t{0xffff} : sum.finish();
    std::memcpy(message.data() + 6, &value, sizeof(value));
}

size_t build_echo_reply(std::span<std::byte> place, const Host& us, const Host& asker, std::span<const std::byte> request) {
    if (request.size() < 8 || request.size() > UINT16_MAX - kIpBytes) return 0;
    const size_t bytes = kEthernetBytes + kIpBytes + request.size();
    if (place.size() < std::max(bytes, kFrameBytesMin)) return 0;
    ethernet(place, asker.mac, us.mac, kTypeIp);
    ip_header(place.subspan(kEthernetBytes, kIpBytes), us.address, asker.address, kProtocolIcmp, request.size(), kTtl, 0);
    const auto message = place.subspan(kEthernetBytes + kIpBytes, request.size());
    put(message, 0, request);
    message[0] = std::byte{0};
    store_checksum(message, 2);
    return padded(place, bytes);
}

size_t build_igmp2_report(std::span<std::byte> place, const Host& us, Ip4 group) {
    return igmp2(place, us, group, std::byte{0x16}, group);
}

size_t build_igmp2_leave(std::span<std::byte> place, const Host& us, Ip4 group) {
    return igmp2(place, us, kAllRouters, std::byte{0x17}, group);
}

size_t build_igmp3_report(std::span<std::byte> place, const Host& us, Ip4 group, RecordType type,
                          std::span<const Ip4> sources) {
    EAGRE_ASSERT_LE(sources.size(), kReportSourcesMax);
    return igmp(place, us, kAllIgmp3Routers, 16 + 4 * sources.size(), [&](std::span<std::byte> message) {
        message[0] = std::byte{0x22};
        store16(message, 6, 1);  // Group records.
        message[8] = static_cast<std::byte>(type);
        store16(message, 10, static_cast<uint16_t>(sources.size()));
        store32(message, 12, group.value);
        for (size_t i = 0; i < sources.size(); ++i) store32(message, 16 + 4 * i, sources[i].value);
    });
}

}  // namespace eagre::io::packets
