// How far consumer groups are behind: measured in the dataplane, for whoever asks and every few seconds for those who watch.
#include <algorithm>

#include "control/controller.h"

namespace eagre::control {
namespace {

using catalog::GroupId;

}  // namespace

void Controller::advance_lags() {
    const uint64_t now = transport_.monotonic_ns();
    if (lag_round_began_ns_ != 0 && lags_.idle()) {
        // A round that took long is followed by a longer pause: watching must not become the load.
        lag_round_at_ns_ = now + std::max(kLagRefreshNs, (now - lag_round_began_ns_) * kLagPauseFactor);
        lag_round_began_ns_ = 0;
    }
    if (lag_round_began_ns_ == 0 && now >= lag_round_at_ns_ && !groups_.groups().empty()) {
        lag_round_began_ns_ = now;
        for (const auto& [id, group] : groups_.groups()) lags_.request(id);
    }
    while (channel_.has_room_for_question()) {
        const auto question = lags_.next_question(groups_, transport_.wall_ns());
        if (!question) return;
        frame::FrameHeader header;
        header.kind = frame::FrameKind::kMeasure;
        header.shard = question->shard.value;
        header.sequence = question->from.value;
        const auto asked = channel_.ask(header);
        if (!asked) return channel_.drop(asked.error());
        lag_questions_[*asked] = question->shard;
    }
}

void Controller::take_measure_answer(const channel::Event& event) {
    const auto asked = lag_questions_.find(event.command_id);
    if (asked == lag_questions_.end()) return;
    lags_.take(groups_, asked->second, event.error, event.header.number, event.header.sequence, transport_.wall_ns());
    lag_questions_.erase(asked);
}

void Controller::want_lags(Pending& pending, StreamId stream) {
    for (const auto& [id, group] : groups_.groups()) {
        if (stream.value == 0 || group.row().stream == stream)
            pending.lags.emplace_back(id, lags_.request(id));
    }
}

bool Controller::lags_measured(const Pending& pending) const {
    return std::all_of(pending.lags.begin(), pending.lags.end(), [this](const auto& wanted) {
        return groups_.find(wanted.first) == nullptr || lags_.measured(wanted.first, wanted.second);
    });
}

bool Controller::advance_group_read(Pending& pending) {
    const admin::Request& request = pending.request;
    if (!ready() && !was_ready_ && !overdue(pending)) return false;
    take_new_map();
    const bool one = request.op == wire::AdminOp::DescribeGroup;
    if (pending.wait == Pending::Wait::kReady) {
        if (one) {
            const auto found = groups_.find(request.name, request.group);
            if (!found) return finish(pending, found.error());
            const GroupId id = (*found)->row().id;
            pending.lags.emplace_back(id, lags_.request(id));
        } else {
            const streams::Stream* stream = table_.find(request.name);
            if (!request.name.empty() && stream == nullptr)
                return finish(pending, error_of(Errc::kUnknownStream));
            want_lags(pending, stream == nullptr ? StreamId{} : stream->row.id);
        }
        pending.wait = Pending::Wait::kLags;
    }
    if (ready() && !lags_measured(pending) && !overdue(pending)) return false;
    admin::Answer answer;
    add_groups(pending, answer, one);
    if (one && answer.groups.empty()) return finish(pending, error_of(Errc::kUnknownGroup));
    if (!ready()) answer.message = "From the catalogue: the dataplane does not answer.";
    admin_.answer(pending.request.caller, answer);
    return true;
}

void Controller::add_groups(const Pending& pending, admin::Answer& answer, bool in_full) const {
    for (const auto& [id, number] : pending.lags) {
        const consumers::Group* group = groups_.find(id);
        if (group == nullptr) continue;
        // A figure from before the question is no answer to it.
        const consumers::GroupLag* lag = lags_.measured(id, number) ? lags_.find(id) : nullptr;
        answer.groups.push_back(describe_group(*group, lag, in_full));
    }
}

admin::GroupAnswer Controller::describe_group(const consumers::Group& group,
                                              const consumers::GroupLag* lag, bool in_full) const {
    admin::GroupAnswer told;
    const streams::Stream* stream = table_.find(group.row().stream);
    if (stream != nullptr) told.stream = stream->row.name;
    told.name = group.row().name;
    told.heartbeat_ms = static_cast<uint32_t>(group.row().heartbeat_ms);
    told.created_ns = group.row().created_ns;
    told.member_count = static_cast<uint32_t>(group.members().size());
    told.shard_count = static_cast<uint32_t>(group.leases().size());
    if (lag != nullptr) {
        told.known = lag->known;
        told.unread_records = lag->records;
        told.unread_bytes = lag->bytes;
        told.unread_since_ns = lag->arrival_ns;
    }
    const uint64_t now = transport_.monotonic_ns();
    for (const auto& [name, member] : group.members()) {
        admin::GroupMemberAnswer each;
        each.name = name;
        each.joined_ns = member.row.joined_ns;
        each.silent_ns = member.parked ? 0 : now - std::min(now, member.seen_ns);
        each.shard_count = static_cast<uint32_t>(group.leases_of(name).size());
        told.members.push_back(std::move(each));
    }
    if (!in_full) return told;
    for (const auto& [id, lease] : group.leases()) {
        admin::GroupShardAnswer each;
        each.shard = id;
        each.member = lease.row.member;
        each.token = lease.row.token;
        each.next = lease.row.next;
        each.checkpoint_ns = lease.row.checkpoint_ns;
        each.ended = lease.row.ended;
        each.waits = !lease.row.ended && !group.may_be_leased(lease);
        each.releasing = lease.release;
        const auto measured = lag == nullptr ? std::map<ShardId, consumers::ShardLag>::const_iterator{}
                                             : lag->shards.find(id);
        if (lag != nullptr && measured != lag->shards.end() && measured->second.known) {
            each.known = true;
            each.next = measured->second.next;
            each.tail = measured->second.tail;
            each.unread_records = measured->second.records;
            each.unread_bytes = measured->second.bytes;
            each.unread_since_ns = measured->second.arrival_ns;
        } else if (lease.row.ended) {
            each.known = true;
        }
        told.shards.push_back(std::move(each));
    }
    return told;
}

std::vector<Controller::GroupFigures> Controller::group_figures() const {
    std::vector<GroupFigures> figures;
    for (const auto& [id, group] : groups_.groups()) {
        const streams::Stream* stream = table_.find(group.row().stream);
        const consumers::GroupLag* lag = lags_.find(id);
        if (stream == nullptr) continue;
        figures.push_back({stream->row.name, group.row().name, group.members().size(),
                           lag == nullptr ? consumers::GroupLag{} : *lag});
    }
    return figures;
}

}  // namespace eagre::control
