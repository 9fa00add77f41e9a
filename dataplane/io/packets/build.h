#pragma once
// The frames that we send, each into a place of the caller's. All return how many bytes the frame has; none is shorter than
// kFrameBytesMin, so a place must have that at least.

#include <cstddef>
#include <span>

#include "dataplane/io/packets/headers.h"

namespace eagre::io::packets {

/// Of IGMP reports: room for the largest that build_igmp3_report makes.
inline constexpr size_t kReportSourcesMax = 64;
inline constexpr size_t kControlFrameBytesMax = kEthernetBytes + kIpBytes + 4 + 16 + 4 * kReportSourcesMax;

struct Host {
    Mac mac{};
    Ip4 address;
};

/// "Who has `wanted`? Tell us." To all, or to one who is asked again.
size_t build_arp_request(std::span<std::byte> place, const Host& us, Ip4 wanted, const Mac& to = kBroadcastMac);
size_t build_arp_reply(std::span<std::byte> place, const Host& us, const Host& asker);

struct UdpAddresses {
    Host from;
    Host to;
    uint16_t from_port = 0;
    uint16_t to_port = 0;
};
/// Headers in front of the payload that lies at kUdpFrameBytes of `frame` already, with both checksums. `payload`: the same bytes where they were copied
/// from: to read again at once what was just written in larger pieces stalls the core, 200 ns for 1,400 bytes.
void build_udp_headers(std::span<std::byte> frame, const UdpAddresses& addresses, std::span<const std::byte> payload, uint16_t id);
inline void build_udp_headers(std::span<std::byte> frame, const UdpAddresses& addresses, size_t payload_bytes, uint16_t id) {
    build_udp_headers(frame, addresses, frame.subspan(kUdpFrameBytes, payload_bytes), id);
}

/// `request`: the ICMP message as it came; as much of it goes back as fits into `place`, or nothing (0) when not all does.
size_t build_echo_reply(std::span<std::byte> place, const Host& us, const Host& asker, std::span<const std::byte> request);

size_t build_igmp2_report(std::span<std::byte> place, const Host& us, Ip4 group);
size_t build_igmp2_leave(std::span<std::byte> place, const Host& us, Ip4 group);

enum class RecordType : uint8_t {
    kIsInclude = 1,
    kIsExclude = 2,
    kToInclude = 3,
    kToExclude = 4,
    kAllowNew = 5,
    kBlockOld = 6,
};
/// One group record. `sources`: at most kReportSourcesMax.
size_t build_igmp3_report(std::span<std::byte> place, const Host& us, Ip4 group, RecordType type,
                          std::span<const Ip4> sources);

}  // namespace eagre::io::packets
