#pragma once
// UDP datagrams, received and sent in bursts. A peer of Connections; back ends are uring/, dpdk/ and
// sim/. There are two kinds of ways in:
// - the core's own port, one per core, where senders speak our frames (ingress/datagram_door.h);
// - inlets, any number of them, where senders know nothing of us: a unicast address or a multicast
//   group that a feed is bound to (feed/). Nothing is ever sent from an inlet.
//
// A received packet's bytes belong to the caller until release(); packets are released in the
// order of their bursts, whole bursts at a time, and before the next burst of either kind. That
// lets a back end receive into one fixed area, and nothing is copied on the way to the journal.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "dataplane/io/address.h"
#include "wire/base/result.h"
#include "wire/base/types.h"
#include "wire/shm/nic_stats.h"

namespace eagre::io {

/// No back end gives more at once, whatever it is offered.
inline constexpr size_t kDatagramBurstMax = 64;
/// Of one core.
inline constexpr uint32_t kInletCountMax = 256;
/// The largest datagram that an inlet takes: all that UDP can carry. A back end that takes no
/// fragments takes what fits into a packet of its device.
inline constexpr size_t kInletBytesMax = 65'507;

struct RxPacket {
    std::span<std::byte> bytes;  // Of the own port: 8-byte aligned.
    Address from;
    uint64_t received_ns = 0;  // Monotonic: when the burst was taken in.
    uint64_t stamped_ns = 0;   // Inlets: ns since 1970, when it arrived as the NIC or the kernel
                               // says, or when we polled it.
};

struct TxPacket {
    std::span<const std::byte> bytes;
    Address to;
};

/// Never used twice in the life of a back end.
using InletId = Strong<struct InletIdTag, uint32_t>;

struct InletOptions {
    /// A group, an address of this machine, or all zeros for any of them; the port is not 0.
    Address local;
    /// Of a group: only what this host sends (source-specific multicast). Of a unicast address it
    /// is the caller who looks at RxPacket::from. family 0: whoever sends.
    Address source;
    /// Where a group is joined, by name; empty: where the routes say.
    std::string_view interface;
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
    /// Gives the bytes of a burst back, of the own port or of an inlet.
    virtual void release(std::span<const RxPacket> packets) = 0;
    /// Sends; returns how many from the front were taken. Fewer means back-pressure, not error;
    /// what was taken may still be lost.
    virtual size_t tx_burst(std::span<const TxPacket> packets) = 0;
    /// Datagrams that arrived and were dropped below us (no room, too large), since open().
    virtual uint64_t dropped() const = 0;

    /// One more way in. Cold. Errors: kPortInUse (somebody else listens there), kBadArgument (no
    /// address of this machine, no such interface), kLimitExceeded, kIo.
    virtual Result<InletId> open_inlet(const InletOptions& options) = 0;
    /// Harmless for an unknown id.
    virtual void close_inlet(InletId inlet) = 0;
    /// As rx_burst, for an inlet; 0 for an unknown id.
    virtual size_t rx_inlet(InletId inlet, std::span<RxPacket> packets) = 0;
    /// As dropped(), for an inlet.
    virtual uint64_t inlet_dropped(InletId inlet) const = 0;

    /// The longest that a core may block in Events::wait() while datagrams may come: UINT64_MAX
    /// where they end the wait by themselves, less for a device that must be polled.
    virtual uint64_t wait_ns_max() const { return UINT64_MAX; }
    /// Fills in what a device of our own has counted; leaves it as it is where there is none. Not for every turn.
    virtual void read_stats(shm::NicStats& /*stats*/) const {}
};

}  // namespace eagre::io
