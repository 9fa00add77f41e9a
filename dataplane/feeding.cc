// What a core does for the feeds that it serves.
#include "dataplane/core.h"
#include "dataplane/feed/feed_store.h"
#include "wire/base/assert.h"
#include "wire/feeds/feed_check.h"
#include "wire/feeds/spec/feed_codec.h"

namespace eagre {

using frame::FrameHeader;

void Core::start_feeds(const feed::Resume& fed) {
    feeds_->take_resume(fed);
    if (box_.feeds == nullptr) return;
    // Every core comes to the same: all have the same directory now.
    feeds_->apply(feed::assign(box_.feeds, directory_, nullptr), index_, feed_now());
}

// Core 0. An old copy of the catalogue must not bring back feeds that were removed. Durable first: what captures goes on doing so after a restart
// without control. The sync holds this core up for a moment; operators change feeds seldom.
Error Core::plan_feeds(const wire::FeedSet* table, CommandPending& pending) {
    auto set = feeds::feed_set_from(table);
    if (!set) return set.error();
    const feed::Assignment* before = feeds_->assignment();
    const uint64_t number = before != nullptr ? before->set->number : 0;
    if ((*set)->number < number) return error_of(Errc::kStaleFeeds, number);
    for (const feeds::FeedSpec& spec : (*set)->feeds) {
        if (spec.id == 0 || spec.id > feed::kFeedIdMax || !feeds::check(spec).empty()) return error_of(Errc::kBadArgument, spec.id);
    }
    if (const Status stored = feed::store_feeds(io_.files, **set); !stored) return stored.error();
    pending.feeds = feed::assign(*set, directory_, before);
    return {};
}

Status Core::begin_group(journal::Journal& journal, uint32_t run_count, uint64_t stored_bytes) {
    const JournalSlot* slot = slot_of(&journal);
    EAGRE_ASSERT(slot != nullptr);
    if (slot->acks.room() < run_count) return Errc::kBusy;
    return journal.begin_group(run_count, stored_bytes);
}

journal::CommitNumber Core::append_fed(shard::Shard& shard, const FrameHeader& header, std::span<const std::byte> payload) {
    JournalSlot* slot = slot_of(shard.journal);
    EAGRE_ASSERT(slot != nullptr);
    shard::AppendContext context;
    context.wall_ns = wall_ns_;
    context.now_ns = now_ns_;
    context.check_map = false;
    context.own = true;
    const auto appended = shard::append(shard, producers_, header, payload, context);
    EAGRE_ASSERT(appended);
    slot->acks.push(note_appended(*slot, shard, header, *appended));
    return appended->commit;
}

bool Core::hand_over_fed(CoreIndex to, const FrameHeader& header, std::span<const std::byte> payload) {
    return hand_over(to, kFeedOutlet, header, payload);
}

}  // namespace eagre
