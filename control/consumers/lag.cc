#include "control/consumers/lag.h"

#include <algorithm>
#include <utility>

namespace eagre::consumers {

uint64_t LagBoard::request(GroupId group) {
    for (const auto& [waiting, number] : queue_) {
        if (waiting == group) return number;  // Not begun: its checkpoints are still to be read.
    }
    queue_.emplace_back(group, ++last_number_);
    return last_number_;
}

bool LagBoard::measured(GroupId group, uint64_t number) const {
    const auto found = kept_.find(group);
    return found != kept_.end() && found->second.number >= number;
}

const GroupLag* LagBoard::find(GroupId group) const {
    const auto found = kept_.find(group);
    return found == kept_.end() ? nullptr : &found->second.lag;
}

void LagBoard::begin(const Groups& groups, uint64_t wall_ns) {
    while (!active_ && !queue_.empty()) {
        const auto [id, number] = queue_.front();
        queue_.pop_front();
        const Group* group = groups.find(id);
        if (group == nullptr) continue;
        Job job;
        job.group = id;
        job.number = number;
        job.map = groups.settled_map(id);
        for (const auto& [shard, lease] : group->leases()) {
            if (lease.row.ended) continue;
            job.left.push_back({shard, lease.row.next});
            job.lag.shards[shard].next = lease.row.next;
        }
        active_ = std::move(job);
        if (active_->left.empty()) end(groups, wall_ns);
    }
}

std::optional<LagBoard::Question> LagBoard::next_question(const Groups& groups, uint64_t wall_ns) {
    begin(groups, wall_ns);
    if (!active_ || active_->left.empty()) return std::nullopt;
    const Question question = active_->left.front();
    active_->left.pop_front();
    active_->asked[question.shard] = question;
    return question;
}

void LagBoard::take(const Groups& groups, ShardId shard, Error error, uint64_t tail, uint64_t bytes, uint64_t wall_ns) {
    if (!active_) return;
    const auto found = active_->asked.find(shard);
    if (found == active_->asked.end()) return;
    Question question = found->second;
    active_->asked.erase(found);
    ShardLag& lag = active_->lag.shards[shard];
    switch (error.code) {
        case Errc::kOk:
            lag.known = true;
            lag.tail = SequenceNumber(tail);
            lag.records = tail - std::min(tail, question.from.value);
            lag.bytes = bytes;
            lag.arrival_ns = error.detail;
            break;
        case Errc::kSequenceTrimmed:
            // No checkpoint, or one that retention has overtaken: what is left is what is unread.
            question.from = SequenceNumber(error.detail);
            active_->left.push_front(question);
            break;
        case Errc::kBusy:
            if (++question.tries < kMeasureTriesMax) active_->left.push_back(question);
            break;
        default:
            break;  // Unavailable, or gone: not known.
    }
    if (active_->left.empty() && active_->asked.empty()) end(groups, wall_ns);
}

void LagBoard::end(const Groups& groups, uint64_t wall_ns) {
    GroupLag& lag = active_->lag;
    // The dataplane opens children before they are known here: they may hold records that nobody was asked for.
    lag.known = active_->map && active_->map == groups.settled_map(active_->group);
    lag.measured_ns = wall_ns;
    for (const auto& [shard, each] : lag.shards) {
        lag.known = lag.known && each.known;
        lag.records += each.records;
        lag.bytes += each.bytes;
        if (each.arrival_ns != 0 && (lag.arrival_ns == 0 || each.arrival_ns < lag.arrival_ns))
            lag.arrival_ns = each.arrival_ns;
    }
    kept_[active_->group] = {active_->number, std::move(lag)};
    active_.reset();
}

void LagBoard::abandon(const Groups& groups, uint64_t wall_ns) {
    if (active_) end(groups, wall_ns);
    for (const auto& [group, number] : std::exchange(queue_, {})) {
        kept_[group] = {number, GroupLag{}};
    }
}

void LagBoard::forget_all_but(const Groups& groups) {
    std::erase_if(kept_, [&](const auto& entry) { return groups.find(entry.first) == nullptr; });
}

}  // namespace eagre::consumers
