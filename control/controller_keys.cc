// Keys: what administrators ask becomes a change of the catalogue, and the dataplane is told the whole
// set. A request is answered kOk when every core goes by the new set: a revoked key is then of no
// more use, and the connections that it opened are closed.
#include <algorithm>

#include "control/access/key_ring.h"
#include "control/controller.h"
#include "control/log/log.h"

namespace eagre::control {
namespace {

using wire::AdminOp;

}  // namespace

access::Randomness Controller::draw() {
    access::Randomness random;
    random.id = transport_.random();
    const auto fill = [this](std::span<std::byte> target) {
        for (std::byte& byte : target) byte = static_cast<std::byte>(transport_.random());
    };
    fill(random.secret);
    fill(random.nonce);
    return random;
}

bool Controller::finish_keys(const Pending& pending) {
    auto rows = catalog_.keys();
    if (!rows) return finish(pending, rows.error());
    admin::Answer answer;
    answer.keys = std::move(*rows);
    admin_.answer(pending.request.caller, answer);
    return true;
}

bool Controller::advance_key(Pending& pending) {
    if (pending.wait == Pending::Wait::kReady) {
        // To revoke is written down at once, whether the dataplane listens or not. A secret is told
        // only when it is good for something.
        if (!ready() && pending.request.op != AdminOp::RevokeKey)
            return overdue(pending) && finish(pending, error_of(Errc::kUnavailable));
        return change_key(pending);
    }
    if (keys_known_number_ >= pending.key_set_number) return finish_key(pending);
    if (!overdue(pending)) return false;
    if (pending.request.op == AdminOp::CreateKey) undo_key(pending);
    return finish(pending, error_of(ready() ? Errc::kTimeout : Errc::kUnavailable));
}

bool Controller::change_key(Pending& pending) {
    const admin::Request& request = pending.request;
    const auto rows = catalog_.keys();
    if (!rows) return finish(pending, rows.error());
    const uint64_t now = transport_.wall_ns();
    const catalog::MetaRow& meta = table_.meta();
    Result<access::PlannedKey> planned = Errc::kBadArgument;
    if (request.op == AdminOp::CreateKey) {
        planned = access::plan_create(*rows, meta, {request.name, request.allow, request.expires_ns},
                                      options_.master_key, draw(), now);
    } else if (request.op == AdminOp::RevokeKey) {
        planned = access::plan_revoke(*rows, meta, request.name, now);
    } else {
        planned =
            access::plan_rotate(*rows, meta, request.name, options_.master_key, draw());
    }
    if (!planned) return finish(pending, planned.error());
    const auto applied = catalog_.apply(planned->change);
    if (!applied) return finish(pending, applied.error());
    if (!*applied) return finish(pending, error_of(Errc::kBusy));
    log::info("access", "{} name={} id={}", wire::EnumNameAdminOp(request.op), request.name,
              planned->id);
    pending.wait = Pending::Wait::kKeys;
    pending.key_set_number = table_.meta().key_set_number;
    pending.key_id = planned->id;
    pending.secret = std::move(planned->secret);
    keys_refused_ = false;
    keys_retry_at_ns_ = 0;
    return false;
}

bool Controller::finish_key(const Pending& pending) {
    auto rows = catalog_.keys();
    if (!rows) return finish(pending, rows.error());
    admin::Answer answer;
    for (catalog::KeyRow& row : *rows) {
        if (row.id == pending.key_id) answer.keys.push_back(std::move(row));
    }
    answer.secret = pending.secret;
    admin_.answer(pending.request.caller, answer);
    return true;
}

void Controller::undo_key(const Pending& pending) {
    const auto rows = catalog_.keys();
    if (!rows) return;
    const auto planned =
        access::plan_revoke(*rows, table_.meta(), pending.key_id, transport_.wall_ns());
    if (planned) apply(planned->change);
}

bool Controller::key_change_waits() const {
    return std::any_of(pendings_.begin(), pendings_.end(), [](const Pending& pending) {
        return pending.wait == Pending::Wait::kKeys;
    });
}

void Controller::push_keys() {
    const uint64_t number = table_.meta().key_set_number;
    if (keys_command_ != 0 || keys_refused_ || keys_known_number_ >= number) return;
    if (transport_.monotonic_ns() < keys_retry_at_ns_ || !channel_.has_room()) return;
    const auto rows = catalog_.keys();
    if (!rows) return channel_.drop(rows.error());
    std::vector<std::string> unreadable;
    const identity::KeySet set =
        access::key_set_of(*rows, number, options_.master_key, unreadable);
    for (const std::string& name : unreadable) {
        log::error("access",
                   "a key's secret does not open with this master.key: it is not honoured; rotate "
                   "it name={}",
                   name);
    }
    channel::CommandSpec command;
    command.op = wire::CommandOp::PutKeys;
    command.epoch = table_.meta().epoch;
    command.keys = &set;
    const auto sent = channel_.send(command);
    if (!sent) return channel_.drop(sent.error());
    keys_command_ = *sent;
    keys_sent_number_ = number;
}

void Controller::take_keys_reply(const channel::Event& event) {
    keys_command_ = 0;
    if (event.error.code == Errc::kOk) {
        keys_known_number_ = keys_sent_number_;
        keys_back_off_ns_ = 0;
        return;
    }
    if (event.error.code == Errc::kStaleKeys) {
        // The catalogue is an old copy, or a new one in place of a lost one. What the box honours
        // stands until an administrator changes a key here: then ours count, and nothing that only
        // the box knew.
        if (!key_change_waits()) {
            keys_refused_ = true;
            log::error("access",
                       "the dataplane honours keys of a later catalogue; they stand until the next "
                       "'eagre key' changes one here ours={} theirs={}",
                       keys_sent_number_, event.error.detail);
            return;
        }
        catalog::Change change;
        change.put_meta = table_.meta();
        change.put_meta->key_set_number =
            std::max(change.put_meta->key_set_number, event.error.detail) + 1;
        log::warning("access", "the catalogue's keys replace later ones ours={} theirs={}",
                     keys_sent_number_, event.error.detail);
        if (!apply(change)) channel_.drop(error_of(Errc::kIo));
        return;
    }
    keys_back_off_ns_ =
        std::clamp(keys_back_off_ns_ * 2, options_.retry_ns_min, options_.retry_ns_max);
    keys_retry_at_ns_ = transport_.monotonic_ns() + keys_back_off_ns_;
    log::warning("access", "keys not taken, will be tried again reason={} detail={}",
                 errc_name(event.error.code), event.error.detail);
}

}  // namespace eagre::control
