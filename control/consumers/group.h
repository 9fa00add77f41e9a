#pragma once
// One consumer group: members, leases, checkpoints. Pure logic: no I/O, time as an argument; what has
// to be written down is gathered until take_changes().
//
// Invariants: a shard has one valid token at a time, and a new owner's is larger than any before it;
// what carries another token changes nothing. A checkpoint never runs backwards but by reset(). A shard
// is leased only when its parents have been read to their end. A shard that is to move is asked back
// from its owner, who gives it up with his last checkpoint; only then does the next one get it.

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "control/catalog/catalog.h"
#include "wire/base/result.h"
#include "wire/base/types.h"

namespace eagre::consumers {

using catalog::GroupId;

inline constexpr uint32_t kMembersPerGroupMax = 1024;
/// A member that is asked for a shard and keeps it longer loses it.
inline constexpr uint64_t kReleaseNsMax = 30'000'000'000ULL;

/// Numbers that never come twice: tokens, sessions, versions.
class Fence {
  public:
    uint64_t next() { return ++last_; }
    void raise(uint64_t at_least) { last_ = at_least > last_ ? at_least : last_; }

  private:
    uint64_t last_ = 0;
};

struct Now {
    uint64_t monotonic_ns = 0;
    uint64_t wall_ns = 0;
};

struct Mark {
    ShardId shard;
    uint64_t token = 0;
    SequenceNumber next;  // 0: no checkpoint.
    bool ended = false;
    bool release = false;
};

struct Refusal {
    ShardId shard;
    uint64_t token = 0;
    Error error;
};

struct Held {
    ShardId shard;
    uint64_t token = 0;
    SequenceNumber next;
    bool release = false;
};

/// An answer to a heartbeat that is held back.
struct Parked {
    uint64_t ticket = 0;
    uint64_t version = 0;
    uint64_t until_ns = 0;
};

struct Member {
    catalog::MemberRow row;
    uint64_t seen_ns = 0;  // Monotonic.
    uint64_t version = 0;  // Of its leases.
    std::optional<Parked> parked;
};

struct Lease {
    catalog::LeaseRow row;
    ShardId parent;
    ShardId adjacent_parent;
    bool open = true;
    bool release = false;
    uint64_t release_by_ns = 0;
};

/// A parked answer whose member is gone, and why.
struct Orphan {
    uint64_t ticket = 0;
    Error error;
};

class Group {
  public:
    explicit Group(catalog::GroupRow row) : row_(std::move(row)) {}

    /// As the catalogue has them, before the first put_shards().
    void restore(const std::vector<catalog::LeaseRow>& leases,
                 const std::vector<catalog::MemberRow>& members, Fence& fence, Now now);
    /// The stream's shards, all of them, planned ones (first_sequence 0) too. Those that are gone are forgotten.
    void put_shards(const std::vector<catalog::ShardRow>& shards, Fence& fence);

    /// A session under this name; an earlier one is void, and its leases are this one's, with new tokens.
    /// Errors: kLimitExceeded.
    Result<uint64_t> join(const std::string& name, Fence& fence, Now now);
    /// Errors: kUnknownMember, kMemberReplaced.
    Result<Member*> find(const std::string& name, uint64_t session);
    /// Each mark for itself; what is not taken is added to `refusals`: kLeaseLost, kUnknownShard,
    /// kCheckpointBehind, kBusy (the end of a shard that is still open here: say it again). What a refused
    /// mark says of giving back is not done either.
    void take_marks(const Member& member, std::span<const Mark> marks, Fence& fence, Now now,
                    std::vector<Refusal>& refusals);
    void leave(const std::string& name, Error why);
    /// Drops members that have been silent for too long; returns how many.
    size_t expire(Now now);
    /// Takes back what was asked back for too long, shares out what is free, asks back what is too much.
    void settle(Fence& fence, Now now);
    /// Nobody is late: the way here was closed.
    void excuse_all(Now now);

    /// Sets checkpoints anew and takes every lease from its owner. Shards not named keep theirs.
    void reset(std::span<const std::pair<ShardId, SequenceNumber>> positions, Fence& fence, Now now);

    std::vector<Held> leases_of(const std::string& member) const;
    /// When expire() or settle() has something to do; UINT64_MAX: never.
    uint64_t next_deadline_ns() const;
    bool may_be_leased(const Lease& lease) const;

    const catalog::GroupRow& row() const { return row_; }
    catalog::GroupRow& row() { return row_; }
    const std::map<std::string, Member>& members() const { return members_; }
    std::map<std::string, Member>& members() { return members_; }
    const std::map<ShardId, Lease>& leases() const { return leases_; }
    /// Adds what has changed since the last call.
    void take_changes(catalog::Change& change);
    std::vector<Orphan> take_orphans() { return std::exchange(orphans_, {}); }

  private:
    uint64_t heartbeat_ns() const { return row_.heartbeat_ms * 1'000'000; }
    void grant(Lease& lease, Member& member, Fence& fence);
    void free(Lease& lease, Fence& fence);
    void touch_version(const std::string& member, Fence& fence);
    void drop_member(std::map<std::string, Member>::iterator member, Error why);
    bool parent_done(ShardId parent) const;
    Error check(const Lease* lease, const Member& member, const Mark& mark) const;

    catalog::GroupRow row_;
    std::map<std::string, Member> members_;
    std::map<ShardId, Lease> leases_;
    bool unsettled_ = true;
    std::map<ShardId, bool> dirty_leases_;           // False: deleted.
    std::map<std::string, bool> dirty_members_;      // Likewise.
    std::vector<Orphan> orphans_;
};

}  // namespace eagre::consumers
