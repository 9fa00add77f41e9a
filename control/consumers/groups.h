#pragma once
// All consumer groups of a box: what members ask, in; answers and the change to be written down before
// they are given, out. Pure logic over the table of streams: no sockets, no clock.
//
// A turn: put_streams() when the table has changed, take() for each request, advance(), then
// take_change(); when that is durable (or empty) take_answers(), else reload().

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "control/consumers/group.h"
#include "control/streams/stream_table.h"
#include "wire/base/limits.h"
#include "wire/schema/groups_generated.h"

namespace eagre::consumers {

inline constexpr uint32_t kGroupsPerStreamMax = 64;
inline constexpr uint32_t kGroupCountMax = 4096;
/// Shards of all groups together.
inline constexpr uint32_t kLeaseCountMax = 256 * 1024;
inline constexpr uint32_t kMemberCountMax = 8192;

/// A request of a member. `ticket` names it towards whoever brought it.
struct Ask {
    uint64_t ticket = 0;
    wire::GroupOp op = wire::GroupOp::None;
    std::string stream;
    std::string group;
    std::string member;
    uint64_t session = 0;
    uint64_t version = 0;
    uint32_t wait_ms = 0;
    uint32_t heartbeat_ms = 0;
    uint16_t start_position = 0;
    uint64_t start_value = 0;
    std::vector<Mark> marks;
};

struct Answer {
    uint64_t ticket = 0;
    Error error;
    uint64_t session = 0;
    uint64_t version = 0;
    uint64_t heartbeat_ms = 0;
    std::vector<Held> leases;
    std::vector<Refusal> refusals;
};

using Positions = std::vector<std::pair<ShardId, SequenceNumber>>;

class Groups {
  public:
    explicit Groups(const streams::StreamTable& table) : table_(table) {}

    /// Reads what the catalogue has; whatever was here is forgotten. Errors: as its reads.
    Status load(catalog::Catalog& catalog, Now now);
    /// After a change to streams or shards.
    void put_streams();
    /// The way from the members was closed until now: nobody is late, and nobody waits for an answer.
    void excuse_all(Now now);

    /// True: a Join of a group that is not there and begins where only the dataplane knows: find out, create(), and take() it
    /// again. Otherwise it has been taken: its answer is ready, or comes when there is something to say.
    bool needs_positions(const Ask& ask) const;
    void take(const Ask& ask, Now now);
    /// Time passes: the silent are dropped, shards shared out, parked heartbeats answered.
    void advance(Now now);

    /// Errors: kUnknownStream, kBadArgument (name or heartbeat; detail = limit), kGroupExists, kLimitExceeded.
    Status create(const std::string& stream, const std::string& name, uint32_t heartbeat_ms,
                  const Positions& positions, Now now);
    /// Errors of both: kUnknownStream, kUnknownGroup, kGroupBusy (members are active and not `force`; detail = how many).
    Status reset(const std::string& stream, const std::string& name, const Positions& positions,
                 bool force, Now now);
    Status remove(const std::string& stream, const std::string& name, bool force);

    /// Errors: kUnknownStream, kUnknownGroup.
    Result<const Group*> find(const std::string& stream, const std::string& name) const;
    const Group* find(GroupId id) const;
    const std::map<GroupId, Group>& groups() const { return groups_; }
    /// Version of the map that the group's shards are of; nothing: the group is gone, or its stream is being resharded, and may
    /// have children with records that are not known here yet.
    std::optional<uint64_t> settled_map(GroupId id) const;

    /// What has to be durable before the answers are given. Empty: nothing.
    catalog::Change take_change();
    std::vector<Answer> take_answers() { return std::exchange(answers_, {}); }
    uint64_t next_deadline_ns() const;

  private:
    using Key = std::pair<StreamId, std::string>;
    Group* lookup(StreamId stream, const std::string& name);
    void fail(const Ask& ask, Error error);
    void answer(uint64_t ticket, const Group& group, const Member& member,
                std::vector<Refusal> refusals = {});
    void join(const Ask& ask, const streams::Stream& stream, Now now);
    void serve(const Ask& ask, Group& group, Now now);
    void answer_parked(Group& group, Now now);
    void forget(GroupId id, Error why);
    size_t member_count() const;
    size_t lease_count() const;

    const streams::StreamTable& table_;
    std::map<GroupId, Group> groups_;
    std::map<Key, GroupId> by_name_;
    GroupId id_max_;
    Fence fence_;
    std::vector<GroupId> created_;
    std::vector<GroupId> deleted_;
    std::vector<Answer> answers_;
};

}  // namespace eagre::consumers
