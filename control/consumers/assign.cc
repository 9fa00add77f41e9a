#include "control/consumers/assign.h"

#include <algorithm>
#include <numeric>

#include "wire/base/assert.h"

namespace eagre::consumers {
namespace {

/// How many shares each member is to have.
std::vector<size_t> targets_of(const std::vector<size_t>& counts, size_t share_count) {
    std::vector<uint32_t> order(counts.size());
    std::iota(order.begin(), order.end(), 0U);
    std::stable_sort(order.begin(), order.end(),
                     [&](uint32_t a, uint32_t b) { return counts[a] > counts[b]; });
    const size_t base = share_count / counts.size();
    size_t extra = share_count % counts.size();
    std::vector<size_t> targets(counts.size(), base);
    for (const uint32_t member : order) {
        if (extra == 0) break;
        ++targets[member];
        --extra;
    }
    return targets;
}

}  // namespace

Assignment assign(std::span<const Share> shares, uint32_t member_count) {
    Assignment assignment;
    if (member_count == 0) return assignment;
    std::vector<size_t> counts(member_count);
    for (const Share& share : shares) {
        EAGRE_ASSERT(share.owner == kNobody || share.owner < member_count);
        if (share.owner != kNobody) ++counts[share.owner];
    }
    const std::vector<size_t> targets = targets_of(counts, shares.size());

    std::vector<size_t> surplus(member_count);
    for (uint32_t member = 0; member < member_count; ++member)
        surplus[member] = counts[member] - std::min(counts[member], targets[member]);
    // Those that are on their way stay so; beyond them the youngest shards go.
    for (uint32_t i = 0; i < shares.size(); ++i) {
        if (shares[i].owner == kNobody || !shares[i].releasing) continue;
        if (surplus[shares[i].owner] == 0) {
            assignment.keeps.push_back(i);
        } else {
            --surplus[shares[i].owner];
        }
    }
    for (auto i = static_cast<uint32_t>(shares.size()); i-- > 0;) {
        const Share& share = shares[i];
        if (share.owner == kNobody || share.releasing || surplus[share.owner] == 0) continue;
        --surplus[share.owner];
        assignment.releases.push_back(i);
    }
    for (uint32_t i = 0; i < shares.size(); ++i) {
        if (shares[i].owner != kNobody) continue;
        uint32_t best = kNobody;
        for (uint32_t member = 0; member < member_count; ++member) {
            if (counts[member] >= targets[member]) continue;
            if (best == kNobody || counts[member] < counts[best]) best = member;
        }
        EAGRE_ASSERT_NE(best, kNobody);  // Targets add up to the shares.
        ++counts[best];
        assignment.grants.emplace_back(i, best);
    }
    return assignment;
}

}  // namespace eagre::consumers
