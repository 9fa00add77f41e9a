// Driving each stream from its intention to the fact: one command at a time for a stream, retried
// with back-off.
#include <algorithm>
#include <utility>

#include "control/controller.h"
#include "control/log/log.h"
#include "control/streams/streams.h"

namespace eagre::control {
namespace {

using catalog::StreamState;

wire::CommandOp op_for(StreamState state) {
    switch (state) {
        case StreamState::kCreating:
            return wire::CommandOp::OpenStream;
        case StreamState::kChanging:
            return wire::CommandOp::SetStream;
        case StreamState::kDeleting:
            return wire::CommandOp::DeleteStream;
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
    for (const auto& [id, stream] : table_.streams()) {
        if (stream.row.state == StreamState::kActive) continue;
        if (stream.row.state == StreamState::kCreating && std::exchange(opening, true)) continue;
        if (stream.row.state == StreamState::kDeleting && !journals_complete(stream)) continue;
        if (!channel_.has_room()) return;  // The next turn goes on; replies make room.
        drive(stream, drives_[id]);
    }
}

bool Controller::journals_complete(const streams::Stream& stream) const {
    return std::all_of(
        stream.shards.begin(), stream.shards.end(),
        [this](const catalog::ShardRow& shard) { return facts_.journal_available(shard.journal); });
}

void Controller::drive(const streams::Stream& stream, Drive& drive) {
    if (drive.command_id != 0 || transport_.monotonic_ns() < drive.retry_at_ns) return;
    const wire::CommandOp op = op_for(stream.row.state);
    const bool with_shards = op == wire::CommandOp::OpenStream;
    const auto sent = channel_.send(
        {op, table_.meta().epoch, &stream.row, with_shards ? &stream.shards : nullptr});
    if (!sent) return channel_.drop(sent.error());
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
    if (state == StreamState::kChanging && !apply(streams::plan_done(stream)))
        return channel_.drop(error_of(Errc::kIo));
    // The catalogue now says what the dataplane will not do: listing the facts anew puts that
    // right.
    channel_.drop(error);
}

}  // namespace eagre::control
