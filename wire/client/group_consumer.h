#pragma once
// Reads a stream as a member of a consumer group: eagre-control shares the shards out among the members and keeps how far the
// group has got. Made by Client::join_group(); everything happens in Client::poll(), which must be called at least every few
// hundred ms: a member that is silent for the group's heartbeat limit is taken for dead.
//
// A record is handed out at least once, and only to one member at a time while members live and call poll(). When a shard
// moves on in good order, the next member begins right behind the last checkpoint of this one, which is behind the last record
// handed out here if checkpoints are automatic. What was handed out and not checkpointed before a death is read again.
// While control is down, reading goes on, checkpoints wait, and nothing moves.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "wire/base/result.h"
#include "wire/base/types.h"
#include "wire/client/client.h"

namespace eagre::client {

/// For checkpoint(): the shard was closed and all of it is done with; its children may be read.
inline constexpr SequenceNumber kShardEnd{UINT64_MAX};

struct GroupOptions {
    std::string member = {};                // [a-zA-Z0-9_.-]{1,128}; one process each. Empty: one is made up.
    StartAt start = {};                     // Where a new group begins. An old one goes on where it is.
    uint64_t heartbeat_ns = 0;              // Of a new group: silent for so long is dead. 0: kGroupHeartbeatMsDefault.
    /// True: what on_delivery has returned from is checkpointed every so often, when a shard moves, and by leave().
    bool auto_checkpoint = true;
    uint64_t checkpoint_interval_ns = 1'000'000'000ULL;
    uint32_t credit_bytes = 4 * 1024 * 1024;  // Per shard: what may be on its way.
};

struct GroupLease {
    ShardId shard;
    uint64_t token = 0;          // Grows with every new owner of the shard: pass it on to fence what you write elsewhere.
    SequenceNumber next;         // Next record wanted; 0: not known yet.
    SequenceNumber checkpoint;   // As control has it: everything before it is done with. 0: none.
    bool at_tail = false;
};

struct GroupStats {
    uint64_t record_count = 0;
    uint64_t checkpoint_count = 0;  // Taken by control, per shard.
    uint64_t granted_count = 0;     // Leases got,
    uint64_t released_count = 0;    // given back, the ends of shards included,
    uint64_t lost_count = 0;        // and lost.
    uint64_t rejoin_count = 0;
};

class GroupConsumer {
  public:
    /// Does not leave: without leave() the group waits for the heartbeat limit, as after a death.
    virtual ~GroupConsumer() = default;
    /// As Consumer's. Runs of one shard in order, without a gap, from its checkpoint on.
    virtual void on_delivery(std::function<void(const Delivery&)> callback) = 0;
    /// As Consumer's, and: kLeaseLost (the shard is another member's now; nothing more comes of it), kUnknownMember and
    /// kMemberReplaced with shard 0. With kShardClosed and without auto_checkpoint: checkpoint(shard, kShardEnd) when all is done.
    virtual void on_event(std::function<void(ShardId, Error)> callback) = 0;
    virtual void on_granted(std::function<void(const GroupLease&)> callback) = 0;
    /// The shard is about to be given to another member: nothing more comes of it, and the last checkpoint made in here counts.
    virtual void on_release(std::function<void(ShardId)> callback) = 0;

    /// Everything of the shard up to this record, itself included, is done with. Does not wait; told to control within poll().
    /// Errors: kLeaseLost (not ours), kBadArgument (not handed out yet; detail = next), kCheckpointBehind (detail = what there is).
    virtual Status checkpoint(ShardId shard, SequenceNumber done) = 0;
    /// Waits until control has taken all checkpoints made so far, at most `timeout_ns`. Errors: kTimeout, kUnavailable.
    virtual Status flush(uint64_t timeout_ns) = 0;
    /// Stops reading, checkpoints if that is automatic, and gives everything back: others go on at once. Waits. Nothing happens
    /// afterwards. Errors: kTimeout, kUnavailable (the group will notice by the heartbeat limit).
    virtual Status leave(uint64_t timeout_ns) = 0;

    /// As Consumer's. The member stays alive meanwhile, and keeps its shards.
    virtual void hold(bool held) = 0;
    virtual std::vector<GroupLease> leases() const = 0;
    /// True when every shard that this member has was read up to its tail, and it has any.
    virtual bool at_tail() const = 0;
    /// The same of all its shards but those that can't be read now: their directory is away, and on_event said so.
    virtual bool at_tail_but_for_unavailable() const = 0;
    virtual const std::string& member() const = 0;
    /// Not kOk: it is over, for kUnknownGroup (deleted), kUnknownStream (deleted), kMemberReplaced, kAccessDenied.
    virtual Error ended() const = 0;
    virtual const GroupStats& stats() const = 0;
};

}  // namespace eagre::client
