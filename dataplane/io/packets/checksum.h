#pragma once
// The Internet checksum (RFC 1071). Sums are kept as they lie in memory and folded at the end: the byte order does not matter.

#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/io/packets/headers.h"

namespace eagre::io::packets {

/// One's complement sum so far; parts must begin at even offsets of the whole.
class Checksum {
  public:
    void add(std::span<const std::byte> bytes);
    /// The addresses, protocol and length that UDP's covers.
    void add_pseudo_header(Ip4 from, Ip4 to, uint8_t protocol, uint16_t bytes);
    /// As it is stored in a header (with std::memcpy, not store16). 0 when the sum covers a checksum that is right.
    uint16_t finish() const;

  private:
    uint64_t sum_ = 0;
};

/// Over all of it: true when the checksum among the bytes is right.
bool checksum_holds(std::span<const std::byte> bytes);
/// Computes and stores it at `at`.
void store_checksum(std::span<std::byte> bytes, size_t at);

}  // namespace eagre::io::packets
