// The session with the dataplane: greet, take an epoch, list the facts, reconcile; then commands
// may flow.
#include <algorithm>

#include "control/controller.h"
#include "control/log/log.h"
#include "control/streams/placement.h"
#include "control/streams/reconcile.h"
#include "wire/base/assert.h"

namespace eagre::control {

using channel::Event;

void Controller::take_event(const Event& event) {
    switch (event.kind) {
        case Event::Kind::kUp:
            return take_up(event);
        case Event::Kind::kDown:
            return take_down();
        case Event::Kind::kGroup:
            return take_group_request(event);
        case Event::Kind::kAnswer:
            if (!take_seek_answer(event)) take_measure_answer(event);
            return;
        case Event::Kind::kReply:
            break;
    }
    if (event.error.code == Errc::kStaleEpoch && stage_ != Stage::kTakingEpoch)
        return stop_for(event.error);
    if (stage_ == Stage::kTakingEpoch && event.command_id == stage_command_)
        return take_epoch_reply(event);
    if (event.command_id == stage_command_ || event.command_id == facts_command_)
        return take_facts(event);
    if (event.command_id == keys_command_) return take_keys_reply(event);
    if (event.command_id == feeds_command_) return take_feeds_reply(event);
    for (auto& [stream, drive] : drives_) {
        if (drive.command_id != event.command_id) continue;
        drive.command_id = 0;
        return take_drive_reply(stream, event);
    }
    for (Pending& pending : pendings_) {
        if (pending.wait != Pending::Wait::kCommand || pending.command_id != event.command_id)
            continue;
        pending.command_id = 0;
        pending.last_error = event.error;
        return;
    }
}

void Controller::take_up(const Event& event) {
    box_id_high_ = event.box_id_high;
    box_id_low_ = event.box_id_low;
    const catalog::MetaRow& meta = table_.meta();
    const bool known_box = meta.box_id_high != 0 || meta.box_id_low != 0;
    if (known_box && (meta.box_id_high != box_id_high_ || meta.box_id_low != box_id_low_)) {
        log::warning("control",
                     "this catalogue belongs to another box; what this box's journals say wins "
                     "box={:016x}{:016x} catalogue={:016x}{:016x}",
                     box_id_high_, box_id_low_, meta.box_id_high, meta.box_id_low);
    }
    // A new epoch for each connection: what the last connection left behind in the dataplane is
    // fenced off.
    take_epoch(Epoch(meta.epoch.value + 1));
}

void Controller::take_down() {
    stage_ = Stage::kDown;
    stage_command_ = 0;
    facts_command_ = 0;
    facts_ = {};
    keys_command_ = 0;
    keys_known_number_ = 0;
    keys_refused_ = false;
    feeds_command_ = 0;
    feeds_known_number_ = 0;
    feeds_refused_ = false;
    drop_group_business();
    drives_.clear();
    for (Pending& pending : pendings_) {
        if (pending.wait != Pending::Wait::kCommand || pending.command_id == 0) continue;
        pending.command_id = 0;
        pending.last_error = error_of(Errc::kUnavailable);
    }
}

void Controller::take_epoch(Epoch epoch) {
    catalog::Change change;
    change.put_meta = table_.meta();
    change.put_meta->epoch = epoch;
    stage_ = Stage::kTakingEpoch;
    stage_command_ = 0;
    if (!apply(change)) return channel_.drop(error_of(Errc::kIo));
    const auto sent = channel_.send({wire::CommandOp::TakeEpoch, epoch, nullptr, nullptr});
    if (!sent) return channel_.drop(sent.error());
    stage_command_ = *sent;
}

void Controller::take_epoch_reply(const Event& event) {
    if (event.error.code == Errc::kStaleEpoch) {
        // Before we ever held an epoch here, a higher one means that this catalogue is an old copy:
        // the directory's lock says that no other control lives. After that, it means that one
        // does.
        if (epoch_taken_ || epoch_adopted_ || event.error.detail < table_.meta().epoch.value)
            return stop_for(event.error);
        epoch_adopted_ = true;
        log::warning("control",
                     "the catalogue is older than the journals; its epoch is raised from={} to={}",
                     table_.meta().epoch.value, event.error.detail + 1);
        return take_epoch(Epoch(event.error.detail + 1));
    }
    if (event.error.code != Errc::kOk) return channel_.drop(event.error);
    epoch_taken_ = true;
    const auto sent =
        channel_.send({wire::CommandOp::ListFacts, table_.meta().epoch, nullptr, nullptr});
    if (!sent) return channel_.drop(sent.error());
    stage_ = Stage::kListing;
    stage_command_ = *sent;
}

void Controller::take_facts(const Event& event) {
    if (event.command_id == facts_command_) facts_command_ = 0;
    if (event.error.code != Errc::kOk) {
        log::warning("control", "the dataplane would not list its facts reason={}",
                     errc_name(event.error.code));
        return channel_.drop(event.error);
    }
    facts_ = event.facts;
    ++facts_number_;
    if (stage_ == Stage::kListing) return reconcile_with(facts_);
    drop_spent_shards();
}

// Closed shards of which retention has taken everything: the dataplane has forgotten them.
void Controller::drop_spent_shards() {
    catalog::Change change;
    for (const streams::StreamFact& fact : facts_.streams) {
        const streams::Stream* stream = table_.find(fact.id);
        if (stream == nullptr) continue;
        for (const catalog::ShardRow& row : stream->shards) {
            const bool known = std::any_of(fact.shards.begin(), fact.shards.end(),
                                           [&](const streams::ShardFact& shard) { return shard.id == row.id; });
            if (!row.open && !known && facts_.journal_available(row.journal)) change.delete_shards.push_back(row.id);
        }
    }
    if (!apply(change)) channel_.drop(error_of(Errc::kIo));
}

void Controller::reconcile_with(const streams::Facts& facts) {
    EAGRE_ASSERT(drives_.empty());  // Nothing is under way that these facts might not show yet.
    streams::Reconciliation agreed = streams::reconcile(table_, facts);
    for (const std::string& note : agreed.notes) log::warning("reconcile", "{}", note);
    const catalog::MetaRow& meta = table_.meta();
    if (meta.box_id_high != box_id_high_ || meta.box_id_low != box_id_low_) {
        if (!agreed.change.put_meta) agreed.change.put_meta = meta;
        agreed.change.put_meta->box_id_high = box_id_high_;
        agreed.change.put_meta->box_id_low = box_id_low_;
    }
    if (!apply(agreed.change)) return channel_.drop(error_of(Errc::kIo));
    stage_ = Stage::kReady;
    stage_command_ = 0;
    was_ready_ = true;
    groups_.excuse_all(clock());
    log::info("control",
              "agreed with the dataplane streams={} shards={} epoch={} journals={} missing={}",
              table_.streams().size(), table_.shard_count(), table_.meta().epoch.value,
              facts.journal_count, facts.journals_missing.size());
    if (!streams::plan_rebalance(table_, facts_, 1).empty()) {
        log::info("streams", "open shards are not spread evenly over cores and data directories: "
                             "see 'eagre rebalance --dry-run'");
    }
}

void Controller::stop_for(Error error) {
    fatal_ = error;
    stage_ = Stage::kDown;
    log::error("control",
               "superseded: another eagre-control has taken a later epoch ours={} theirs={}",
               table_.meta().epoch.value, error.detail);
}

}  // namespace eagre::control
