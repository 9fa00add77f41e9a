#pragma once
// The producer: records -> batches per shard -> the owning core, in order, until each is answered.
// Three files: the path of a record (producer.cc), of a batch and its answer (producer_batches.cc),
// and what a changed map does (producer_map.cc).
//
// A lane is one shard: the batch that is filling, then a queue of finished ones; the first `sent`
// of them are on their way. Whatever goes wrong for a batch sends it and all behind it again
// (go-back-N), never a later one before an earlier one.
//
// What keeps records from being lost or doubled:
// - A batch gets its number when it is first sent, and keeps number, producer id and bytes until it
// is answered.
// - A batch that may have been stored is never given another number or shard: it is answered, or
// fails.
// - Routes change only once everything that was sent to a closed shard has been answered; until
// then new records queue up
//   behind the old ones of their shard, so nothing overtakes.

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "wire/client/client_impl.h"
#include "wire/client/lane_table.h"
#include "wire/client/send_buffer.h"
#include "wire/frame/hash_cache.h"

namespace eagre::client {

struct alignas(64) Batch {
    SendBufferPointer frame;
    std::vector<uint64_t> tags;
    uint64_t window_bytes = 0;
    uint64_t producer_id = 0;
    uint64_t number = 0;
    uint64_t correlation = 0;  // Of the attempt under way; 0: none.
    uint64_t first_correlation =
        0;  // Of the first and last attempt under this number: a late kOk to any of
    uint64_t last_correlation = 0;  // them counts, a late refusal does not.
    uint64_t deadline_ns = 0;
    uint64_t blob_bytes = 0;
    uint64_t first_sequence = 0;
    uint64_t sync_serial = 0;  // The put_sync that waits for record `sync_index`; 0: none.
    uint32_t sync_index = 0;
    uint32_t record_count = 0;
    uint32_t attempt_count = 0;
    bool done = false;
    bool refused = false;  // Its closed shard never will store it: free to go elsewhere.
    Error error;
    std::span<const std::byte> payload() const { return frame->bytes.subspan(frame::kHeaderBytes); }
};
using BatchPointer = std::unique_ptr<Batch>;

struct alignas(64) Lane {
    // What a record touches, in two cache lines: of a thousand lanes they stay in the L2 cache, while what they point to, some
    // 10 MB, does not. So builder and tags of the batch that fills are here, and go back to it when it is closed.
    frame::BatchBuilder builder;
    std::vector<uint64_t> tags;
    uint64_t window_bytes = 0;
    BatchPointer open;  // Filling; null when no record waits.
    uint64_t opened_ns = 0;
    Lane* linger_before = nullptr;  // List of lanes with an open batch, oldest first.
    Lane* linger_after = nullptr;

    ShardDescription shard;
    uint64_t producer_id = 0;
    uint64_t next_number = 0;
    std::deque<BatchPointer> queue;
    size_t sent = 0;           // The first so many of `queue` are on their way or done.
    uint64_t retry_at_ns = 0;  // 0: at once.
    uint64_t back_off_ns = 0;
    uint64_t progress_ns = 0;  // Of the last answer, or of the first batch on its way.
    bool waits_for_map = false;
    bool retired = false;  // Its shard is closed: what was never sent goes elsewhere.
    bool blocked = false;  // In blocked_.

    /// Builder, tags and bytes change hands between the lane and its open batch.
    void exchange() {
        std::swap(builder, open->frame->builder);
        std::swap(tags, open->tags);
        std::swap(window_bytes, open->window_bytes);
    }
};
static_assert(sizeof(frame::BatchBuilder) == 64);

class ProducerImpl final : public Producer, public Asker {
  public:
    ProducerImpl(ClientImpl& client, const StreamDescription& stream,
                 const ProducerOptions& options);
    ~ProducerImpl() override;
    ProducerImpl(const ProducerImpl&) = delete;
    ProducerImpl& operator=(const ProducerImpl&) = delete;

