// What administrators ask: every request becomes a Pending, looked at each turn until it is
// answered or its time is up.
#include <algorithm>

#include <fmt/core.h>

#include "control/controller.h"
#include "control/log/log.h"
#include "control/streams/reshard.h"
#include "control/streams/streams.h"
#include "wire/feeds/feed_check.h"

namespace eagre::control {
namespace {

using catalog::StreamState;
using wire::AdminOp;

bool is_read(AdminOp op) {
    return op == AdminOp::ListStreams || op == AdminOp::DescribeStream || op == AdminOp::ListKeys ||
           op == AdminOp::ListGroups || op == AdminOp::DescribeGroup || op == AdminOp::ListNotes;
}

bool is_reshard(AdminOp op) {
    return op == AdminOp::SplitShard || op == AdminOp::MergeShards || op == AdminOp::ScaleStream ||
           op == AdminOp::MoveShards;
}

streams::CreateRequest create_request(const admin::Request& request) {
    return {request.name, request.shard_count, request.limits.values, request.tags};
}

/// SetRetention is a SetStream of one field.
streams::LimitsChange limits_change(const admin::Request& request) {
    streams::LimitsChange change = request.limits;
    if (request.op == AdminOp::SetRetention)
        change.fields = static_cast<uint32_t>(wire::StreamField::RetentionMs);
    return change;
}

bool is_tag_change(AdminOp op) {
    return op == AdminOp::TagStream || op == AdminOp::UntagStream;
}

/// What is wrong with the values asked for, if that is what is wrong.
std::optional<streams::Complaint> find_fault(const admin::Request& request,
                                             const streams::Stream* stream) {
    switch (request.op) {
        case AdminOp::CreateStream:
            return streams::find_fault(create_request(request));
        case AdminOp::SetRetention:
        case AdminOp::SetStream:
            if (stream == nullptr) return std::nullopt;
            return streams::find_fault(
                limits_change(request).applied_to(streams::limits_of(stream->row)));
        case AdminOp::TagStream: {
            catalog::Tags tags = request.tags;
            if (stream != nullptr) tags.insert(stream->row.tags.begin(), stream->row.tags.end());
            return streams::find_fault(tags);
        }
        default:
            return std::nullopt;
    }
}

void tell_row(admin::StreamAnswer& answer, const catalog::StreamRow& row) {
    streams::StreamFact& told = answer.stream;
    told.id = row.id;
    told.name = row.name;
    told.created_ns = row.created_ns;
    told.retention_ms = row.retention_ms;
    told.retention_bytes = row.retention_bytes;
    told.record_bytes_max = row.record_bytes_max;
    told.quota_bytes_per_s = row.quota_bytes_per_s;
    told.quota_records_per_s = row.quota_records_per_s;
    told.scale_target = row.scale_target;
    told.state = row.state == StreamState::kResharding || row.scale_target != 0 ? wire::StreamState::Resharding :
                 row.state == StreamState::kChanging                           ? wire::StreamState::Changing :
                                                                                 wire::StreamState::Active;
}

/// What was asked, what became of it, what to do. `waiting`: the intention is durable.
/// `ready`: the dataplane answers. `stream`: the one that is named, if there is one.
std::string explain(const admin::Request& request, Error error, bool waiting, bool ready,
                    const streams::Stream* stream) {
    const std::string subject =
        request.name.empty() ? std::string() : fmt::format(" '{}'", request.name);
    std::string text = fmt::format("{}{}: {}", wire::EnumNameAdminOp(request.op), subject,
                                   errc_advice(error.code));
    if (error.code == Errc::kUnavailable && !ready) {
        text =
            fmt::format("{}{}: the dataplane (eagred) does not answer; start it, or see its log.",
                        wire::EnumNameAdminOp(request.op), subject);
    }
    if (request.op == AdminOp::CreateStream) {
        if (error.code == Errc::kLimitExceeded) {
            text = fmt::format(
                "CreateStream{}: that would be more than the limit of {}; delete what is not "
                "needed.",
                subject, error.detail);
        }
        if (error.code == Errc::kUnavailable || error.code == Errc::kTimeout) {
            text += text.ends_with('.') ? " Nothing was created." : ". Nothing was created.";
        }
    }
    if (error.code == Errc::kBusy && stream != nullptr && stream->row.state == StreamState::kResharding) {
        text = fmt::format(
            "{}{}: a split, merge, scale or move of this stream is under way; ask again when it is done ('eagre stream describe' shows its "
            "shards, and a directory that it may be waiting for). Nothing was changed.",
            wire::EnumNameAdminOp(request.op), subject);
    }
    if (is_reshard(request.op)) {
        const bool ill_placed = request.op == AdminOp::MoveShards && error.code == Errc::kBadArgument;
        // Of a move the detail is a journal, and of what was accepted, the dataplane's: no shard of which "nothing was changed".
        const bool by_itself = error.code == Errc::kUnavailable && (waiting || request.op == AdminOp::MoveShards);
        const std::string why =
            by_itself    ? std::string()
            : ill_placed ? fmt::format("shard {} lies in that journal already, or is named twice.", error.detail)
            :              streams::explain_reshard(stream, request.shards, error);
        if (!why.empty()) text = fmt::format("{}{}: {}", wire::EnumNameAdminOp(request.op), subject, why);
        if (request.op == AdminOp::ScaleStream && error.code == Errc::kBadArgument) text = fmt::format("ScaleStream{}: a stream has at least 1 shard.", subject);
    }
    if (request.op == AdminOp::CreateKey && error.code == Errc::kBadArgument) {
        text = fmt::format(
            "CreateKey: a key's name has 1 to {} characters of a-z, A-Z, 0-9, '_', '.', '-', and "
            "it ends in the future if it ends.",
            identity::kKeyNameBytesMax);
    }
    if (request.op == AdminOp::RevokeKey && waiting && error.code != Errc::kUnknownKey) {
        text = fmt::format(
            "RevokeKey{}: written down, but the dataplane has not confirmed it; it will be told as "
            "soon as it answers. Until then it may honour the key.",
            subject);
    }
    if (request.op == AdminOp::AddFeed && error.code == Errc::kBadArgument) text = fmt::format("AddFeed: {}.", feeds::check(request.feed));
    if ((request.op == AdminOp::RemoveFeed || request.op == AdminOp::PauseFeed || request.op == AdminOp::ResumeFeed) && waiting && error.code != Errc::kUnknownFeed) {
        text = fmt::format("{}{}: written down, but the dataplane has not confirmed it; it will be told as soon as it answers.",
                           wire::EnumNameAdminOp(request.op), subject);
    }
    if (const auto fault = find_fault(request, stream); fault && fault->error.code == error.code)
        text = fmt::format("{}{}: {}", wire::EnumNameAdminOp(request.op), subject, fault->text);
    if (error.code == Errc::kRecordTooLarge) {
        text = fmt::format(
            "{}{}: this box stores records of up to {} bytes; start eagred with a larger "
            "--window-bytes, or a data directory with larger segments.",
            wire::EnumNameAdminOp(request.op), subject, error.detail);
    }
    const bool kept = request.op == AdminOp::DeleteStream || request.op == AdminOp::SetRetention ||
                      request.op == AdminOp::SetStream || is_reshard(request.op);
    if (kept && waiting && (error.code == Errc::kTimeout || error.code == Errc::kUnavailable)) {
        text += text.ends_with('.') ? "" : ".";
        text += " It is written down, and will be done when all its journals are there.";
    }
    return text;
}

}  // namespace

void Controller::take_request(admin::Request request) {
    log::debug("admin", "request op={} name={}", wire::EnumNameAdminOp(request.op), request.name);
    Pending pending;
    pending.deadline_ns =
        transport_.monotonic_ns() +
        (is_read(request.op) ? options_.describe_wait_ns : options_.change_wait_ns);
    if (is_read(request.op) && !was_ready_) {
        pending.deadline_ns =
            std::max(pending.deadline_ns, started_ns_ + options_.first_contact_ns);
    }
    pending.request = std::move(request);
    if (pendings_.size() >= kPendingCountMax) {
        finish(pending, error_of(Errc::kBusy, kPendingCountMax));
        return;
    }
    pendings_.push_back(std::move(pending));
}

void Controller::shut_down() {
    for (const Pending& pending : pendings_) finish(pending, error_of(Errc::kShuttingDown));
    pendings_.clear();
}

bool Controller::overdue(const Pending& pending) const {
    return transport_.monotonic_ns() >= pending.deadline_ns;
}

bool Controller::advance(Pending& pending) {
    switch (pending.request.op) {
        case AdminOp::ListStreams:
        case AdminOp::DescribeStream:
            return advance_read(pending);
        case AdminOp::CreateStream:
        case AdminOp::DeleteStream:
        case AdminOp::SetRetention:
        case AdminOp::SetStream:
        case AdminOp::TagStream:
        case AdminOp::UntagStream:
        case AdminOp::AcceptClock:
        case AdminOp::SplitShard:
        case AdminOp::MergeShards:
        case AdminOp::ScaleStream:
        case AdminOp::MoveShards:
            break;
        case AdminOp::ListKeys:
            return finish_keys(pending);
        case AdminOp::PlanRebalance:
            if (ready()) return finish_plan(pending);
            return overdue(pending) && finish(pending, error_of(Errc::kUnavailable));
        case AdminOp::CreateKey:
        case AdminOp::RevokeKey:
        case AdminOp::RotateKey:
            return advance_key(pending);
        case AdminOp::AddFeed:
        case AdminOp::RemoveFeed:
        case AdminOp::PauseFeed:
        case AdminOp::ResumeFeed:
        case AdminOp::ListFeeds:
            return advance_feed(pending);
        case AdminOp::CreateGroup:
        case AdminOp::DeleteGroup:
        case AdminOp::ResetGroup:
            return advance_group(pending);
        case AdminOp::ListGroups:
        case AdminOp::DescribeGroup:
            return advance_group_read(pending);
        case AdminOp::ListNotes:
        case AdminOp::PutNote:
        case AdminOp::DeleteNote:
            return advance_note(pending);
        default:
            return finish(pending, error_of(Errc::kBadArgument));
    }
    switch (pending.wait) {
        case Pending::Wait::kReady:
            if (pending.request.op == AdminOp::CreateStream) {
                const auto fault = streams::find_fault(create_request(pending.request));
                if (fault) return finish(pending, fault->error);
            }
            if (ready()) return start_change(pending);
            return overdue(pending) && finish(pending, error_of(Errc::kUnavailable));
        case Pending::Wait::kOutcome:
            return advance_outcome(pending);
        case Pending::Wait::kFacts:
            return advance_read(pending);
        case Pending::Wait::kCommand:
            if (pending.command_id == 0) return finish(pending, pending.last_error);
            return overdue(pending) && finish(pending, error_of(Errc::kTimeout));
        case Pending::Wait::kKeys:
        case Pending::Wait::kLags:
        case Pending::Wait::kFeeds:
            break;  // advance_key's, advance_group_read's, advance_feed's.
    }
    return finish(pending, error_of(Errc::kBadArgument));
}

// -------------------------------------------------------------------------------------------------------------
// reading

bool Controller::advance_read(Pending& pending) {
    if (pending.wait == Pending::Wait::kReady) {
        // Only before the first reconciliation is the catalogue alone worth less than a wait.
        if (!ready() && !was_ready_ && !overdue(pending)) return false;
        if (pending.request.op == AdminOp::ListStreams) return finish_list(pending);
        const streams::Stream* stream = table_.find(pending.request.name);
        if (stream == nullptr || stream->row.state == StreamState::kDeleting ||
            stream->row.state == StreamState::kCreating) {
            return finish(pending, error_of(Errc::kUnknownStream));
        }
        wait_for_facts(pending, stream->row.id);
    }
    const streams::Stream* stream = table_.find(pending.stream);
    if (stream == nullptr) return finish(pending, error_of(Errc::kUnknownStream));
    if (facts_number_ >= pending.facts_number || !ready() || overdue(pending))
        return finish_with(pending, *stream);
    request_facts();
    return false;
}

void Controller::wait_for_facts(Pending& pending, StreamId stream) {
    pending.wait = Pending::Wait::kFacts;
    pending.stream = stream;
    // A listing that is under way may have been made before what has just been done.
    pending.facts_number = facts_number_ + (facts_command_ != 0 ? 2 : 1);
}

void Controller::request_facts() {
    if (facts_command_ != 0 || !channel_.has_room()) return;
    const auto sent =
        channel_.send({wire::CommandOp::ListFacts, table_.meta().epoch, nullptr, nullptr});
    if (sent) facts_command_ = *sent;
}

admin::StreamAnswer Controller::describe(const streams::Stream& stream) const {
    const streams::StreamFact* fact = nullptr;
    for (const streams::StreamFact& candidate : facts_.streams) {
        if (candidate.id == stream.row.id) fact = &candidate;
    }
    std::map<ShardId, const streams::ShardFact*> live;
    if (fact != nullptr) {
        for (const streams::ShardFact& shard : fact->shards) live[shard.id] = &shard;
    }
    admin::StreamAnswer answer;
    answer.shard_count = streams::shard_count(stream);
    streams::StreamFact& told = answer.stream;
    told.map_version = std::max(stream.row.map_version, fact == nullptr ? 0 : fact->map_version);
    tell_row(answer, stream.row);
    told.tags = stream.row.tags;
    told.stored_bytes = fact == nullptr ? 0 : fact->stored_bytes;
    for (const catalog::ShardRow& row : stream.shards) {
        const auto found = live.find(row.id);
        if (found != live.end()) {
            told.shards.push_back(*found->second);
            continue;
        }
        if (streams::is_planned(row)) continue;
        streams::ShardFact shard;
        shard.id = row.id;
        shard.range = row.range;
        shard.parent = row.parent;
        shard.adjacent_parent = row.adjacent_parent;
        shard.journal = row.journal;
        shard.first_sequence = row.first_sequence;
        shard.ordinal = row.ordinal;
        shard.open = row.open;
        shard.available = false;
        told.shards.push_back(shard);
    }
    return answer;
}

bool Controller::finish_plan(const Pending& pending) {
    admin::Answer answer;
    answer.journals = facts_.journals;
    answer.directories = facts_.directories;
    answer.moves = streams::plan_rebalance(table_, facts_);
    admin_.answer(pending.request.caller, answer);
    return true;
}

bool Controller::finish_list(const Pending& pending) {
    admin::Answer answer;
    for (const auto& [id, stream] : table_.streams()) {
        if (stream.row.state == StreamState::kCreating ||
            stream.row.state == StreamState::kDeleting)
            continue;
        admin::StreamAnswer told;
        told.stream.map_version = stream.row.map_version;
        tell_row(told, stream.row);
        told.shard_count = streams::shard_count(stream);
        answer.streams.push_back(std::move(told));
    }
    if (!ready()) answer.message = "From the catalogue: the dataplane does not answer.";
    admin_.answer(pending.request.caller, answer);
    return true;
}

bool Controller::finish_with(const Pending& pending, const streams::Stream& stream) {
    admin::Answer answer;
    answer.streams.push_back(describe(stream));
    answer.journals = facts_.journals;
    answer.directories = facts_.directories;
    if (!ready()) answer.message = "From the catalogue: the dataplane does not answer.";
    admin_.answer(pending.request.caller, answer);
    return true;
}

bool Controller::finish(const Pending& pending, Error error) {
    admin::Answer answer;
    answer.error = error;
    if (error.code != Errc::kOk) {
        refusals_.count(wire::EnumNameAdminOp(pending.request.op), error.code);
        answer.message =
            !pending.request.group.empty() && ready() ? explain_group(pending.request, error) :
            explain(pending.request, error,
                    pending.wait == Pending::Wait::kOutcome || pending.wait == Pending::Wait::kKeys || pending.wait == Pending::Wait::kFeeds,
                    ready(), table_.find(pending.request.name));
        log::info("admin", "request refused op={} name={} reason={} detail={}",
                  wire::EnumNameAdminOp(pending.request.op), pending.request.name,
                  errc_name(error.code), error.detail);
    }
    admin_.answer(pending.request.caller, answer);
    return true;
}

// ------------------------------------------------------------------------------------------------------------
// changing

bool Controller::start_change(Pending& pending) {
    const admin::Request& request = pending.request;
    if (request.op == AdminOp::AcceptClock) return start_accept_clock(pending);
    if (request.op == AdminOp::CreateStream) return start_create(pending);
    if (is_reshard(request.op)) return start_reshard(pending);
    const auto change = plan_change(request);
    if (!change) {
        // A split or merge is over in a moment, as a rule.
        if (change.error().code == Errc::kBusy && !overdue(pending)) return false;
        return finish(pending, change.error());
    }
    pending.stream = table_.find(request.name)->row.id;
    const auto applied = catalog_.apply(*change);
    if (!applied) return finish(pending, applied.error());
    if (!*applied) return finish(pending, error_of(Errc::kBusy));
    // The catalogue alone keeps tags: nobody else is to be told.
    if (is_tag_change(request.op)) return finish(pending, Error{});
    // The intention is new: an earlier failure at this stream says nothing about it.
    refused_.erase(pending.stream);
    pending.wait = Pending::Wait::kOutcome;
    return advance_outcome(pending);
}

Result<catalog::Change> Controller::plan_change(const admin::Request& request) const {
    switch (request.op) {
        case AdminOp::DeleteStream:
            return streams::plan_delete(table_, request.name);
        case AdminOp::TagStream:
            return streams::plan_tag(table_, request.name, request.tags);
        case AdminOp::UntagStream:
            return streams::plan_untag(table_, request.name, request.tags);
        default:
            return streams::plan_set(table_, request.name, limits_change(request));
    }
}

bool Controller::start_create(Pending& pending) {
    const streams::CreateRequest request = create_request(pending.request);
    const streams::Stream* same = table_.find(request.name);
    if (same != nullptr && same->row.state == StreamState::kDeleting) {
        // The name is free in a moment, as a rule.
        return overdue(pending) && finish(pending, error_of(Errc::kBusy));
    }
    if (same == nullptr || !streams::is_repeat_of(*same, request)) {
        auto change = streams::plan_create(table_, facts_, request, transport_.wall_ns());
        if (!change) return finish(pending, change.error());
        if (!pending.request.note_name.empty()) {
            const Status added = add_note(pending.request, change->put_streams.front().id, *change);
            if (!added) return finish(pending, added.error());
        }
        const auto applied = catalog_.apply(*change);
        if (!applied) return finish(pending, applied.error());
        if (!*applied) return finish(pending, error_of(Errc::kBusy));
        same = table_.find(request.name);
    }
    pending.stream = same->row.id;
    pending.wait = Pending::Wait::kOutcome;
    return false;
}

bool Controller::start_accept_clock(Pending& pending) {
    const auto sent =
        channel_.send({wire::CommandOp::AcceptClock, table_.meta().epoch, nullptr, nullptr});
    if (!sent) return finish(pending, sent.error());
    pending.command_id = *sent;
    pending.wait = Pending::Wait::kCommand;
    return false;
}

bool Controller::advance_outcome(Pending& pending) {
    const streams::Stream* stream = table_.find(pending.stream);
    if (pending.request.op == AdminOp::CreateStream) return advance_create(pending, stream);
    if (is_reshard(pending.request.op)) return advance_reshard(pending, stream);
    if (pending.request.op == AdminOp::DeleteStream) {
        if (stream == nullptr) return finish(pending, Error{});
        if (ready() && !journals_complete(*stream))
            return finish(pending, error_of(Errc::kUnavailable));
    } else {
        if (stream == nullptr || stream->row.state == StreamState::kDeleting)
            return finish(pending, error_of(Errc::kUnknownStream));
        if (ready() && stream->row.state == StreamState::kChanging && !journals_complete(*stream))
            return finish(pending, error_of(Errc::kUnavailable));
        const auto refused = refused_.find(pending.stream);
        if (refused != refused_.end()) return finish(pending, refused->second);
        if (stream->row.state == StreamState::kActive) return finish(pending, Error{});
    }
    return overdue(pending) && finish(pending, error_of(Errc::kTimeout));
}

bool Controller::advance_create(Pending& pending, const streams::Stream* stream) {
    if (stream == nullptr || stream->row.state == StreamState::kDeleting) {
        const auto refused = refused_.find(pending.stream);
        return finish(pending,
                      refused == refused_.end() ? error_of(Errc::kUnavailable) : refused->second);
    }
    if (stream->row.state != StreamState::kCreating) {
        wait_for_facts(pending, stream->row.id);
        // What was created is told in full, if the dataplane is quick about it.
        pending.deadline_ns =
            std::max(pending.deadline_ns, transport_.monotonic_ns() + options_.describe_wait_ns);
        return advance_read(pending);
    }
    if (!overdue(pending)) return false;
    // Answered with an error, so it must not come to be later.
    const auto drive = drives_.find(pending.stream);
    Error why = drive == drives_.end() || drive->second.last_error.code == Errc::kOk
                    ? error_of(Errc::kUnavailable)
                    : drive->second.last_error;
    refused_[pending.stream] = why;
    if (!apply(streams::plan_undo(*stream))) why = error_of(Errc::kOutcomeUnknown);
    return finish(pending, why);
}

}  // namespace eagre::control
