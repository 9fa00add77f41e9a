#pragma once
// Who shall have which shard: a pure function. Shares differ by at most one, and as few shards move
// as that allows.

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace eagre::consumers {

inline constexpr uint32_t kNobody = UINT32_MAX;

/// A shard that may be leased now.
struct Share {
    uint32_t owner = kNobody;  // Index of a member.
    bool releasing = false;    // Its owner has been asked to give it back.
};

struct Assignment {
    std::vector<std::pair<uint32_t, uint32_t>> grants;  // (share, member): free, to be leased.
    std::vector<uint32_t> releases;                     // Shares to be asked back.
    std::vector<uint32_t> keeps;  // Shares that were asked back and may stay after all.
};

/// Deterministic: the order of `shares` and of members decides ties. Members with most shares get the
/// larger part where it does not come out even, so that what is balanced stays as it is. What is asked
/// back is granted only by a later call, when its owner has given it up.
Assignment assign(std::span<const Share> shares, uint32_t member_count);

}  // namespace eagre::consumers