    Status put(const frame::RecordView& record, uint64_t tag) override;
    Result<size_t> put_many(std::span<const frame::RecordView> records, uint64_t tag) override;
    Result<std::pair<ShardId, SequenceNumber>> put_sync(const frame::RecordView& record) override;
    void flush() override;
    Status drain(uint64_t timeout_ns) override;
    void on_outcome(std::function<void(const BatchOutcome&)> callback) override {
        callback_ = std::move(callback);
    }
    uint64_t in_flight_bytes() const override { return in_flight_bytes_; }
    const ProducerStats& stats() const override { return stats_; }

    // -- Asker
    void on_frame(uint32_t core, const frame::FrameHeader& header,
                  std::span<const std::byte> payload) override;
    void on_lost(uint32_t core, Error why) override;
    void on_ready(uint32_t core) override;
    void on_map(const StreamDescription& stream) override;
    bool on_poll(uint64_t now_ns) override;
    uint64_t next_timer_ns() const override;

  private:
    struct SyncPut {
        uint64_t serial = 0;
        bool done = false;
        Error error;
        ShardId shard;
        SequenceNumber sequence;
    };

    // -- producer.cc
    Lane* route(const frame::RecordView& record);
    Status admit(const frame::RecordView& record);
    Lane* find_lane(const HashKey& hash) const;
    void look_ahead(size_t bytes);
    Status add(Lane& lane, const frame::RecordView& record, uint64_t tag);
    void open_batch(Lane& lane);
    void close_batch(Lane& lane);
    void close_oldest();
    void make_room();
    void fit_datagrams();
    void link_linger(Lane& lane);
    void unlink_linger(Lane& lane);
    BatchPointer take_batch();
    void recycle(BatchPointer batch);

    // -- producer_batches.cc
    bool send(Lane& lane, uint64_t now_ns);
    void transmit(Lane& lane, Batch& batch, Connection& connection, uint64_t now_ns);
    void answer(Lane& lane, size_t index, const frame::FrameHeader& header);
    void retry_later(Lane& lane, size_t index, uint64_t pause_ns);
    void pause(Lane& lane, uint64_t pause_ns);
    void go_back(Lane& lane, size_t index);
    void give_up(Lane& lane, size_t index, Error error, bool none_stored);
    void start_anew(Lane& lane, size_t index);
    void expire(Lane& lane, uint64_t now_ns);
    void check_time(uint64_t now_ns);
    void settle(Lane& lane);
    void tell(Lane& lane, Batch& batch);
    void block(Lane& lane);

    // -- producer_map.cc
    void retire(Lane& lane, size_t index);
    void try_reroute();
    void learn(const StreamDescription& stream);
    void build_routes();
    void move_records(std::vector<BatchPointer> batches);
    void fail_everything(Error error);
    uint64_t new_producer_id();

    ClientImpl& client_;
    ProducerOptions options_;
    uint64_t id_;
    std::string stream_;
    StreamDescription latest_;  // The map as last told; routes_ may still follow an older one.
    bool reroute_wanted_ = false;
    uint64_t record_bytes_max_ = kRecordDataBytesDefault;
    std::vector<std::unique_ptr<Lane>> lanes_;
    LaneTable<Lane> lanes_by_shard_;
    std::vector<Lane*> routes_;  // By starting hash key.
    frame::HashCache<Lane> keys_;
    Lane* linger_first_ = nullptr;
    Lane* linger_last_ = nullptr;
    const Lane* ahead_lane_ = nullptr;  // Compared, and looked at only while it is linger_first_.
    size_t ahead_bytes_ = 0;
    std::vector<Lane*>
        blocked_;  // Lanes with something to send that must be looked at in each poll.
    std::vector<Lane*> blocked_scratch_;
    std::vector<BatchPointer> free_;
    uint64_t in_flight_bytes_ = 0;  // Of all records without an outcome.
    uint64_t closed_bytes_ = 0;     // Of those, in finished batches.
    uint64_t next_check_ns_ = 0;
    uint64_t sync_serial_ = 0;
    SyncPut* sync_ = nullptr;
    Error first_error_;
    std::function<void(const BatchOutcome&)> callback_;
    ProducerStats stats_;
};

}  // namespace eagre::client
