#include "dataplane/io/packets/membership.h"

#include <algorithm>

namespace eagre::io::packets {
namespace {

constexpr uint32_t kRobustness = 2;
// Leaves are told twice as well; more at once than this and the oldest are only told once: the querier's next round finds out.
constexpr size_t kLeavingMax = 2 * Membership::kGroupCountMax;

}  // namespace

size_t build_report(std::span<std::byte> place, const Host& us, const IgmpReport& report) {
    if (report.version == 2) {
        return report.leave ? build_igmp2_leave(place, us, report.group) : build_igmp2_report(place, us, report.group);
    }
    return build_igmp3_report(place, us, report.group, report.type, std::span(report.sources).first(report.source_count));
}

Membership::Group* Membership::find(Ip4 group) {
    for (Group& each : groups_) {
        if (each.ip == group) return &each;
    }
    return nullptr;
}

// xorshift64*: only to spread answers over time.
uint64_t Membership::random_below(uint64_t limit) {
    random_ ^= random_ >> 12U;
    random_ ^= random_ << 25U;
    random_ ^= random_ >> 27U;
    return limit == 0 ? 0 : (random_ * 0x2545f4914f6cdd1dULL >> 11U) % limit;
}

Status Membership::join(Ip4 ip, Ip4 source, uint64_t now_ns) {
    Group* group = find(ip);
    if (group == nullptr) {
        if (groups_.size() == kGroupCountMax) return error_of(Errc::kLimitExceeded, kGroupCountMax);
        group = &groups_.emplace_back();
        group->ip = ip;
    }
    bool news = true;
    if (source.value == 0) {
        news = group->any_count++ == 0;
    } else {
        const auto at = std::find_if(group->sources.begin(), group->sources.end(), [&](const Source& each) { return each.ip == source; });
        if (at != group->sources.end()) {
            ++at->count;
            news = false;
        } else {
            if (group->sources.size() == kReportSourcesMax) return error_of(Errc::kLimitExceeded, kReportSourcesMax);
            group->sources.push_back({source, 1});
        }
    }
    if (news) {
        group->unasked_left = kRobustness;
        group->due_ns = now_ns;
        std::erase_if(leaving_, [&](const Leaving& each) { return each.group == ip && (each.whole || each.source == source); });
        recompute();
    }
    return {};
}

void Membership::leave(Ip4 ip, Ip4 source, uint64_t now_ns, bool silent) {
    Group* group = find(ip);
    if (group == nullptr) return;
    if (source.value == 0) {
        if (group->any_count == 0 || --group->any_count > 0) return;
    } else {
        const auto at = std::find_if(group->sources.begin(), group->sources.end(), [&](const Source& each) { return each.ip == source; });
        if (at == group->sources.end() || --at->count > 0) return;
        group->sources.erase(at);
    }
    const bool whole = group->any_count == 0 && group->sources.empty();
    if (!silent) {
        if (leaving_.size() == kLeavingMax) leaving_.erase(leaving_.begin());
        leaving_.push_back({ip, source, now_ns, kRobustness, whole});
    }
    if (whole) std::erase_if(groups_, [ip](const Group& each) { return each.ip == ip; });
    recompute();
}

void Membership::on_query(const IgmpQuery& query, uint64_t now_ns) {
    if (query.version < 3) {
        version2_until_ns_ = now_ns + query.robustness * query.interval_ns + query.max_response_ns;
    }
    for (Group& group : groups_) {
        if (query.group.value != 0 && query.group != group.ip) continue;
        // Strictly below: who asks has given up by then.
        group.due_ns = std::min(group.due_ns, now_ns + random_below(query.max_response_ns));
    }
    recompute();
}

bool Membership::next_report(uint64_t now_ns, IgmpReport& report) {
    if (now_ns < due_ns_) return false;
    for (Leaving& leaving : leaving_) {
        if (leaving.due_ns > now_ns) continue;
        const bool old = version2(now_ns);
        report = IgmpReport{};
        report.version = old ? 2 : 3;
        report.leave = true;
        report.group = leaving.group;
        // Any source of a group of which single ones remain: back to those.
        const Group* remaining = find(leaving.group);
        if (leaving.source.value == 0) {
            report.type = RecordType::kToInclude;
            if (remaining != nullptr) {
                for (const Source& source : remaining->sources) report.sources[report.source_count++] = source.ip;
            }
        } else {
            report.type = RecordType::kBlockOld;
            report.sources[report.source_count++] = leaving.source;
        }
        const bool tell = !old || remaining == nullptr;
        // Version 2 has no word for less than all, and says it once.
        leaving.left = old ? 0 : leaving.left - 1;
        leaving.due_ns = now_ns + 1 + random_below(kRepeatNs);
        std::erase_if(leaving_, [](const Leaving& each) { return each.left == 0; });
        recompute();
        return tell ? true : next_report(now_ns, report);
    }
    for (Group& group : groups_) {
        if (group.due_ns > now_ns) continue;
        const bool unasked = group.unasked_left > 0;
        report = IgmpReport{};
        report.version = version2(now_ns) ? 2 : 3;
        report.group = group.ip;
        if (group.any_count > 0) {
            report.type = unasked ? RecordType::kToExclude : RecordType::kIsExclude;
        } else {
            report.type = unasked ? RecordType::kAllowNew : RecordType::kIsInclude;
            for (const Source& source : group.sources) report.sources[report.source_count++] = source.ip;
        }
        if (unasked) --group.unasked_left;
        group.due_ns = group.unasked_left > 0 ? now_ns + 1 + random_below(kRepeatNs) : UINT64_MAX;
        recompute();
        return true;
    }
    recompute();
    return false;
}

void Membership::recompute() {
    due_ns_ = UINT64_MAX;
    for (const Group& group : groups_) due_ns_ = std::min(due_ns_, group.due_ns);
    for (const Leaving& leaving : leaving_) due_ns_ = std::min(due_ns_, leaving.due_ns);
}

}  // namespace eagre::io::packets
