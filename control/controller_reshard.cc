// Split, merge, scale and moves as administrators ask for them: planned, and answered when the dataplane has done it.
#include <algorithm>

#include "control/controller.h"
#include "control/streams/reshard.h"

namespace eagre::control {
namespace {

using catalog::StreamState;
using wire::AdminOp;

constexpr size_t kMoveShardsMax = 64;  // At once: writers of all of them pause.

Result<catalog::Change> plan(const streams::StreamTable& table, const streams::Facts& facts, const admin::Request& request) {
    if (request.op == AdminOp::ScaleStream) return streams::plan_scale(table, facts, request.name, request.shard_count);
    if (request.op == AdminOp::SplitShard && request.shards.size() == 1)
        return streams::plan_split(table, facts, request.name, request.shards[0], request.split_at);
    if (request.op == AdminOp::MergeShards && request.shards.size() == 2)
        return streams::plan_merge(table, facts, request.name, request.shards[0], request.shards[1]);
    if (request.op != AdminOp::MoveShards || request.shards.size() != request.journals.size()) return Errc::kBadArgument;
    if (request.shards.size() > kMoveShardsMax) return error_of(Errc::kLimitExceeded, kMoveShardsMax);
    std::vector<streams::MoveTo> moves;
    for (size_t i = 0; i < request.shards.size(); ++i) moves.push_back({request.shards[i], request.journals[i]});
    return streams::plan_moves(table, facts, request.name, moves);
}

/// What was asked for is so.
bool is_done(const streams::Stream& stream, const admin::Request& request) {
    if (request.op == AdminOp::ScaleStream) return streams::is_uniform(stream, request.shard_count);
    return std::none_of(stream.shards.begin(), stream.shards.end(), [&](const catalog::ShardRow& row) {
        return row.open && std::find(request.shards.begin(), request.shards.end(), row.id) != request.shards.end();
    });
}

}  // namespace

bool Controller::start_reshard(Pending& pending) {
    const auto change = plan(table_, facts_, pending.request);
    if (!change) {
        // Another change of the stream is over in a moment, as a rule.
        if (change.error().code == Errc::kBusy && !overdue(pending)) return false;
        return finish(pending, change.error());
    }
    pending.stream = table_.find(pending.request.name)->row.id;
    const auto applied = catalog_.apply(*change);
    if (!applied) return finish(pending, applied.error());
    if (!*applied) return finish(pending, error_of(Errc::kBusy));
    refused_.erase(pending.stream);
    pending.wait = Pending::Wait::kOutcome;
    return advance_outcome(pending);
}

bool Controller::advance_reshard(Pending& pending, const streams::Stream* stream) {
    if (stream == nullptr || stream->row.state == StreamState::kDeleting)
        return finish(pending, error_of(Errc::kUnknownStream));
    const auto refused = refused_.find(pending.stream);
    if (refused != refused_.end()) return finish(pending, refused->second);
    if (ready() && stream->row.state == StreamState::kActive && stream->row.scale_target == 0) {
        if (is_done(*stream, pending.request)) {
            wait_for_facts(pending, stream->row.id);
            pending.deadline_ns = std::max(pending.deadline_ns, transport_.monotonic_ns() + options_.describe_wait_ns);
            return advance_read(pending);
        }
        // Undone because the dataplane went away before it began: asked anew.
        if (!overdue(pending)) {
            pending.wait = Pending::Wait::kReady;
            return false;
        }
    }
    // It goes on when the journal is back; nobody need wait for that here.
    const auto drive = drives_.find(pending.stream);
    const bool refused_for_now = drive != drives_.end() && drive->second.last_error.code == Errc::kUnavailable;
    if (ready() && refused_for_now && !journals_complete(*stream)) return finish(pending, drive->second.last_error);
    return overdue(pending) && finish(pending, error_of(Errc::kTimeout));
}

}  // namespace eagre::control
