#pragma once
// Durable runs to consumers: subscriptions with credit and one-shot reads, from the journal's memory at the tail and from the
// device behind it. Owned by one core.
//
// A consumer never slows a producer: a pump sends at most kPumpBytes per turn and subscription, a socket that takes no more
// parks its subscription, and bytes that leave memory in the meantime are read from the device.
//
// Life of a subscription: open -> ready -> pump ... -> parked (no credit | at the tail | socket full | device read under
// way) -> ready ... -> ended with kDeliverEnd or kReadEnd.

#include <cstdint>
#include <memory>
#include <vector>

#include "dataplane/io/connections.h"
#include "dataplane/journal/journal.h"
#include "dataplane/reactor/outlet.h"
#include "dataplane/shard/shard.h"
#include "wire/base/result.h"
#include "wire/frame/frame.h"
#include "wire/shm/stats.h"

namespace eagre::fanout {

inline constexpr uint32_t kSubscriptionCountMax = 8192;  // Per core.
inline constexpr size_t kPumpBytes = 1 * kMiB;           // Per turn and subscription.
inline constexpr size_t kPumpRunsMax = 31;               // Two slices each, within the 64 of Connections::send.
inline constexpr size_t kStageBytes = 256 * kKiB;        // Small runs read from the device are gathered here.
inline constexpr size_t kStageRunBytesMax = 8 * kKiB;
inline constexpr uint64_t kTakeOverNs = 5'000'000'000;   // So old a subscription is when a later one of its owner takes over.

/// How fan-out reaches connections and shards, which it doesn't own.
class Surroundings {
  public:
    virtual ~Surroundings() = default;
    /// Null when the connection is gone.
    virtual reactor::Outlet* outlet(reactor::OutletId id) = 0;
    virtual shard::Shard* shard(ShardId id) = 0;
    /// The peer is gone or can't be served any more.
    virtual void drop(reactor::OutletId id) = 0;
    /// Fills `children` with the ids of the shards that `shard` was split or merged into; none while the map with them is
    /// not there yet.
    virtual void children_of(ShardId shard, std::vector<uint64_t>& children) = 0;
    /// Monotonic.
    virtual uint64_t now_ns() const = 0;
};

class Fanout {
  public:
    Fanout(Surroundings& surroundings, io::Connections& connections, shm::CoreStats& stats);
    ~Fanout();

    /// Takes a kSubscribe or kRead. Errors: kUnknownShard, kLimitExceeded, kSequenceInFuture (detail = tail), kBadArgument, kSubscribed
    /// (its owner has a subscription to the shard that is younger than kTakeOverNs; detail = ns left).
    Status open(reactor::OutletId outlet, const frame::FrameHeader& request);
    /// kCredit; unknown subscriptions are ignored (it may just have ended).
    void credit(reactor::OutletId outlet, const frame::FrameHeader& request);
    /// kUnsubscribe: answered with kDeliverEnd kOk.
    void close(reactor::OutletId outlet, uint64_t correlation);
    /// The connection is gone.
    void close_all(reactor::OutletId outlet);
    /// The shard's durable tail moved, or it was closed.
    void wake_shard(shard::Shard& shard);
    /// The shard was deleted: its subscriptions end with kUnknownShard.
    void end_shard(shard::Shard& shard);
    /// The socket takes bytes again.
    void wake_outlet(reactor::OutletId outlet);
    /// Lets every ready subscription send. Returns bytes sent. Call after the journals were polled.
    size_t pump();
    /// True when the next pump can do something now; what waits for a device read doesn't count.
    bool busy() const { return ready_.size() > device_waiting_; }
    uint32_t count() const { return count_; }

  private:
    struct Subscription;
    enum class Outcome : uint8_t { kAgain, kDevice, kParked, kEnded };

    /// Index of a subscription, kNone when there is none.
    static constexpr uint32_t kNone = UINT32_MAX;
    uint32_t find(reactor::OutletId outlet, uint64_t correlation) const;
    uint32_t find_owned(const shard::Shard& shard, uint64_t owner) const;
    /// Ends a subscription now, or when the frame that it has begun is out.
    void stop(uint32_t index, Errc why);
    void make_ready(uint32_t index);
    Outcome pump_one(uint32_t index);
    Outcome send_gathered(Subscription& subscription, reactor::Outlet& outlet, size_t run_count);
    void end(uint32_t index, Error error, std::span<const uint64_t> children = {});
    void release(uint32_t index);

    Surroundings& surroundings_;
    io::Connections& connections_;
    shm::CoreStats& stats_;
    std::vector<std::unique_ptr<Subscription>> table_;  // Slots are reused; memory is kept.
    std::vector<std::vector<uint32_t>> by_slot_;        // Subscriptions of each outlet slot.
    std::vector<uint32_t> free_;
    std::vector<uint32_t> ready_;
    std::vector<uint32_t> pumping_;
    uint32_t count_ = 0;
    uint32_t device_waiting_ = 0;

    // One send being gathered: header and payload slices of up to kPumpRunsMax runs.
    struct Gathered {
        frame::FrameHeader header;
        std::span<const std::byte> payload;
        SequenceNumber end;
    };
    std::vector<Gathered> gathered_;
    std::vector<std::byte> stage_;
    std::vector<uint64_t> children_;
    size_t bytes_sent_ = 0;
};

}  // namespace eagre::fanout
