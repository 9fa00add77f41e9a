// Consumer groups: what their members ask comes by the channel, what administrators ask by their socket; what has changed is
// durable before anybody is told.
#include <algorithm>
#include <utility>

#include <fmt/core.h>

#include "control/consumers/group_codec.h"
#include "control/controller.h"
#include "control/log/log.h"
#include "control/streams/streams.h"

namespace eagre::control {
namespace {

using consumers::Ask;
using consumers::Positions;
using wire::AdminOp;

}  // namespace

consumers::Now Controller::clock() const {
    return {transport_.monotonic_ns(), transport_.wall_ns()};
}

// -------------------------------------------------------------------------------------------------
// members

void Controller::take_group_request(const channel::Event& event) {
    auto ask = consumers::decode_ask(event.payload);
    if (!ask) return answer_member(event.ticket, ask.error());
    ask->ticket = event.ticket;
    if (!ready()) return answer_member(event.ticket, error_of(Errc::kUnavailable));
    take_new_map();
    if (!groups_.needs_positions(*ask)) return groups_.take(*ask, clock());
    // The first members of a new group wait together for where it begins.
    for (Seek& seek : seeks_) {
        if (seek.pending || seek.stream_name != ask->stream || seek.group != ask->group) continue;
        if (seek.joins.size() >= consumers::kMembersPerGroupMax)
            return answer_member(event.ticket, error_of(Errc::kBusy));
        seek.joins.push_back(std::move(*ask));
        return;
    }
    Seek seek;
    seek.stream_name = ask->stream;
    seek.group = ask->group;
    seek.position = ask->start_position;
    seek.value = ask->start_value;
    seek.joins.push_back(*ask);
    const Status begun = begin_seek(std::move(seek));
    if (!begun) answer_member(event.ticket, begun.error());
}

Refusals Controller::refusals() const {
    Refusals all = refusals_;
    all.add(admin_.refusals());
    return all;
}

void Controller::answer_member(uint64_t ticket, Error error) {
    if (error.code != Errc::kOk) {
        refusals_.count("Member", error.code);
        log::debug("groups", "request refused reason={} detail={}", errc_name(error.code), error.detail);
    }
    // A dataplane that does not read its answers gives the asker up by itself.
    [[maybe_unused]] const Status answered = channel_.answer(ticket, error, {});
}

void Controller::take_new_map() {
    if (groups_map_ == table_.change_count()) return;
    groups_map_ = table_.change_count();
    groups_.put_streams();
    lags_.forget_all_but(groups_);
}

void Controller::advance_groups(consumers::Now now) {
    take_new_map();
    groups_.advance(now);
    [[maybe_unused]] const Status stored = store_groups();
}

Status Controller::store_groups() {
    const catalog::Change change = groups_.take_change();
    Status stored;
    if (!change.empty()) {
        const auto applied = catalog_.apply(change);
        if (!applied) {
            stored = applied.error();
        } else if (!*applied) {
            stored = Errc::kBusy;  // A stream went, and its groups with it, while this was made.
        }
    }
    std::vector<consumers::Answer> answers = groups_.take_answers();
    if (!stored) {
        log::error("groups", "change not written reason={} errno={}", errc_name(stored.error().code), stored.error().os_errno);
        // What is durable counts; who asked, asks again.
        const Status loaded = groups_.load(catalog_, clock());
        if (!loaded) channel_.drop(loaded.error());
        for (const consumers::Answer& answer : answers) answer_member(answer.ticket, stored.error());
        return stored;
    }
    for (const consumers::Answer& answer : answers) {
        if (answer.error.code != Errc::kOk) {
            answer_member(answer.ticket, answer.error);
            continue;
        }
        for (const consumers::Refusal& refusal : answer.refusals) refusals_.count("Checkpoint", refusal.error.code);
        [[maybe_unused]] const Status answered =
            channel_.answer(answer.ticket, {}, consumers::encode_answer(answer, {}));
    }
    return {};
}

// -------------------------------------------------------------------------------------------------
// where to begin

Status Controller::begin_seek(Seek seek) {
    const streams::Stream* stream = table_.find(seek.stream_name);
    if (stream == nullptr) return Errc::kUnknownStream;
    if (seeks_.size() >= kSeekCountMax) return error_of(Errc::kBusy, kSeekCountMax);
    if (seek.position > static_cast<uint16_t>(frame::Position::kAtTimestamp))
        return Errc::kBadArgument;
    const bool horizon = seek.position == static_cast<uint16_t>(frame::Position::kTrimHorizon);
    const bool by_number =
        seek.position == static_cast<uint16_t>(frame::Position::kAtSequenceNumber) ||
        seek.position == static_cast<uint16_t>(frame::Position::kAfterSequenceNumber);
    for (const ShardId wanted : seek.only) {
        const bool there = std::any_of(stream->shards.begin(), stream->shards.end(),
                                       [wanted](const auto& shard) { return shard.id == wanted; });
        if (!there) return error_of(Errc::kUnknownShard, wanted.value);
    }
    for (const catalog::ShardRow& shard : stream->shards) {
        if (shard.first_sequence.value == 0) continue;  // Planned: it has no place to begin at yet.
        if (!seek.only.empty() &&
            std::find(seek.only.begin(), seek.only.end(), shard.id) == seek.only.end())
            continue;
        if (horizon) {
            seek.found.emplace_back(shard.id, SequenceNumber{});
        } else {
            seek.left.push_back(shard.id);
        }
    }
    // A sequence number means something in one shard only.
    if (by_number && seek.left.size() != 1) return error_of(Errc::kBadArgument, seek.left.size());
    seek.number = ++last_seek_;
    seeks_.push_back(std::move(seek));
    return {};
}

bool Controller::take_seek_answer(const channel::Event& event) {
    for (Seek& seek : seeks_) {
        const auto asked = seek.asked.find(event.command_id);
        if (asked == seek.asked.end()) continue;
        const ShardId shard = asked->second;
        seek.asked.erase(asked);
        if (event.error.code == Errc::kOk) {
            seek.found.emplace_back(shard, SequenceNumber(event.header.sequence));
        } else if (event.error.code == Errc::kBusy && ++seek.busy_count < kSeekBusyMax) {
            seek.left.push_back(shard);
        } else if (event.error.code != Errc::kUnknownShard && seek.error.code == Errc::kOk) {
            seek.error = event.error;  // A shard that has just gone is no longer missed.
        }
        return true;
    }
    return false;
}

void Controller::advance_seeks() {
    for (auto it = seeks_.begin(); it != seeks_.end();) {
        Seek& seek = *it;
        while (!seek.left.empty() && channel_.has_room_for_question()) {
            frame::FrameHeader question;
            question.kind = frame::FrameKind::kLocate;
            question.flags = seek.position;
            question.shard = seek.left.front().value;
            question.sequence = seek.value;
            const auto asked = channel_.ask(question);
            if (!asked) return channel_.drop(asked.error());
            seek.asked[*asked] = seek.left.front();
            seek.left.pop_front();
        }
        if (!seek.left.empty() || !seek.asked.empty()) {
            ++it;
            continue;
        }
        finish_seek(seek);
        it = seeks_.erase(it);
    }
}

void Controller::finish_seek(Seek& seek) {
    if (seek.pending) {
        for (Pending& pending : pendings_) {
            if (pending.seek_number != seek.number) continue;
            pending.seek_done = true;
            pending.positions = std::move(seek.found);
            pending.last_error = seek.error;
        }
        return;
    }
    Error error = seek.error;
    if (error.code == Errc::kOk) {
        const Ask& first = seek.joins.front();
        const Status made =
            groups_.create(first.stream, first.group, first.heartbeat_ms, seek.found, clock());
        // Somebody else was quicker: then it is there.
        if (!made && made.error().code != Errc::kGroupExists) error = made.error();
    }
    for (const Ask& join : seek.joins) {
        if (error.code != Errc::kOk) {
            answer_member(join.ticket, error);
        } else {
            groups_.take(join, clock());
        }
    }
}

void Controller::drop_group_business() {
    // The dataplane has told whoever asked that we are gone.
    for (Seek& seek : seeks_) {
        seek.error = error_of(Errc::kUnavailable);
        if (seek.pending) finish_seek(seek);
    }
    seeks_.clear();
    lag_questions_.clear();
    lags_.abandon(groups_, transport_.wall_ns());
    groups_.excuse_all(clock());
}

// -------------------------------------------------------------------------------------------------
// administrators

bool Controller::advance_group(Pending& pending) {
    const admin::Request& request = pending.request;
    if (!ready()) return overdue(pending) && finish(pending, error_of(Errc::kUnavailable));
    take_new_map();
    if (request.op == AdminOp::DeleteGroup) {
        const Status removed = groups_.remove(request.name, request.group, request.force);
        if (!removed) return finish(pending, removed.error());
        return finish_group(pending, store_groups());
    }
    if (pending.seek_number == 0) {
        // What is wrong anyhow is said before the dataplane is troubled.
        const auto known = groups_.find(request.name, request.group);
        if (request.op == AdminOp::CreateGroup && known)
            return finish(pending, error_of(Errc::kGroupExists));
        if (!known && (request.op == AdminOp::ResetGroup || known.error().code != Errc::kUnknownGroup))
            return finish(pending, known.error());
        if (request.op == AdminOp::ResetGroup && !request.force && !(*known)->members().empty())
            return finish(pending, error_of(Errc::kGroupBusy, (*known)->members().size()));
        Seek seek;
        seek.pending = true;
        seek.stream_name = request.name;
        seek.position = request.position;
        seek.value = request.position_value;
        seek.only = request.shards;
        const Status begun = begin_seek(std::move(seek));
        if (!begun) return finish(pending, begun.error());
        pending.seek_number = last_seek_;
        advance_seeks();
    }
    if (!pending.seek_done) return overdue(pending) && finish(pending, error_of(Errc::kTimeout));
    if (pending.last_error.code != Errc::kOk) return finish(pending, pending.last_error);
    const Status changed =
        request.op == AdminOp::CreateGroup
            ? groups_.create(request.name, request.group, request.heartbeat_ms, pending.positions,
                             clock())
            : groups_.reset(request.name, request.group, pending.positions, request.force, clock());
    if (!changed) return finish(pending, changed.error());
    return finish_group(pending, store_groups());
}

std::string Controller::explain_group(const admin::Request& request, Error error) {
    const std::string what = fmt::format("{} '{}' of stream '{}': ", wire::EnumNameAdminOp(request.op),
                                         request.group, request.name);
    switch (error.code) {
        case Errc::kSequenceTrimmed:
            return what + fmt::format("that is past the trim horizon; the oldest record there has sequence number {}. "
                                      "Say trim_horizon to begin with it.",
                                      error.detail);
        case Errc::kSequenceInFuture:
            return what + fmt::format("that lies beyond the tail; the next record gets sequence number {}. "
                                      "Say latest to begin with it.",
                                      error.detail);
        case Errc::kGroupBusy:
            return what + fmt::format("{} member{} active. Stop them first, or say --force: they lose their leases.",
                                      error.detail, error.detail == 1 ? " is" : "s are");
        case Errc::kUnknownShard:
            return what + fmt::format("the stream has no shard {}; see 'eagre stream describe'.", error.detail);
        case Errc::kBadArgument:
            if (!streams::valid_name(request.group))
                return what + fmt::format("a group's name has 1 to {} characters of a-z, A-Z, 0-9, '_', '.', '-'.",
                                          kGroupNameBytesMax);
            if (request.position == static_cast<uint16_t>(frame::Position::kAtSequenceNumber))
                return what + fmt::format("a sequence number means something in one shard, and here are {}: say which "
                                          "with --shard.",
                                          error.detail);
            return what + fmt::format("a heartbeat limit lies between {} and {} ms.", kGroupHeartbeatMsMin,
                                      kGroupHeartbeatMsMax);
        case Errc::kLimitExceeded:
            return what + fmt::format("that would be more than the limit of {}; delete groups that nobody needs.",
                                      error.detail);
        default:
            return what + std::string(errc_advice(error.code)) + ".";
    }
}

bool Controller::finish_group(const Pending& pending, Status stored) {
    if (!stored) return finish(pending, stored.error());
    log::info("groups", "{} stream={} group={}", wire::EnumNameAdminOp(pending.request.op),
              pending.request.name, pending.request.group);
    admin::Answer answer;
    admin_.answer(pending.request.caller, answer);
    return true;
}

}  // namespace eagre::control
