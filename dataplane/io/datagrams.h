#pragma once
// UDP datagrams, received and sent in bursts: one port per core. A peer of Connections; back ends
// are uring/ and sim/, and DPDK fits the same shape (its bursts of mbufs are what release() gives
// back).
//
// A received packet's bytes belong to the caller until release(); packets are released in the
// order of their bursts, whole bursts at a time, and before the next rx_burst(). That lets a back
// end receive into one fixed area, and nothing is copied on the way to the journal.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "dataplane/io/address.h"
#include "wire/base/result.h"

namespace eagre::io {

/// No back end gives more at once, whatever it is offered.
inline constexpr size_t kDatagramBurstMax = 64;

struct RxPacket {
    std::span<std::byte> bytes;  // 8-byte aligned.
    Address from;
    uint64_t received_ns = 0;  // Monotonic: when the burst was taken in.
};

struct TxPacket {
    std::span<const std::byte> bytes;
    Address to;
};

class Datagrams {
  public:
    virtual ~Datagrams() = default;
    /// Binds this core's port; once. `address`: numeric IPv4 or IPv6; `port` 0: any. Returns the
    /// port. Errors: kPortInUse, kBadArgument, kIo.
    virtual Result<uint16_t> open(std::string_view address, uint16_t port) = 0;
    /// Fills `packets` (at most kDatagramBurstMax of them) with what has arrived; returns how many.
    /// Never blocks. A datagram of more than kDatagramBytesMax is dropped and counted.
    virtual size_t rx_burst(std::span<RxPacket> packets) = 0;
    /// Gives the bytes of a burst back.
    virtual void release(std::span<const RxPacket> packets) = 0;
    /// Sends; returns how many from the front were taken. Fewer means back-pressure, not error;
    /// what was taken may still be lost.
    virtual size_t tx_burst(std::span<const TxPacket> packets) = 0;
    /// Datagrams that arrived and were dropped below us (no room, too large), since open().
    virtual uint64_t dropped() const = 0;
};

}  // namespace eagre::io
