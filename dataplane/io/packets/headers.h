#pragma once
// The few header fields of Ethernet, ARP, IPv4, UDP, IGMP and ICMP that a datagram back end without a kernel needs: sizes,
// offsets, numbers, and reading and writing them at any alignment. IPv4 addresses are numbers in host order here.

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "dataplane/io/address.h"

namespace eagre::io::packets {

static_assert(std::endian::native == std::endian::little);

using Mac = std::array<std::byte, 6>;
/// An IPv4 address; 0: none.
struct Ip4 {
    uint32_t value = 0;
    friend constexpr auto operator<=>(Ip4, Ip4) = default;
};

inline constexpr size_t kEthernetBytes = 14;
inline constexpr size_t kArpBytes = 28;
inline constexpr size_t kIpBytes = 20;     // Without options.
inline constexpr size_t kIpBytesMax = 60;  // With them.
inline constexpr size_t kUdpBytes = 8;
inline constexpr size_t kUdpFrameBytes = kEthernetBytes + kIpBytes + kUdpBytes;
/// What we send is never shorter: the minimum of Ethernet without its checksum.
inline constexpr size_t kFrameBytesMin = 60;

inline constexpr uint16_t kTypeIp = 0x0800;
inline constexpr uint16_t kTypeArp = 0x0806;
inline constexpr uint16_t kTypeVlan = 0x8100;
inline constexpr uint16_t kTypeVlanOuter = 0x88a8;
inline constexpr uint8_t kProtocolIcmp = 1;
inline constexpr uint8_t kProtocolIgmp = 2;
inline constexpr uint8_t kProtocolUdp = 17;

inline constexpr Mac kBroadcastMac{std::byte{0xff}, std::byte{0xff}, std::byte{0xff},
                                   std::byte{0xff}, std::byte{0xff}, std::byte{0xff}};
inline constexpr Ip4 kAllHosts{0xe0000001};        // 224.0.0.1
inline constexpr Ip4 kAllRouters{0xe0000002};      // 224.0.0.2
inline constexpr Ip4 kAllIgmp3Routers{0xe0000016}; // 224.0.0.22

inline constexpr bool is_group(Ip4 ip) { return ip.value >> 28U == 0xe; }
inline constexpr bool is_group_mac(const Mac& mac) { return (std::to_integer<unsigned>(mac[0]) & 1U) != 0; }

/// 32 groups share one.
inline constexpr Mac mac_of_group(Ip4 group) {
    return {std::byte{0x01},
            std::byte{0x00},
            std::byte{0x5e},
            static_cast<std::byte>(group.value >> 16U & 0x7fU),
            static_cast<std::byte>(group.value >> 8U),
            static_cast<std::byte>(group.value)};
}

inline uint16_t load16(std::span<const std::byte> bytes, size_t at) {
    uint16_t value = 0;
    std::memcpy(&value, bytes.data() + at, sizeof(value));
    return __builtin_bswap16(value);
}
inline uint32_t load32(std::span<const std::byte> bytes, size_t at) {
    uint32_t value = 0;
    std::memcpy(&value, bytes.data() + at, sizeof(value));
    return __builtin_bswap32(value);
}
inline void store16(std::span<std::byte> bytes, size_t at, uint16_t value) {
    value = __builtin_bswap16(value);
    std::memcpy(bytes.data() + at, &value, sizeof(value));
}
inline void store32(std::span<std::byte> bytes, size_t at, uint32_t value) {
    value = __builtin_bswap32(value);
    std::memcpy(bytes.data() + at, &value, sizeof(value));
}
inline Mac load_mac(std::span<const std::byte> bytes, size_t at) {
    Mac mac;
    std::memcpy(mac.data(), bytes.data() + at, mac.size());
    return mac;
}

inline Ip4 ip4_of(const Address& address) {
    return address.family == 4 ? Ip4{load32(address.ip, 0)} : Ip4{};
}
inline Address address_of(Ip4 ip, uint16_t port) {
    Address address;
    store32(address.ip, 0, ip.value);
    address.port = port;
    address.family = 4;
    return address;
}

}  // namespace eagre::io::packets
