#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace eagre::io {

/// Where a packet came from or goes to. IPv4 uses the first 4 bytes; all in network order but the port.
struct Address {
    std::array<std::byte, 16> ip{};
    uint16_t port = 0;
    uint8_t family = 0;  // 4, 6; 0: not an IP address (a Unix socket, the unknown).

    std::span<const std::byte> ip_bytes() const {
        return std::span(ip).first(family == 6 ? 16 : family == 4 ? 4 : 0);
    }
    bool same_host(const Address& other) const { return family == other.family && ip == other.ip; }
    friend bool operator==(const Address&, const Address&) = default;
};

/// Numeric IPv4 or IPv6; family 0 when it is neither.
Address parse_address(std::string_view text, uint16_t port);
/// The other way, without the port; "?" for family 0.
std::string address_text(const Address& address);

}  // namespace eagre::io
