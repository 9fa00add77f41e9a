#pragma once
// Where records of a feed gather until they are stored: the shards of one journal of this core together, or one shard of another core.
//
// Records lie in their lanes' open batches. flush() stores them all, in one commit; where that can't be done now they stay, and once they are as
// much as a commit holds they are put aside as a group, in order. Whoever feeds the place looks at backlog_bytes() and stops.

#include <cstdint>
#include <deque>
#include <vector>

#include "dataplane/feed/surroundings.h"
#include "wire/base/histogram.h"
#include "wire/frame/batch.h"
#include "wire/shm/stats.h"

namespace eagre::feed {

inline constexpr uint32_t kLanesPerGroupMax = journal::kGroupRunCountMax - 8;
inline constexpr uint32_t kRecordsPerGroupMax = 32U << 10U;
inline constexpr uint64_t kGroupBytesMax = 256 * kKiB;
inline constexpr uint64_t kRemoteGroupBytesMax = 128 * kKiB;  // Below what one core hands to another.
inline constexpr uint64_t kFlushBytes = 64 * kKiB;            // So much goes out whatever the device is doing.
inline constexpr uint64_t kFlushNs = 250'000;                 // So long a record waits for the commit before it.
/// From so many records a second on, a record waits so long for others: a commit costs the core some 20 us on a virtual machine whatever is in it, and
/// the device would make 10,000 a second of them. Below, nobody waits but for the commit before.
inline constexpr uint64_t kGatherRatePerS = 75'000;
inline constexpr uint64_t kGatherNs = 200'000;
static_assert(kGatherNs < kFlushNs);

class Place;

/// An open shard of the stream.
struct Lane {
    ShardId shard;
    CoreIndex core;
    HashKeyRange range;
    Place* place = nullptr;
    uint64_t skip_before = 0;  // Messages below are stored there: an earlier life brought them.
    bool dirty = false;
    frame::BatchBuilder builder;
};

/// Batches of one flush.
struct Group {
    struct Piece {
        ShardId shard;
        uint32_t record_count = 0;
        std::vector<std::byte> payload;
    };
    struct Stamp {
        uint64_t ns = 0;
        uint64_t record_count = 0;
    };
    ProducerId producer;
    uint64_t number = 0;
    uint64_t record_count = 0;  // Of the source.
    uint64_t bytes = 0;
    std::vector<Piece> pieces;
    std::vector<Stamp> stamps;
};

class Place {
  public:
    /// `journal` null: of another core, `core`. `token`: names this place in answers. `number`: up to which all messages have been added.
    Place(Surroundings& surroundings, journal::Journal* journal, CoreIndex core, uint64_t token, const uint64_t& number);

    journal::Journal* journal() const { return journal_; }
    CoreIndex core() const { return core_; }
    uint64_t token() const { return token_; }
    bool is_remote() const { return journal_ == nullptr; }

    /// Under which id what is added from now on will be stored; 0: without one. Call cut() before.
    void set_source(ProducerId producer) { producer_ = producer; }

    /// Makes room for `bytes` more of `lane`: stores what there is, or puts it aside.
    void prepare(const Lane& lane, size_t bytes, uint64_t now_ns) {
        const bool full = pending_bytes_ + bytes > group_bytes_max_ || pending_records_ >= kRecordsPerGroupMax ||
                          (!lane.dirty && dirty_.size() >= kLanesPerGroupMax);
        if (full && !dirty_.empty()) [[unlikely]] make_room(now_ns);
    }
    /// Of one that was prepared for. False: the batch does not take it.
    bool add(Lane& lane, const frame::RecordView& record, size_t bytes, uint64_t now_ns);
    /// What one record costs here beside its key and data.
    static constexpr size_t kRecordOverheadBytes = 24;

    /// Now is a good moment: the device has finished something, or nothing is under way, or what waits is much or old.
    bool flush_due(uint64_t now_ns) const;
    /// True: nothing waits any more.
    bool flush(uint64_t now_ns);
    /// Stores, or puts aside: what comes next belongs to another session or map.
    void cut(uint64_t now_ns) {
        if (!dirty_.empty()) make_room(now_ns);
    }
    bool has_pending() const { return !dirty_.empty() || !aside_.empty(); }
    uint64_t backlog_bytes() const { return aside_bytes_; }
    uint64_t due_ns() const { return dirty_.empty() ? UINT64_MAX : since_ns_ + kGatherNs; }
    Error blocked() const { return blocked_; }

    /// Takes in what has become durable; `wall_ns`: now. Returns records.
    uint64_t settle(uint64_t wall_ns, Histogram& durable_ns);
    /// Nothing of it is on its way to the device.
    bool settled() const { return outstanding_.empty() && !in_flight_; }
    uint64_t durable_number() const { return durable_number_; }

    /// Remote: the answer to what was handed over. Returns the batch when it has to be routed anew.
    bool on_reply(const frame::FrameHeader& header, uint64_t wall_ns, Histogram& durable_ns, uint64_t& durable_records, Group& again);

    /// Takes what waits for `lane` out, oldest first: the lane is closing.
    void take_out(Lane& lane, std::vector<Group::Piece>& pieces);

  private:
    struct Outstanding {
        journal::CommitNumber commit;
        uint64_t number = 0;
        uint64_t record_count = 0;
        std::vector<Group::Stamp> stamps;
    };
    struct View {
        ShardId shard;
        uint32_t record_count = 0;
        std::span<const std::byte> payload;
    };
    void make_room(uint64_t now_ns);
    bool store_open();
    Error check(std::span<const View> views, uint64_t& bytes, uint32_t& count);
    bool store(std::span<const View> views, ProducerId producer, uint64_t number, uint64_t record_count, std::vector<Group::Stamp>& stamps);
    frame::FrameHeader header_of(const View& view, ProducerId producer, uint64_t number) const;
    void put_aside();
    void clear_open();
    uint64_t account(Outstanding& done, uint64_t wall_ns, Histogram& durable_ns);

    Surroundings& surroundings_;
    journal::Journal* journal_;
    CoreIndex core_;
    uint64_t token_;
    uint64_t group_bytes_max_;
    const uint64_t& number_;
    ProducerId producer_;

    std::vector<Lane*> dirty_;
    uint64_t pending_bytes_ = 0;
    uint64_t pending_records_ = 0;
    uint64_t pending_gaps_ = 0;  // Of these: not of the source.
    uint64_t since_ns_ = 0;
    uint64_t now_ns_ = 0;
    uint64_t flushed_ns_ = 0;
    std::vector<Group::Stamp> stamps_;
    std::vector<View> views_;  // Scratch.

    std::deque<Group> aside_;
    uint64_t aside_bytes_ = 0;
    std::deque<Outstanding> outstanding_;
    std::vector<std::vector<Group::Stamp>> spare_stamps_;  // Memory of settled ones, to be used again.
    bool in_flight_ = false;  // Remote.
    Group sent_;              // Remote: what was handed over, kept until it is answered.
    journal::CommitNumber flushed_durable_;
    uint64_t durable_number_ = 0;
    Error blocked_;
};

}  // namespace eagre::feed
