#include "control/consumers/groups.h"

#include <algorithm>

#include "control/streams/streams.h"
#include "wire/base/assert.h"

namespace eagre::consumers {
namespace {

using catalog::StreamState;
using wire::GroupOp;

/// Null: not there for readers.
const streams::Stream* readable(const streams::Stream* stream) {
    const bool there = stream != nullptr && stream->row.state != StreamState::kCreating &&
                       stream->row.state != StreamState::kDeleting;
    return there ? stream : nullptr;
}

}  // namespace

Status Groups::load(catalog::Catalog& catalog, Now now) {
    groups_.clear();
    by_name_.clear();
    created_.clear();
    deleted_.clear();
    answers_.clear();
    // Tokens of a later catalogue than this copy of it are below: the wall clock has counted more microseconds than
    // anybody has given out tokens.
    fence_.raise(now.wall_ns / 1000);
    const auto rows = catalog.groups();
    if (!rows) return rows.error();
    for (const catalog::GroupRow& row : *rows) {
        id_max_ = std::max(id_max_, row.id);
        const auto leases = catalog.leases(row.id);
        if (!leases) return leases.error();
        const auto members = catalog.members(row.id);
        if (!members) return members.error();
        Group& group = groups_.emplace(row.id, Group(row)).first->second;
        group.restore(*leases, *members, fence_, now);
        by_name_[{row.stream, row.name}] = row.id;
    }
    put_streams();
    return {};
}

void Groups::put_streams() {
    for (auto it = groups_.begin(); it != groups_.end();) {
        auto& [id, group] = *it++;
        const streams::Stream* stream = readable(table_.find(group.row().stream));
        // Its rows go with the stream's.
        if (stream == nullptr) {
            forget(id, error_of(Errc::kUnknownStream));
        } else {
            group.put_shards(stream->shards, fence_);
        }
    }
}

void Groups::forget(GroupId id, Error why) {
    const auto found = groups_.find(id);
    EAGRE_ASSERT(found != groups_.end());
    while (!found->second.members().empty())
        found->second.leave(found->second.members().begin()->first, why);
    for (const Orphan& orphan : found->second.take_orphans())
        answers_.push_back({orphan.ticket, orphan.error, 0, 0, 0, {}, {}});
    by_name_.erase({found->second.row().stream, found->second.row().name});
    std::erase(created_, id);
    groups_.erase(found);
}

void Groups::excuse_all(Now now) {
    for (auto& [id, group] : groups_) group.excuse_all(now);
    answers_.clear();
}

size_t Groups::member_count() const {
    size_t count = 0;
    for (const auto& [id, group] : groups_) count += group.members().size();
    return count;
}

size_t Groups::lease_count() const {
    size_t count = 0;
    for (const auto& [id, group] : groups_) count += group.leases().size();
    return count;
}

Group* Groups::lookup(StreamId stream, const std::string& name) {
    const auto found = by_name_.find({stream, name});
    return found == by_name_.end() ? nullptr : &groups_.at(found->second);
}

Result<const Group*> Groups::find(const std::string& stream, const std::string& name) const {
    const streams::Stream* known = readable(table_.find(stream));
    if (known == nullptr) return Errc::kUnknownStream;
    const auto found = by_name_.find({known->row.id, name});
    if (found == by_name_.end()) return Errc::kUnknownGroup;
    return &groups_.at(found->second);
}

const Group* Groups::find(GroupId id) const {
    const auto found = groups_.find(id);
    return found == groups_.end() ? nullptr : &found->second;
}

std::optional<uint64_t> Groups::settled_map(GroupId id) const {
    const Group* group = find(id);
    if (group == nullptr) return std::nullopt;
    const streams::Stream* stream = table_.find(group->row().stream);
    if (stream == nullptr || stream->row.state == catalog::StreamState::kResharding) return std::nullopt;
    return stream->row.map_version;
}

// -------------------------------------------------------------------------------------------------
// what members ask

void Groups::fail(const Ask& ask, Error error) {
    answers_.push_back({ask.ticket, error, 0, 0, 0, {}, {}});
}

void Groups::answer(uint64_t ticket, const Group& group, const Member& member,
                    std::vector<Refusal> refusals) {
    answers_.push_back({ticket, Error{}, member.row.session, member.version,
                        group.row().heartbeat_ms, group.leases_of(member.row.name),
                        std::move(refusals)});
}

bool Groups::needs_positions(const Ask& ask) const {
    // From the trim horizon on is what an absent checkpoint means anyhow.
    if (ask.op != GroupOp::Join || ask.start_position == 0) return false;
    const auto found = find(ask.stream, ask.group);
    return !found && found.error().code == Errc::kUnknownGroup;
}

void Groups::take(const Ask& ask, Now now) {
    const streams::Stream* stream = readable(table_.find(ask.stream));
    if (stream == nullptr) return fail(ask, error_of(Errc::kUnknownStream));
    if (ask.op == GroupOp::Join) return join(ask, *stream, now);
    Group* group = lookup(stream->row.id, ask.group);
    if (group == nullptr) return fail(ask, error_of(Errc::kUnknownGroup));
    serve(ask, *group, now);
}

void Groups::join(const Ask& ask, const streams::Stream& stream, Now now) {
    if (!streams::valid_name(ask.member)) return fail(ask, error_of(Errc::kBadArgument, kMemberNameBytesMax));
    if (member_count() >= kMemberCountMax)
        return fail(ask, error_of(Errc::kLimitExceeded, kMemberCountMax));
    if (lookup(stream.row.id, ask.group) == nullptr) {
        const Status made = create(ask.stream, ask.group, ask.heartbeat_ms, {}, now);
        if (!made) return fail(ask, made.error());
    }
    Group* group = lookup(stream.row.id, ask.group);
    const auto session = group->join(ask.member, fence_, now);
    if (!session) return fail(ask, session.error());
    group->settle(fence_, now);
    answer(ask.ticket, *group, group->members().at(ask.member));
}

void Groups::serve(const Ask& ask, Group& group, Now now) {
    const auto found = group.find(ask.member, ask.session);
    if (!found) return fail(ask, found.error());
    Member& member = **found;
    member.seen_ns = now.monotonic_ns;
    std::vector<Refusal> refusals;
    switch (ask.op) {
        case GroupOp::Heartbeat: {
            // One that is still held back is answered by this one.
            if (member.parked) answer(member.parked->ticket, group, member);
            const uint64_t wait_ms = std::min<uint64_t>(ask.wait_ms, group.row().heartbeat_ms / 3);
            member.parked =
                Parked{ask.ticket, ask.version, now.monotonic_ns + wait_ms * 1'000'000};
            return;  // advance() answers it, at once if there is something to say.
        }
        case GroupOp::Checkpoint:
            group.take_marks(member, ask.marks, fence_, now, refusals);
            // Whoever says that a parent is done with hears in the same answer which of its children he is to read: in between he
            // would seem to have read everything.
            group.settle(fence_, now);
            return answer(ask.ticket, group, member, std::move(refusals));
        case GroupOp::Leave:
            group.take_marks(member, ask.marks, fence_, now, refusals);
            answer(ask.ticket, group, member, std::move(refusals));
            answers_.back().leases.clear();
            return group.leave(ask.member, error_of(Errc::kUnknownMember));
        default:
            return fail(ask, error_of(Errc::kBadArgument, static_cast<uint64_t>(ask.op)));
    }
}

void Groups::answer_parked(Group& group, Now now) {
    for (auto& [name, member] : group.members()) {
        if (!member.parked) continue;
        if (member.parked->version == member.version && now.monotonic_ns < member.parked->until_ns)
            continue;
        answer(member.parked->ticket, group, member);
        member.parked.reset();
    }
    for (const Orphan& orphan : group.take_orphans())
        answers_.push_back({orphan.ticket, orphan.error, 0, 0, 0, {}, {}});
}

void Groups::advance(Now now) {
    for (auto& [id, group] : groups_) {
        group.expire(now);
        group.settle(fence_, now);
        answer_parked(group, now);
    }
}

uint64_t Groups::next_deadline_ns() const {
    uint64_t due = answers_.empty() ? UINT64_MAX : 0;
    for (const auto& [id, group] : groups_) due = std::min(due, group.next_deadline_ns());
    return due;
}

// -------------------------------------------------------------------------------------------------
// what administrators ask

Status Groups::create(const std::string& stream_name, const std::string& name,
                      uint32_t heartbeat_ms, const Positions& positions, Now now) {
    const streams::Stream* stream = readable(table_.find(stream_name));
    if (stream == nullptr) return Errc::kUnknownStream;
    if (!streams::valid_name(name)) return error_of(Errc::kBadArgument, kGroupNameBytesMax);
    if (heartbeat_ms == 0) heartbeat_ms = kGroupHeartbeatMsDefault;
    if (heartbeat_ms < kGroupHeartbeatMsMin) return error_of(Errc::kBadArgument, kGroupHeartbeatMsMin);
    if (heartbeat_ms > kGroupHeartbeatMsMax) return error_of(Errc::kBadArgument, kGroupHeartbeatMsMax);
    const Key key(stream->row.id, name);
    if (by_name_.count(key) != 0) return Errc::kGroupExists;
    const auto of_stream = std::count_if(by_name_.begin(), by_name_.end(), [&](const auto& entry) {
        return entry.first.first == stream->row.id;
    });
    if (of_stream >= std::ptrdiff_t{kGroupsPerStreamMax})
        return error_of(Errc::kLimitExceeded, kGroupsPerStreamMax);
    if (groups_.size() >= kGroupCountMax) return error_of(Errc::kLimitExceeded, kGroupCountMax);
    if (lease_count() + stream->shards.size() > kLeaseCountMax)
        return error_of(Errc::kLimitExceeded, kLeaseCountMax);
    id_max_ = GroupId(id_max_.value + 1);
    const GroupId id = id_max_;
    Group& group =
        groups_.emplace(id, Group(catalog::GroupRow{id, stream->row.id, name, heartbeat_ms, now.wall_ns, 0}))
            .first->second;
    by_name_[key] = id;
    group.put_shards(stream->shards, fence_);
    group.reset(positions, fence_, now);
    created_.push_back(id);
    return {};
}

Status Groups::reset(const std::string& stream, const std::string& name, const Positions& positions,
                     bool force, Now now) {
    const auto found = find(stream, name);
    if (!found) return found.error();
    if (!force && !(*found)->members().empty())
        return error_of(Errc::kGroupBusy, (*found)->members().size());
    groups_.at((*found)->row().id).reset(positions, fence_, now);
    return {};
}

Status Groups::remove(const std::string& stream, const std::string& name, bool force) {
    const auto found = find(stream, name);
    if (!found) return found.error();
    if (!force && !(*found)->members().empty())
        return error_of(Errc::kGroupBusy, (*found)->members().size());
    const GroupId id = (*found)->row().id;
    const bool stored = std::find(created_.begin(), created_.end(), id) == created_.end();
    forget(id, error_of(Errc::kUnknownGroup));
    if (stored) deleted_.push_back(id);
    return {};
}

// -------------------------------------------------------------------------------------------------
// what is written down

catalog::Change Groups::take_change() {
    catalog::Change change;
    change.delete_groups = std::exchange(deleted_, {});
    for (const GroupId id : std::exchange(created_, {})) change.put_groups.push_back(groups_.at(id).row());
    for (auto& [id, group] : groups_) group.take_changes(change);
    return change;
}

}  // namespace eagre::consumers
