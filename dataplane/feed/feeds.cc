#include "dataplane/feed/feeds.h"

#include <algorithm>

#include "wire/base/assert.h"

namespace eagre::feed {
namespace {

constexpr uint64_t kTokensPerFeed = uint64_t{1} << 32U;  // Places that one may ever have.

bool same_but_paused(feeds::FeedSpec a, const feeds::FeedSpec& b) {
    a.paused = b.paused;
    return a == b;
}

}  // namespace

AssignmentPointer assign(const feeds::FeedSetPointer& set, const shard::Directory& directory, const Assignment* before) {
    auto assignment = std::make_shared<Assignment>();
    assignment->set = set;
    for (const feeds::FeedSpec& spec : set->feeds) {
        CoreIndex core;
        bool kept = false;
        for (size_t i = 0; before != nullptr && i < before->cores.size(); ++i) {
            if (before->set->feeds[i].id != spec.id) continue;
            core = before->cores[i];
            kept = true;
        }
        const shard::StreamEntry* stream = kept ? nullptr : directory.find(spec.stream);
        if (stream != nullptr) {
            const auto open = std::find_if(stream->shards.begin(), stream->shards.end(), [](const auto& shard) { return shard.open && shard.available; });
            if (open != stream->shards.end()) core = open->core;
        }
        assignment->cores.push_back(core);
    }
    return assignment;
}

shm::FeedStats* Feeds::free_slot() {
    const auto at = std::find_if(slots_.begin(), slots_.end(), [](const auto& slot) { return slot.id == 0; });
    return at == slots_.end() ? nullptr : &*at;
}

void Feeds::apply(const AssignmentPointer& pointer, CoreIndex core, const Now& now) {
    assignment_ = pointer;
    const Assignment& assignment = *pointer;
    EAGRE_ASSERT_EQ(assignment.cores.size(), assignment.set->feeds.size());
    std::vector<const feeds::FeedSpec*> mine;
    for (size_t i = 0; i < assignment.cores.size(); ++i) {
        if (assignment.cores[i] == core) mine.push_back(&assignment.set->feeds[i]);
    }
    for (auto& feed : feeds_) {
        const auto stays = std::find_if(mine.begin(), mine.end(), [&](const auto* spec) { return same_but_paused(*spec, feed->spec()); });
        if (stays != mine.end()) {
            if ((*stays)->paused != feed->spec().paused) feed->set_paused((*stays)->paused);
            mine.erase(stays);
            continue;
        }
        feed->close(now);
        ending_.push_back(std::move(feed));
    }
    std::erase(feeds_, nullptr);
    settle_ending(now);
    for (const feeds::FeedSpec* spec : mine) {
        shm::FeedStats* slot = free_slot();
        // Those that end keep theirs until all they had is durable: the newcomer does without for this life.
        if (slot == nullptr) continue;
        feeds_.push_back(std::make_unique<Feed>(*spec, datagrams_, surroundings_, resume_, *slot, seed_, next_token_));
        next_token_ += kTokensPerFeed;
    }
}

size_t Feeds::receive(const Now& now, bool may_receive) {
    size_t total = 0;
    for (const auto& feed : feeds_) total += feed->receive(now, may_receive);
    for (const auto& feed : ending_) (void)feed->receive(now, false);
    return total;
}

void Feeds::settle_ending(const Now& now) {
    for (const auto& feed : ending_) feed->settle(now);
    std::erase_if(ending_, [](const auto& feed) { return feed->settled(); });
}

void Feeds::on_reply(const frame::FrameHeader& header, const Now& now) {
    for (const auto& feed : feeds_) {
        if (feed->on_reply(header, now)) return;
    }
    for (const auto& feed : ending_) {
        if (feed->on_reply(header, now)) return;
    }
}

uint64_t Feeds::next_timer_ns() const {
    uint64_t at_ns = UINT64_MAX;
    for (const auto& feed : feeds_) at_ns = std::min(at_ns, feed->next_timer_ns());
    for (const auto& feed : ending_) at_ns = std::min(at_ns, feed->next_timer_ns());
    return at_ns;
}

void Feeds::stop(const Now& now) {
    for (auto& feed : feeds_) {
        feed->close(now);
        ending_.push_back(std::move(feed));
    }
    feeds_.clear();
}

bool Feeds::settled() const {
    const auto done = [](const auto& feed) { return feed->settled(); };
    return std::all_of(feeds_.begin(), feeds_.end(), done) && std::all_of(ending_.begin(), ending_.end(), done);
}

}  // namespace eagre::feed
