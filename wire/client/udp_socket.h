#pragma once
// Connected UDP sockets of the real transport: bursts in, bursts out, and what the path takes.

#include <cstddef>
#include <cstdint>
#include <span>

#include <sys/socket.h>

#include "wire/base/result.h"
#include "wire/client/transport.h"

namespace eagre::client {

/// Never fragmented on the way (RFC 8899 section 1: fragments are lost together). Errors: kIo, kDisconnected.
Result<int> open_udp_socket(const sockaddr* target, socklen_t length);
/// Largest datagram that the path is known to take.
uint32_t udp_datagram_bytes(int fd);
/// As Transport::send_datagrams.
Result<size_t> send_udp(int fd, std::span<const DatagramSlices> datagrams);
/// As Transport::receive_datagrams.
Result<size_t> receive_udp(int fd, std::span<std::byte> area, std::span<uint32_t> lengths);

}  // namespace eagre::client
