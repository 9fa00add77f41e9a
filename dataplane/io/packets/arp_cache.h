#pragma once
// Who has which address on our link. Bounded, aged; of one core. Time comes as a parameter.

#include <array>
#include <cstdint>

#include "dataplane/io/packets/headers.h"

namespace eagre::io::packets {

class ArpCache {
  public:
    static constexpr size_t kEntryCount = 1024;  // A power of two.
    static constexpr uint64_t kFreshNs = 30'000'000'000ULL;  // Then it is asked again, and used meanwhile.
    static constexpr uint64_t kGoodNs = 120'000'000'000ULL;  // Then it is not used any more.
    static constexpr uint64_t kAskAgainNs = 1'000'000'000ULL;

    /// `insert` false: only an address that is known is told anew (what others ask must not fill our table).
    void learn(Ip4 ip, const Mac& mac, uint64_t now_ns, bool insert);

    struct Answer {
        const Mac* mac = nullptr;  // Null: unknown.
        bool ask = false;          // Ask the link now; at most once a second for an address.
    };
    /// Remembers that `ip` is wanted, so that what is learnt finds a place.
    Answer find(Ip4 ip, uint64_t now_ns);

  private:
    struct Entry {
        Ip4 ip;
        Mac mac{};
        bool known = false;
        uint64_t learnt_ns = 0;
        uint64_t asked_ns = 0;
        uint64_t used_ns = 0;
    };
    static constexpr size_t kProbes = 4;
    Entry* look(Ip4 ip);
    Entry& place_for(Ip4 ip);
    static size_t slot(Ip4 ip, size_t probe) {
        return (static_cast<size_t>((ip.value * 0x9e3779b1U) >> 16U) + probe) % kEntryCount;
    }
    std::array<Entry, kEntryCount> entries_{};
};

}  // namespace eagre::io::packets
