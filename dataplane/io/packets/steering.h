#pragma once
// Which core gets a datagram: by where it is addressed to. One book for the process, written when a port or an inlet is opened
// or closed; every core has a table of its own, made anew when the book has changed, so that nothing is locked per packet.

#include <atomic>
#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

#include "dataplane/io/packets/headers.h"
#include "wire/base/result.h"

namespace eagre::io::packets {

inline constexpr uint32_t kOwnPort = 0;  // As an inlet's number: the core's own port.

/// Somebody who wants what is sent to an address and port.
struct Claim {
    Ip4 to;
    uint16_t port = 0;
    Ip4 source;  // 0: whoever sends.
    uint32_t core = 0;
    uint32_t inlet = kOwnPort;

    bool wants(Ip4 from) const { return source.value == 0 || source == from; }
};

/// Of all cores; any of them may call.
class SteerBook {
  public:
    /// Errors: kPortInUse (an address of one host is for one; a group is for all who want it).
    Status claim(const Claim& claim);
    void drop(uint32_t core, uint32_t inlet);
    /// Whether anybody wants this group, or (source not 0) this source of it.
    bool wanted(Ip4 group, Ip4 source) const;
    /// All groups, each once.
    std::vector<Ip4> groups() const;

    uint64_t generation() const { return generation_.load(std::memory_order_acquire); }
    /// `generation`: that of the claims returned.
    std::vector<Claim> claims(uint64_t& generation) const;

  private:
    mutable std::mutex mutex_;
    std::vector<Claim> claims_;
    std::atomic<uint64_t> generation_{1};
};

/// Of one core.
class SteerTable {
  public:
    void rebuild(std::vector<Claim> claims);
    /// All claims to this address and port, in the order of cores.
    std::span<const Claim> find(Ip4 to, uint16_t port) const;

  private:
    struct Slot {
        uint64_t key = 0;  // 0: unused.
        uint32_t first = 0;
        uint32_t count = 0;
    };
    static uint64_t key_of(Ip4 to, uint16_t port) { return uint64_t{to.value} << 16U | port; }
    static size_t hash(uint64_t key) { return static_cast<size_t>((key * 0x9e3779b97f4a7c15ULL) >> 32U); }
    std::vector<Claim> claims_;
    std::vector<Slot> slots_;
};

}  // namespace eagre::io::packets
