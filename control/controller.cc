#include "control/controller.h"

#include <algorithm>

#include "control/log/log.h"

namespace eagre::control {
namespace {

// Even when nothing is due: a bound on how late a missed deadline can be noticed.
constexpr uint64_t kTurnNsMax = 1'000'000'000ULL;

}  // namespace

Result<std::unique_ptr<Controller>> Controller::open(catalog::Catalog& catalog,
                                                     client::Transport& transport,
                                                     sockets::Listener& listener,
                                                     ControllerOptions options) {
    std::unique_ptr<Controller> controller(
        new Controller(catalog, transport, listener, std::move(options)));
    if (const auto loaded = controller->table_.load(catalog); !loaded) return loaded.error();
    if (const auto loaded = controller->groups_.load(catalog, controller->clock()); !loaded)
        return loaded.error();
    controller->groups_map_ = controller->table_.change_count();
    catalog.watch(&controller->table_);
    log::info("control", "catalogue read streams={} shards={} epoch={}",
              controller->table_.streams().size(), controller->table_.shard_count(),
              controller->table_.meta().epoch.value);
    return controller;
}

Controller::Controller(catalog::Catalog& catalog, client::Transport& transport,
                       sockets::Listener& listener, ControllerOptions options)
    : catalog_(catalog),
      transport_(transport),
      options_(std::move(options)),
      channel_(transport, options_.channel),
      admin_(transport, listener),
      started_ns_(transport.monotonic_ns()),
      groups_(table_) {}

Controller::~Controller() {
    catalog_.watch(nullptr);
}

void Controller::poll(uint64_t timeout_ns) {
    const uint64_t now = transport_.monotonic_ns();
    const uint64_t due = next_deadline_ns();
    transport_.wait(std::min({timeout_ns, kTurnNsMax, due > now ? due - now : 0}));
    // Read before what has come is looked at: nobody is late by the time that we take for it.
    const consumers::Now turn_began = clock();
    if (!fatal_) channel_.poll();
    while (!fatal_) {
        const auto event = channel_.next_event();
        if (!event) break;
        take_event(*event);
    }
    admin_.poll();
    while (auto request = admin_.next_request()) take_request(std::move(*request));
    if (ready() && !fatal_) {
        advance_seeks();
        advance_groups(turn_began);
    }
    pendings_.remove_if([this](Pending& pending) { return advance(pending); });
    if (pendings_.empty()) refused_.clear();  // Nobody is left to be told.
    // After the requests, so that an intention goes out in the turn in which it was written.
    if (ready() && !fatal_) {
        drive_all();
        push_keys();
        push_feeds();
        advance_lags();
    }
}

uint64_t Controller::next_deadline_ns() const {
    uint64_t due = fatal_ ? UINT64_MAX : channel_.next_deadline_ns();
    for (const Pending& pending : pendings_) due = std::min(due, pending.deadline_ns);
    if (!ready()) return due;
    for (const auto& [stream, drive] : drives_) {
        if (drive.command_id == 0) due = std::min(due, drive.retry_at_ns);
    }
    if (keys_command_ == 0 && !keys_refused_ && keys_known_number_ < table_.meta().key_set_number)
        due = std::min(due, keys_retry_at_ns_);
    if (feeds_command_ == 0 && !feeds_refused_ && feeds_known_number_ < table_.meta().feed_set_number)
        due = std::min(due, feeds_retry_at_ns_);
    due = std::min(due, groups_map_ == table_.change_count() ? groups_.next_deadline_ns() : 0);
    if (lag_round_began_ns_ == 0 && !groups_.groups().empty()) due = std::min(due, lag_round_at_ns_);
    return due;
}

bool Controller::apply(const catalog::Change& change) {
    if (change.empty()) return true;
    const auto applied = catalog_.apply(change);
    if (applied && *applied) return true;
    if (!applied) {
        log::error("catalog", "change not written reason={} errno={} detail={}",
                   errc_name(applied.error().code), applied.error().os_errno,
                   applied.error().detail);
    } else {
        log::error("catalog", "change refused: the catalogue was changed by another hand");
    }
    return false;
}

}  // namespace eagre::control
