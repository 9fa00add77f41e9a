#pragma once
// IGMP as a host speaks it: which groups (and of which of their sources) we want, told to routers and snooping switches when
// that changes, and again when they ask. Version 3 until an older querier shows up, then version 2 while it does. Of one core,
// without a clock: time comes as a parameter, chance from a seed. Says what to send; build.h makes the frames.

#include <array>
#include <cstdint>
#include <vector>

#include "dataplane/io/packets/build.h"
#include "dataplane/io/packets/parse.h"
#include "wire/base/result.h"

namespace eagre::io::packets {

struct IgmpReport {
    uint8_t version = 3;
    bool leave = false;  // Version 2's.
    Ip4 group;
    RecordType type = RecordType::kIsExclude;  // Version 3's.
    uint32_t source_count = 0;
    std::array<Ip4, kReportSourcesMax> sources{};
};
/// The frame that says it.
size_t build_report(std::span<std::byte> place, const Host& us, const IgmpReport& report);

class Membership {
  public:
    static constexpr size_t kGroupCountMax = 256;
    static constexpr uint64_t kRepeatNs = 1'000'000'000ULL;  // What nobody asked for is said twice, within this.

    explicit Membership(uint64_t seed) : random_(seed | 1U) {}

    /// `source` 0: whoever sends. Counted: as many leaves undo as many joins. Errors: kLimitExceeded.
    Status join(Ip4 group, Ip4 source, uint64_t now_ns);
    /// `silent`: another core of this host still wants it, so nobody is told. Harmless when not joined.
    void leave(Ip4 group, Ip4 source, uint64_t now_ns, bool silent);
    void on_query(const IgmpQuery& query, uint64_t now_ns);
    /// What has to be said by now, one after the other; false: nothing.
    bool next_report(uint64_t now_ns, IgmpReport& report);
    /// When next_report() will have something; UINT64_MAX: not before a join or a query.
    uint64_t due_ns() const { return due_ns_; }
    bool member(Ip4 group) const { return find(group) != nullptr; }

  private:
    struct Source {
        Ip4 ip;
        uint32_t count = 0;
    };
    struct Group {
        Ip4 ip;
        uint32_t any_count = 0;
        std::vector<Source> sources;
        uint64_t due_ns = UINT64_MAX;
        uint32_t unasked_left = 0;  // Reports that tell a change, still to be sent.
    };
    struct Leaving {
        Ip4 group;
        Ip4 source;
        uint64_t due_ns = 0;
        uint32_t left = 0;
        bool whole = false;  // Nothing of the group is wanted any more.
    };
    Group* find(Ip4 group);
    const Group* find(Ip4 group) const { return const_cast<Membership*>(this)->find(group); }
    uint64_t random_below(uint64_t limit);
    bool version2(uint64_t now_ns) const { return now_ns < version2_until_ns_; }
    void recompute();

    uint64_t random_;
    uint64_t version2_until_ns_ = 0;
    uint64_t due_ns_ = UINT64_MAX;
    std::vector<Group> groups_;
    std::vector<Leaving> leaving_;
};

}  // namespace eagre::io::packets
