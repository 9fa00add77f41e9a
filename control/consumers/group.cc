#include "control/consumers/group.h"

#include <algorithm>
#include <utility>

#include "control/consumers/assign.h"
#include "wire/base/assert.h"

namespace eagre::consumers {

void Group::restore(const std::vector<catalog::LeaseRow>& leases,
                    const std::vector<catalog::MemberRow>& members, Fence& fence, Now now) {
    for (const catalog::MemberRow& row : members) {
        fence.raise(row.session);
        Member& member = members_[row.name];
        member.row = row;
        member.seen_ns = now.monotonic_ns;
    }
    for (const catalog::LeaseRow& row : leases) {
        fence.raise(row.token);
        Lease& lease = leases_[row.shard];
        lease.row = row;
        if (members_.count(row.member) == 0) lease.row.member.clear();
    }
    // What a member knows from the process before us is not compared with what we say.
    for (auto& [name, member] : members_) member.version = fence.next();
}

void Group::put_shards(const std::vector<catalog::ShardRow>& shards, Fence& fence) {
    std::map<ShardId, Lease> kept;
    for (const catalog::ShardRow& shard : shards) {
        if (shard.first_sequence.value == 0) continue;  // Planned: the journals do not know it yet.
        Lease& lease = kept[shard.id];
        if (auto known = leases_.extract(shard.id)) lease = std::move(known.mapped());
        lease.row.group = row_.id;
        lease.row.shard = shard.id;
        lease.parent = shard.parent;
        lease.adjacent_parent = shard.adjacent_parent;
        lease.open = shard.open;
    }
    for (const auto& [id, gone] : leases_) {
        touch_version(gone.row.member, fence);
        dirty_leases_[id] = false;
    }
    leases_ = std::move(kept);
    unsettled_ = true;
}

// -------------------------------------------------------------------------------------------------
// members

Result<uint64_t> Group::join(const std::string& name, Fence& fence, Now now) {
    auto found = members_.find(name);
    if (found == members_.end()) {
        if (members_.size() >= kMembersPerGroupMax)
            return error_of(Errc::kLimitExceeded, kMembersPerGroupMax);
        found = members_.emplace(name, Member{}).first;
    } else if (found->second.parked) {
        orphans_.push_back({found->second.parked->ticket, error_of(Errc::kMemberReplaced)});
    }
    Member& member = found->second;
    member.row = {row_.id, name, fence.next(), now.wall_ns};
    member.seen_ns = now.monotonic_ns;
    member.parked.reset();
    member.version = fence.next();
    // The process before it under this name must not checkpoint any more.
    for (auto& [shard, lease] : leases_) {
        if (lease.row.member == name) grant(lease, member, fence);
    }
    dirty_members_[name] = true;
    unsettled_ = true;
    return member.row.session;
}

Result<Member*> Group::find(const std::string& name, uint64_t session) {
    const auto found = members_.find(name);
    if (found == members_.end()) return Errc::kUnknownMember;
    if (found->second.row.session != session) return Errc::kMemberReplaced;
    return &found->second;
}

void Group::drop_member(std::map<std::string, Member>::iterator member, Error why) {
    if (member->second.parked) orphans_.push_back({member->second.parked->ticket, why});
    for (auto& [shard, lease] : leases_) {
        if (lease.row.member != member->first) continue;
        lease.row.member.clear();
        lease.release = false;
        dirty_leases_[shard] = true;
    }
    dirty_members_[member->first] = false;
    members_.erase(member);
    unsettled_ = true;
}

void Group::leave(const std::string& name, Error why) {
    const auto found = members_.find(name);
    if (found != members_.end()) drop_member(found, why);
}

size_t Group::expire(Now now) {
    size_t dropped = 0;
    for (auto it = members_.begin(); it != members_.end();) {
        const auto member = it++;
        if (now.monotonic_ns < member->second.seen_ns + heartbeat_ns()) continue;
        drop_member(member, error_of(Errc::kUnknownMember));
        ++dropped;
    }
    return dropped;
}

void Group::excuse_all(Now now) {
    for (auto& [name, member] : members_) {
        member.seen_ns = now.monotonic_ns;
        member.parked.reset();
    }
    for (auto& [shard, lease] : leases_) {
        if (lease.release) lease.release_by_ns = now.monotonic_ns + kReleaseNsMax;
    }
}

// -------------------------------------------------------------------------------------------------
// leases

void Group::touch_version(const std::string& member, Fence& fence) {
    const auto found = members_.find(member);
    if (found != members_.end()) found->second.version = fence.next();
}

void Group::grant(Lease& lease, Member& member, Fence& fence) {
    lease.row.token = fence.next();
    lease.row.member = member.row.name;
    lease.release = false;
    member.version = fence.next();
    dirty_leases_[lease.row.shard] = true;
}

void Group::free(Lease& lease, Fence& fence) {
    touch_version(lease.row.member, fence);
    lease.row.member.clear();
    lease.release = false;
    dirty_leases_[lease.row.shard] = true;
    unsettled_ = true;
}

Error Group::check(const Lease* lease, const Member& member, const Mark& mark) const {
    if (lease == nullptr) return error_of(Errc::kUnknownShard);
    if (lease->row.member != member.row.name || lease->row.token != mark.token)
        return error_of(Errc::kLeaseLost, lease->row.token);
    if (mark.next.value != 0 && mark.next < lease->row.next)
        return error_of(Errc::kCheckpointBehind, lease->row.next.value);
    // The journals may be ahead of the catalogue, for a moment.
    if (mark.ended && lease->open) return error_of(Errc::kBusy);
    return {};
}

void Group::take_marks(const Member& member, std::span<const Mark> marks, Fence& fence, Now now,
                       std::vector<Refusal>& refusals) {
    for (const Mark& mark : marks) {
        const auto found = leases_.find(mark.shard);
        Lease* lease = found == leases_.end() ? nullptr : &found->second;
        const Error error = check(lease, member, mark);
        if (error.code != Errc::kOk) {
            refusals.push_back({mark.shard, mark.token, error});
            continue;
        }
        if (mark.next.value != 0) {
            lease->row.next = mark.next;
            lease->row.checkpoint_ns = now.wall_ns;
            dirty_leases_[mark.shard] = true;
        }
        if (mark.ended) lease->row.ended = true;
        if (mark.ended || mark.release) free(*lease, fence);
    }
}

bool Group::parent_done(ShardId parent) const {
    if (parent.value == 0) return true;
    const auto found = leases_.find(parent);
    // One that retention has taken away has nothing left to be read.
    return found == leases_.end() || found->second.row.ended;
}

bool Group::may_be_leased(const Lease& lease) const {
    return !lease.row.ended && parent_done(lease.parent) && parent_done(lease.adjacent_parent);
}

void Group::settle(Fence& fence, Now now) {
    for (auto& [shard, lease] : leases_) {
        if (lease.release && now.monotonic_ns >= lease.release_by_ns) free(lease, fence);
    }
    if (!std::exchange(unsettled_, false)) return;
    std::vector<Member*> members;
    std::map<std::string_view, uint32_t> indices;
    for (auto& [name, member] : members_) {
        indices[name] = static_cast<uint32_t>(members.size());
        members.push_back(&member);
    }
    std::vector<Lease*> leases;
    std::vector<Share> shares;
    for (auto& [shard, lease] : leases_) {
        if (!may_be_leased(lease)) continue;
        leases.push_back(&lease);
        const auto owner = indices.find(lease.row.member);
        shares.push_back({owner == indices.end() ? kNobody : owner->second, lease.release});
    }
    const Assignment assignment = assign(shares, static_cast<uint32_t>(members.size()));
    for (const auto& [share, member] : assignment.grants)
        grant(*leases[share], *members[member], fence);
    for (const uint32_t share : assignment.releases) {
        leases[share]->release = true;
        leases[share]->release_by_ns = now.monotonic_ns + kReleaseNsMax;
        touch_version(leases[share]->row.member, fence);
    }
    for (const uint32_t share : assignment.keeps) {
        leases[share]->release = false;
        touch_version(leases[share]->row.member, fence);
    }
}

void Group::reset(std::span<const std::pair<ShardId, SequenceNumber>> positions, Fence& fence,
                  Now now) {
    for (const auto& [shard, next] : positions) {
        const auto found = leases_.find(shard);
        if (found == leases_.end()) continue;
        Lease& lease = found->second;
        lease.row.next = next;
        lease.row.ended = false;
        lease.row.checkpoint_ns = now.wall_ns;
        dirty_leases_[shard] = true;
    }
    // Whoever reads now is somewhere else: his token must not move what was just set.
    for (auto& [shard, lease] : leases_) {
        if (!lease.row.member.empty()) free(lease, fence);
    }
    unsettled_ = true;
}

std::vector<Held> Group::leases_of(const std::string& member) const {
    std::vector<Held> held;
    for (const auto& [shard, lease] : leases_) {
        if (lease.row.member == member)
            held.push_back({shard, lease.row.token, lease.row.next, lease.release});
    }
    return held;
}

uint64_t Group::next_deadline_ns() const {
    if (unsettled_) return 0;
    uint64_t due = UINT64_MAX;
    for (const auto& [name, member] : members_) {
        due = std::min(due, member.seen_ns + heartbeat_ns());
        if (member.parked) due = std::min(due, member.parked->until_ns);
    }
    for (const auto& [shard, lease] : leases_) {
        if (lease.release) due = std::min(due, lease.release_by_ns);
    }
    return due;
}

void Group::take_changes(catalog::Change& change) {
    for (const auto& [shard, there] : std::exchange(dirty_leases_, {})) {
        const auto found = leases_.find(shard);
        EAGRE_ASSERT(!there || found != leases_.end());
        if (there) {
            change.put_leases.push_back(found->second.row);
        } else {
            change.delete_leases.push_back({row_.id, shard, 0, {}, {}, false, 0});
        }
    }
    for (const auto& [name, there] : std::exchange(dirty_members_, {})) {
        const auto found = members_.find(name);
        EAGRE_ASSERT(!there || found != members_.end());
        if (there) {
            change.put_members.push_back(found->second.row);
        } else {
            change.delete_members.push_back({row_.id, name, 0, 0});
        }
    }
}

}  // namespace eagre::consumers
