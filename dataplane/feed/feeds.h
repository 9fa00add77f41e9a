#pragma once
// The feeds of one core. Which core serves a feed is decided once, by core 0, and stays for the life of the process: two cores would take each
// datagram twice, or share a port between them.

#include <memory>
#include <span>
#include <vector>

#include "dataplane/feed/feed.h"
#include "dataplane/feed/resume.h"
#include "dataplane/feed/surroundings.h"
#include "dataplane/io/datagrams.h"
#include "dataplane/shard/directory.h"
#include "wire/feeds/spec/feed_spec.h"
#include "wire/shm/stats.h"

namespace eagre::feed {

static_assert(shm::kFeedSlots >= feeds::kFeedCountMax);

/// Who serves what. Never changed, only replaced.
struct Assignment {
    feeds::FeedSetPointer set;
    std::vector<CoreIndex> cores;  // As set->feeds.
};
using AssignmentPointer = std::shared_ptr<const Assignment>;

/// A feed goes to the core of its stream's first open shard (core 0 while there is none); one that has a core in `before` keeps it.
AssignmentPointer assign(const feeds::FeedSetPointer& set, const shard::Directory& directory, const Assignment* before);

class Feeds {
  public:
    Feeds(io::Datagrams& datagrams, Surroundings& surroundings, std::span<shm::FeedStats> slots, uint64_t seed)
        : datagrams_(datagrams), surroundings_(surroundings), slots_(slots), seed_(seed) {}

    /// What the box has recovered; before the first apply().
    void take_resume(Resume resume) { resume_ = std::move(resume); }
    /// Serves those that are `core`'s, and no others from now on. A feed that has changed ends and begins anew.
    void apply(const AssignmentPointer& assignment, CoreIndex core, const Now& now);
    /// The last one applied; null: none.
    const Assignment* assignment() const { return assignment_.get(); }

    size_t receive(const Now& now, bool may_receive);
    void settle(const Now& now) {
        for (const auto& feed : feeds_) feed->settle(now);
        if (!ending_.empty()) settle_ending(now);
    }
    void on_reply(const frame::FrameHeader& header, const Now& now);
    uint64_t next_timer_ns() const;
    void housekeeping() {
        for (const auto& feed : feeds_) feed->housekeeping();
    }
    /// No more datagrams; what has been taken in is stored.
    void stop(const Now& now);
    bool settled() const;

  private:
    void settle_ending(const Now& now);
    shm::FeedStats* free_slot();

    io::Datagrams& datagrams_;
    Surroundings& surroundings_;
    std::span<shm::FeedStats> slots_;
    uint64_t seed_;
    Resume resume_;
    AssignmentPointer assignment_;
    std::vector<std::unique_ptr<Feed>> feeds_;
    std::vector<std::unique_ptr<Feed>> ending_;  // Removed, until what they had is durable.
    uint64_t next_token_ = 1;
};

}  // namespace eagre::feed
