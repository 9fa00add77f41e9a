// Driving each stream from its intention to the fact: one command at a time for a stream, retried
// with back-off.
#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include "control/controller.h"
#include "control/log/log.h"
#include "control/streams/reshard.h"
#include "control/streams/streams.h"
#include "wire/base/crash_point.h"

namespace eagre::control {
namespace {

using catalog::StreamState;

CrashPoint crash_reshard_intended("reshard-intended", "the intention is in the catalogue, the dataplane has not been told");
CrashPoint crash_reshard_sent("reshard-sent", "the dataplane is at it");
CrashPoint crash_reshard_done("reshard-done", "the dataplane has done it, the catalogue does not know");
CrashPoint crash_reshard_recorded("reshard-recorded", "the catalogue knows; a scaling may have more steps to go");
CrashPoint crash_delete_intended("delete-intended", "the intention is in the catalogue, the dataplane has not been told");
CrashPoint crash_delete_done("delete-done", "the dataplane has done it, the catalogue does not know");

wire::CommandOp op_for(StreamState state) {
    switch (state) {
        case StreamState::kCreating:
            return wire::CommandOp::OpenStream;
        case StreamState::kChanging:
            return wire::CommandOp::SetStream;
        case StreamState::kDeleting:
            return wire::CommandOp::DeleteStream;
        case StreamState::kResharding:
            return wire::CommandOp::Reshard;
        case StreamState::kActive:
            break;
    }
    return wire::CommandOp::None;
}

/// What may be different in a moment. Everything else will be answered the same for ever.
bool worth_retrying(Errc code) {
    switch (code) {
        case Errc::kDiskFull:
        case Errc::kUnavailable:
        case Errc::kJournalFailed:
        case Errc::kIo:
        case Errc::kOutcomeUnknown:
            return true;
        default:
            return errc_is_retryable(code);
    }
}

}  // namespace

void Controller::drive_all() {
    // Streams are opened in the order of their ids, one at a time: a dataplane takes an unknown id
    // below one that it has seen for one that was used before, and rightly refuses it.
    bool opening = false;
    scale_on();
    for (const auto& [id, stream] : table_.streams()) {
        if (stream.row.state == StreamState::kActive) continue;
        if (stream.row.state == StreamState::kCreating && std::exchange(opening, true)) continue;
        const bool of_all = stream.row.state == StreamState::kDeleting ||
                            stream.row.state == StreamState::kChanging;
        if (of_all && !journals_complete(stream)) continue;
        if (!channel_.has_room()) return;  // The next turn goes on; replies make room.
        drive(stream, drives_[id]);
    }
}

bool Controller::journals_complete(const streams::Stream& stream) const {
    return std::all_of(
        stream.shards.begin(), stream.shards.end(),
        [this](const catalog::ShardRow& shard) { return facts_.journal_available(shard.journal); });
}

namespace {

// The planned shards, and those of their siblings that are facts already: a power failure may have left some children of one
// parent and not the others, and the dataplane takes a parent's children together or not at all.
std::vector<catalog::ShardRow> reshard_children(const streams::Stream& stream) {
    std::set<ShardId> parents;
    for (const catalog::ShardRow& shard : stream.shards) {
        if (!streams::is_planned(shard)) continue;
        for (const ShardId parent : {shard.parent, shard.adjacent_parent}) {
            if (parent.value != 0) parents.insert(parent);
        }
    }
    std::vector<catalog::ShardRow> children;
    std::copy_if(stream.shards.begin(), stream.shards.end(), std::back_inserter(children), [&](const catalog::ShardRow& shard) {
        return streams::is_planned(shard) || parents.count(shard.parent) != 0 || parents.count(shard.adjacent_parent) != 0;
    });
    return children;
}

}  // namespace

void Controller::drive(const streams::Stream& stream, Drive& drive) {
    if (drive.command_id != 0 || transport_.monotonic_ns() < drive.retry_at_ns) return;
    const wire::CommandOp op = op_for(stream.row.state);
    std::vector<catalog::ShardRow> shards;
    if (op == wire::CommandOp::OpenStream) shards = stream.shards;
    if (op == wire::CommandOp::Reshard) {
        shards = reshard_children(stream);
        crash_reshard_intended.reach();
    }
    if (op == wire::CommandOp::DeleteStream) crash_delete_intended.reach();
    const auto sent = channel_.send({op, table_.meta().epoch, &stream.row, shards.empty() ? nullptr : &shards});
    if (!sent) return channel_.drop(sent.error());
    if (op == wire::CommandOp::Reshard) crash_reshard_sent.reach();
    drive.command_id = *sent;
    drive.revision = stream.row.revision;
}

void Controller::take_drive_reply(StreamId id, const channel::Event& event) {
    const streams::Stream* stream = table_.find(id);
    if (stream == nullptr) {
        drives_.erase(id);
        return;
    }
    const Errc code = event.error.code;
    const bool deleted =
        stream->row.state == StreamState::kDeleting && code == Errc::kUnknownStream;
    if (code == Errc::kOk || deleted) {
        // The reply may belong to an earlier intention (opened, and meanwhile to be deleted): then
        // the new one is driven next.
        if (drives_[id].revision == stream->row.revision) {
            log::info("streams", "{} name={} id={} shards={}", wire::EnumNameCommandOp(event.op),
                      stream->row.name, id.value, stream->shards.size());
            if (deleted || event.op == wire::CommandOp::DeleteStream) crash_delete_done.reach();
            if (event.op == wire::CommandOp::Reshard) return take_resharded(*stream, event);
            if (!apply(streams::plan_done(*stream))) return channel_.drop(error_of(Errc::kIo));
        }
        drives_.erase(id);
        return;
    }
    if (!worth_retrying(code)) return refuse(*stream, event.error);
    Drive& drive = drives_[id];
    drive.last_error = event.error;
    drive.back_off_ns =
        std::clamp(drive.back_off_ns * 2, options_.retry_ns_min, options_.retry_ns_max);
    drive.retry_at_ns = transport_.monotonic_ns() + drive.back_off_ns;
    log::warning("streams",
                 "{} not done, will be tried again name={} reason={} detail={} retry_ms={}",
                 wire::EnumNameCommandOp(event.op), stream->row.name, errc_name(code),
                 event.error.detail, drive.back_off_ns / 1'000'000);
}

// The facts of the stream come with the answer: what was planned is now as they say.
void Controller::take_resharded(const streams::Stream& stream, const channel::Event& event) {
    const auto& told = event.facts.streams;
    drives_.erase(stream.row.id);
    if (told.size() != 1 || told.front().id != stream.row.id) return channel_.drop(error_of(Errc::kBadSchema));
    crash_reshard_done.reach();
    if (!apply(streams::plan_resharded(stream, told.front()))) channel_.drop(error_of(Errc::kIo));
    crash_reshard_recorded.reach();
}

// A step is done: the next one, until the number of shards is reached.
void Controller::scale_on() {
    std::vector<StreamId> scaling;
    for (const auto& [id, stream] : table_.streams()) {
        if (stream.row.scale_target != 0 && stream.row.state == StreamState::kActive) scaling.push_back(id);
    }
    for (const StreamId id : scaling) {
        const streams::Stream& stream = *table_.find(id);
        auto change = streams::plan_next_step(table_, facts_, stream);
        if (!change) {
            log::error("streams", "scaling given up name={} target={} reason={} detail={}", stream.row.name,
                       stream.row.scale_target, errc_name(change.error().code), change.error().detail);
            refused_[id] = change.error();
            change = streams::plan_stop_scaling(stream);
        }
        if (!apply(*change)) return channel_.drop(error_of(Errc::kIo));
    }
}

void Controller::refuse(const streams::Stream& stream, Error error) {
    log::error("streams", "refused by the dataplane name={} reason={} detail={}", stream.row.name,
               errc_name(error.code), error.detail);
    const StreamId id = stream.row.id;
    const StreamState state = stream.row.state;
    refused_[id] = error;
    drives_.erase(id);
    if (state == StreamState::kCreating) {
        if (!apply(streams::plan_undo(stream))) channel_.drop(error_of(Errc::kIo));
        return;
    }
    // Listing the facts anew shows whether it had begun: then it is driven on, else undone.
    if (state == StreamState::kResharding && stream.row.scale_target != 0 &&
        !apply(streams::plan_stop_scaling(stream)))
        return channel_.drop(error_of(Errc::kIo));
    if (state == StreamState::kChanging && !apply(streams::plan_done(stream)))
        return channel_.drop(error_of(Errc::kIo));
    // The catalogue now says what the dataplane will not do: listing the facts anew puts that
    // right.
    channel_.drop(error);
}

}  // namespace eagre::control
