#pragma once
// One frame off the wire: what it is, or why it is dropped. A pure function on its bytes; nothing in them is trusted.

#include <cstdint>
#include <span>

#include "dataplane/io/packets/headers.h"

namespace eagre::io::packets {

enum class Kind : uint8_t {
    kDropped,
    kUdp,         // To our address, or to a group: whether anybody here wants that group is for the caller to say.
    kArpRequest,  // Who has our address?
    kArpReply,
    kIgmpQuery,
    kIcmpEcho,  // A request, to us.
    kOther,     // Whole and well, and nothing that we take part in.
};

enum class Drop : uint8_t {
    kNone,
    kTruncated,      // Shorter than its headers say.
    kOversized,      // Larger than the device's MTU: offloads of the sender's kernel have not cut it up.
    kBadIpChecksum,
    kBadChecksum,    // UDP's, IGMP's or ICMP's.
    kFragment,       // Nothing is put together here.
    kVlan,           // Tagged: VLANs end at the switch.
    kNotOurs,        // Another host's address, or a protocol version that we don't speak.
};

struct Receiver {
    Mac mac{};
    Ip4 address;
    uint32_t ip_bytes_max = 1500;  // The MTU.
    bool trust_ip_checksum = false;
    bool trust_udp_checksum = false;  // The device has verified them.
};

struct Parsed {
    Kind kind = Kind::kDropped;
    Drop drop = Drop::kNone;
    bool has_options = false;
    uint16_t from_port = 0;
    uint16_t to_port = 0;
    Ip4 from;
    Ip4 to;
    Mac from_mac{};  // Of the frame; of an ARP message: what it says of `from`.
    /// UDP: its data. IGMP, ICMP: the message.
    std::span<const std::byte> payload{};
};

Parsed parse_frame(std::span<const std::byte> frame, const Receiver& receiver);

/// A general query (group 0) or one for a group, perhaps for some sources of it only.
struct IgmpQuery {
    uint8_t version = 0;  // 1, 2, 3
    Ip4 group;
    uint64_t max_response_ns = 0;
    uint32_t robustness = 2;
    uint64_t interval_ns = 0;
    std::span<const std::byte> sources{};  // 4 bytes each, network order.
};
/// `message`: a Parsed::payload of kind kIgmpQuery.
IgmpQuery read_query(std::span<const std::byte> message);

}  // namespace eagre::io::packets
