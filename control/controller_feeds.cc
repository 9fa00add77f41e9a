// Feeds: what operators ask becomes a change of the catalogue, and the dataplane is told the whole set. A request is answered kOk when the set is
// durable there: what was added captures from then on whatever becomes of us, what was removed does not come back.
#include <algorithm>
#include <array>

#include <arpa/inet.h>

#include "control/controller.h"
#include "control/log/log.h"
#include "wire/feeds/feed_check.h"

namespace eagre::control {
namespace {

using wire::AdminOp;

// Ids are part of the ids that a feed stores under (dataplane/feed/resume.h): 19 bits.
constexpr uint32_t kFeedIdMax = (1U << 19U) - 1;

/// Of an address of one host, however it is written; empty for a group.
std::string unicast_bytes(const std::string& address) {
    std::array<char, 16> bytes{};
    if (inet_pton(AF_INET, address.c_str(), bytes.data()) == 1) {
        const auto first = static_cast<unsigned char>(bytes[0]);
        return first >= 224 && first < 240 ? std::string() : std::string(bytes.data(), 4);
    }
    if (inet_pton(AF_INET6, address.c_str(), bytes.data()) != 1 || bytes[0] == '\xff') return {};
    return {bytes.data(), 16};
}

/// Two feeds may listen to one group, not to one port of ours.
bool share_a_port(const feeds::FeedSpec& a, const feeds::FeedSpec& b) {
    for (const feeds::FeedLine& mine : a.lines) {
        for (const feeds::FeedLine& theirs : b.lines) {
            const std::string host = unicast_bytes(mine.address);
            if (!host.empty() && host == unicast_bytes(theirs.address) && mine.port == theirs.port) return true;
        }
    }
    return false;
}

}  // namespace

bool Controller::advance_feed(Pending& pending) {
    if (pending.request.op == AdminOp::ListFeeds) return finish_feeds(pending, pending.request.name);
    if (pending.wait == Pending::Wait::kReady) {
        // To remove or pause is written down at once, whether the dataplane listens or not.
        if (pending.request.op == AdminOp::AddFeed && !ready()) return overdue(pending) && finish(pending, error_of(Errc::kUnavailable));
        return change_feed(pending);
    }
    if (pending.last_error.code != Errc::kOk) {
        undo_feed(pending);
        return finish(pending, pending.last_error);
    }
    if (feeds_known_number_ >= pending.feed_set_number) return finish_feeds(pending, pending.request.op == AdminOp::RemoveFeed ? "" : feed_name(pending));
    if (!overdue(pending)) return false;
    if (pending.request.op == AdminOp::AddFeed) undo_feed(pending);
    return finish(pending, error_of(ready() ? Errc::kTimeout : Errc::kUnavailable));
}

std::string Controller::feed_name(const Pending& pending) {
    return pending.request.op == AdminOp::AddFeed ? pending.request.feed.name : pending.request.name;
}

Result<catalog::Change> Controller::plan_feed(const admin::Request& request) {
    const auto rows = catalog_.feeds();
    if (!rows) return rows.error();
    catalog::Change change;
    change.put_meta = table_.meta();
    ++change.put_meta->feed_set_number;
    if (request.op == AdminOp::AddFeed) {
        feeds::FeedSpec spec = request.feed;
        if (!feeds::check(spec).empty()) return Errc::kBadArgument;
        const streams::Stream* stream = table_.find(spec.stream_name);
        if (stream == nullptr || stream->row.state == catalog::StreamState::kDeleting || stream->row.state == catalog::StreamState::kCreating)
            return Errc::kUnknownStream;
        const bool taken = std::any_of(rows->begin(), rows->end(), [&](const catalog::FeedRow& row) {
            return row.spec.name == spec.name || share_a_port(row.spec, spec);
        });
        if (taken) return Errc::kFeedExists;
        if (rows->size() >= feeds::kFeedCountMax || change.put_meta->feed_id_max >= kFeedIdMax) return error_of(Errc::kLimitExceeded, feeds::kFeedCountMax);
        spec.id = ++change.put_meta->feed_id_max;
        spec.stream = stream->row.id;
        spec.paused = false;
        spec.created_ns = transport_.wall_ns();
        change.put_feeds.push_back({std::move(spec), 0});
        return change;
    }
    const auto found = std::find_if(rows->begin(), rows->end(), [&](const catalog::FeedRow& row) { return row.spec.name == request.name; });
    if (found == rows->end()) return Errc::kUnknownFeed;
    if (request.op == AdminOp::RemoveFeed) {
        change.delete_feeds.push_back({found->spec.id, found->revision});
        return change;
    }
    const bool paused = request.op == AdminOp::PauseFeed;
    if (found->spec.paused == paused) return catalog::Change{};  // It is so.
    change.put_feeds.push_back(*found);
    change.put_feeds.back().spec.paused = paused;
    return change;
}

bool Controller::change_feed(Pending& pending) {
    const auto planned = plan_feed(pending.request);
    if (!planned) return finish(pending, planned.error());
    if (!planned->empty()) {
        const auto applied = catalog_.apply(*planned);
        if (!applied) return finish(pending, applied.error());
        if (!*applied) return finish(pending, error_of(Errc::kBusy));
        log::info("feeds", "{} name={}", wire::EnumNameAdminOp(pending.request.op), feed_name(pending));
    }
    pending.wait = Pending::Wait::kFeeds;
    pending.feed_set_number = table_.meta().feed_set_number;
    feeds_refused_ = false;
    feeds_retry_at_ns_ = 0;
    return false;
}

bool Controller::finish_feeds(const Pending& pending, const std::string& name) {
    auto rows = catalog_.feeds();
    if (!rows) return finish(pending, rows.error());
    admin::Answer answer;
    const bool removed = pending.request.op == AdminOp::RemoveFeed;
    for (catalog::FeedRow& row : *rows) {
        if (!removed && (name.empty() || row.spec.name == name)) answer.feeds.push_back(std::move(row.spec));
    }
    if (!removed && !name.empty() && answer.feeds.empty()) return finish(pending, error_of(Errc::kUnknownFeed));
    admin_.answer(pending.request.caller, answer);
    return true;
}

// A feed that was not answered with kOk must not come to be.
void Controller::undo_feed(const Pending& pending) {
    if (pending.request.op != AdminOp::AddFeed) return;
    admin::Request request;
    request.op = AdminOp::RemoveFeed;
    request.name = pending.request.feed.name;
    if (const auto planned = plan_feed(request); planned) apply(*planned);
}

void Controller::push_feeds() {
    const uint64_t number = table_.meta().feed_set_number;
    if (feeds_command_ != 0 || feeds_refused_ || feeds_known_number_ >= number) return;
    if (transport_.monotonic_ns() < feeds_retry_at_ns_ || !channel_.has_room()) return;
    auto rows = catalog_.feeds();
    if (!rows) return channel_.drop(rows.error());
    feeds::FeedSet set;
    set.number = number;
    for (catalog::FeedRow& row : *rows) set.feeds.push_back(std::move(row.spec));
    channel::CommandSpec command;
    command.op = wire::CommandOp::PutFeeds;
    command.epoch = table_.meta().epoch;
    command.feeds = &set;
    const auto sent = channel_.send(command);
    if (!sent) return channel_.drop(sent.error());
    feeds_command_ = *sent;
    feeds_sent_number_ = number;
}

void Controller::take_feeds_reply(const channel::Event& event) {
    feeds_command_ = 0;
    if (event.error.code == Errc::kOk) {
        feeds_known_number_ = feeds_sent_number_;
        feeds_back_off_ns_ = 0;
        return;
    }
    if (event.error.code == Errc::kStaleFeeds) {
        // The catalogue is an old copy, or a new one in place of a lost one: what the box serves stands until an operator changes a feed here. Ids
        // grow by one with each addition, and the number with each change: no id above the box's number was ever used.
        const bool asked = std::any_of(pendings_.begin(), pendings_.end(), [](const Pending& each) { return each.wait == Pending::Wait::kFeeds; });
        if (!asked) {
            feeds_refused_ = true;
            log::error("feeds", "the dataplane serves feeds of a later catalogue; they stand until the next 'eagre feed' changes one here ours={} theirs={}",
                       feeds_sent_number_, event.error.detail);
            return;
        }
        catalog::Change change;
        change.put_meta = table_.meta();
        change.put_meta->feed_set_number = std::max(change.put_meta->feed_set_number, event.error.detail) + 1;
        change.put_meta->feed_id_max = static_cast<uint32_t>(std::max<uint64_t>(change.put_meta->feed_id_max, std::min<uint64_t>(event.error.detail, kFeedIdMax)));
        log::warning("feeds", "the catalogue's feeds replace later ones ours={} theirs={}", feeds_sent_number_, event.error.detail);
        if (!apply(change)) channel_.drop(error_of(Errc::kIo));
        // A feed under an id that may have been another's would take its place for its own: asked for again, it gets a new one.
        for (Pending& each : pendings_) {
            if (each.wait == Pending::Wait::kFeeds && each.request.op == AdminOp::AddFeed) each.last_error = event.error;
        }
        return;
    }
    if (!errc_is_retryable(event.error.code)) {
        for (Pending& each : pendings_) {
            if (each.wait == Pending::Wait::kFeeds) each.last_error = event.error;
        }
    }
    feeds_back_off_ns_ = std::clamp(feeds_back_off_ns_ * 2, options_.retry_ns_min, options_.retry_ns_max);
    feeds_retry_at_ns_ = transport_.monotonic_ns() + feeds_back_off_ns_;
    log::warning("feeds", "feeds not taken, will be tried again reason={} detail={}", errc_name(event.error.code), event.error.detail);
}

}  // namespace eagre::control
