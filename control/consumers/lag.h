#pragma once
// How far groups are behind: what to ask the dataplane, and what came of it. One group is measured at a time, shard by shard,
// against its checkpoints; a figure is known only if its shard has said it. Pure logic.

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>

#include "control/consumers/groups.h"
#include "wire/base/result.h"
#include "wire/base/types.h"

namespace eagre::consumers {

/// Of one shard, from its checkpoint to the durable tail.
struct ShardLag {
    bool known = false;
    SequenceNumber next;         // The checkpoint that it was measured from.
    SequenceNumber tail;
    uint64_t records = 0;
    uint64_t bytes = 0;          // Exact near the tail, else a bound from above.
    uint64_t arrival_ns = 0;     // Of the first unread record; 0: nothing is unread.
};

struct GroupLag {
    bool known = false;          // All shards are, and no reshard was on meanwhile.
    uint64_t records = 0;
    uint64_t bytes = 0;
    uint64_t arrival_ns = 0;     // The oldest.
    uint64_t measured_ns = 0;    // Wall clock; 0: not yet.
    std::map<ShardId, ShardLag> shards;  // Those that have not been read to their end.
};

/// A dataplane that is too busy to say so often is not asked again in this round.
inline constexpr uint32_t kMeasureTriesMax = 20;

class LagBoard {
  public:
    struct Question {
        ShardId shard;
        SequenceNumber from;
        uint32_t tries = 0;
    };
    /// Has the group measured; true for measured(group, the number returned) once that is done, from checkpoints of now or later.
    uint64_t request(GroupId group);
    bool measured(GroupId group, uint64_t number) const;
    /// As last measured; null: never.
    const GroupLag* find(GroupId group) const;

    /// What to ask next; nothing: wait for answers, or there is nothing to do.
    std::optional<Question> next_question(const Groups& groups, uint64_t wall_ns);
    /// The answer to the question of that shard: kMeasureReply's fields, or why there is none.
    void take(const Groups& groups, ShardId shard, Error error, uint64_t tail, uint64_t bytes, uint64_t wall_ns);
    /// The dataplane is gone: what is under way stays unknown.
    void abandon(const Groups& groups, uint64_t wall_ns);
    bool idle() const { return !active_ && queue_.empty(); }
    void forget_all_but(const Groups& groups);

  private:
    struct Job {
        GroupId group;
        uint64_t number = 0;
        std::optional<uint64_t> map;  // That the shards asked for are of; nothing: a reshard is on.
        std::deque<Question> left;
        std::map<ShardId, Question> asked;
        GroupLag lag;
    };
    struct Kept {
        uint64_t number = 0;
        GroupLag lag;
    };
    void begin(const Groups& groups, uint64_t wall_ns);
    void end(const Groups& groups, uint64_t wall_ns);

    std::deque<std::pair<GroupId, uint64_t>> queue_;
    std::optional<Job> active_;
    std::map<GroupId, Kept> kept_;
    uint64_t last_number_ = 0;
};

}  // namespace eagre::consumers
