#pragma once
// Requests that have been passed on to control and not been answered: whose they are. Owned by core 0.

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "dataplane/reactor/outlet.h"
#include "wire/base/assert.h"
#include "wire/base/limits.h"
#include "wire/base/types.h"

namespace eagre::relay {

inline constexpr uint32_t kRelayCountMax = 8192;
inline constexpr uint32_t kRelayPerSessionMax = 64;
/// Waiting for a control that does not read them.
inline constexpr size_t kRelayQueueBytesMax = 4 * kMiB;
inline constexpr size_t kRelayPayloadBytesMax = 512 * kKiB;
/// Longer than control holds any answer back: a third of the longest heartbeat.
inline constexpr uint64_t kRelayNsMax = 30'000'000'000ULL;
static_assert(kRelayNsMax > kGroupHeartbeatMsMax / 3 * 1'000'000ULL);

struct Asker {
    CoreIndex core;               // That took the request in.
    reactor::OutletId outlet;     // Of the connection there.
    uint64_t correlation = 0;     // As the client chose it.
    uint64_t deadline_ns = 0;
};

class RelayTable {
  public:
    bool full() const { return askers_.size() >= kRelayCountMax; }
    size_t count() const { return askers_.size(); }
    /// The number under which it goes to control. The table must not be full.
    uint64_t add(const Asker& asker) {
        EAGRE_ASSERT(!full());
        askers_.emplace(++last_, asker);
        return last_;
    }
    /// Nothing: it was given up meanwhile.
    std::optional<Asker> take(uint64_t number) {
        const auto found = askers_.find(number);
        if (found == askers_.end()) return std::nullopt;
        const Asker asker = found->second;
        askers_.erase(found);
        return asker;
    }
    /// Those whose time is up; numbers rise, and so do deadlines.
    std::vector<Asker> take_overdue(uint64_t now_ns) {
        std::vector<Asker> overdue;
        while (!askers_.empty() && now_ns >= askers_.begin()->second.deadline_ns) {
            overdue.push_back(askers_.begin()->second);
            askers_.erase(askers_.begin());
        }
        return overdue;
    }
    std::vector<Asker> take_all() { return take_overdue(UINT64_MAX); }

  private:
    std::map<uint64_t, Asker> askers_;
    uint64_t last_ = 0;
};

}  // namespace eagre::relay
