// The producer: records -> batches per shard -> the owning core, in order, until each is answered.
//
// A lane is one shard: the batch that is filling, then a queue of finished ones; the first `sent` of them are on their way.
// Whatever goes wrong for a batch sends it and all behind it again (go-back-N), never a later one before an earlier one.
#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <map>
#include <memory>

#include "wire/base/assert.h"
#include "wire/client/client_impl.h"
#include "wire/client/hash_cache.h"

namespace eagre::client {
namespace {

using frame::AckMode;
using frame::FrameHeader;
using frame::FrameKind;

constexpr uint64_t kRetryNsMin = 500'000ULL;
constexpr uint64_t kRetryNsMax = 100'000'000ULL;
constexpr size_t kFreeBatchMax = 2048;
constexpr uint64_t kDeadlineCheckNs = 10'000'000ULL;
// Correlation ids of a producer: lane, then a count of the lane's attempts, so that an answer finds its batch without a table.
constexpr uint32_t kLaneShift = 26;
static_assert(kStreamShardCountMax <= 1U << (kAskerShift - kLaneShift));

struct Batch {
    frame::BatchBuilder builder;
    std::span<std::byte> frame;    // Header and payload, as sent, where they were built. Empty while it fills.
    std::vector<uint64_t> tags;
    uint64_t first_put_ns = 0;
    uint64_t number = 0;
    uint64_t correlation = 0;      // Of the last attempt; 0: never sent.
    uint64_t deadline_ns = 0;
    uint64_t blob_bytes = 0;
    uint32_t record_count = 0;
    uint32_t attempt_count = 0;
    bool answered = false;
    bool refused = false;          // Its closed shard will never store it: free to go elsewhere.
    Error error;
    uint64_t first_sequence = 0;
    size_t payload_bytes() const { return frame.size() - frame::kHeaderBytes; }
    std::span<const std::byte> payload() const { return frame.subspan(frame::kHeaderBytes); }
};
using BatchPointer = std::unique_ptr<Batch>;

struct Lane {
    ShardDescription shard;
    uint64_t producer_id = 0;
    uint64_t next_number = 0;
    uint32_t index = 0;            // In lanes_.
    uint64_t attempt_count = 0;    // Sends, for correlation ids.
    BatchPointer filling;          // At least one record, or null.
    std::deque<BatchPointer> queue;
    size_t sent = 0;               // The first so many of `queue` are on their way (answered ones among them).
    uint64_t retry_at_ns = 0;
    uint64_t back_off_ns = 0;
    bool closed = false;           // Its shard takes no more; what it holds is answered or goes elsewhere.
    bool in_unsent = false;
};

class ProducerImpl final : public Producer, public Asker {
  public:
    ProducerImpl(ClientImpl& client, const StreamDescription& stream, const ProducerOptions& options)
        : client_(client), options_(options), id_(client.enlist(this)), keys_(options.hot_key_count) {
        adopt(stream);
    }
    ~ProducerImpl() override { client_.dismiss(id_); }
    ProducerImpl(const ProducerImpl&) = delete;
    ProducerImpl& operator=(const ProducerImpl&) = delete;

    Status put(const frame::RecordView& record, uint64_t tag) override {
        if (waits_for_map_) return Errc::kBusy;
        const uint64_t bytes = record.partition_key.size() + record.data.size() + 16;
        if (in_flight_bytes_ != 0 && in_flight_bytes_ + bytes > options_.window_bytes) return Errc::kBusy;
        if (record.data.size() > record_bytes_max_) return error_of(Errc::kRecordTooLarge, record_bytes_max_);
        if (record.partition_key.empty()) return Errc::kBadPartitionKey;
        Lane* lane = route(record);
        if (lane == nullptr) return Errc::kUnavailable;
        return add(*lane, record, tag, bytes);
    }

    Result<std::pair<ShardId, SequenceNumber>> put_sync(const frame::RecordView& record) override {
        const uint64_t deadline = client_.now_ns() + client_.options().request_timeout_ns;
        SyncPut sync;
        sync_ = &sync;
        Status taken = Errc::kBusy;
        client_.wait_until(deadline, [&] {
            taken = put(record, kSyncTag);
            return taken || taken.error().code != Errc::kBusy;
        });
        if (taken) {
            flush();
            client_.wait_until(deadline, [&] { return sync.done; });
        }
        sync_ = nullptr;
        if (!taken) return taken.error();
        if (!sync.done) return Errc::kTimeout;
        if (sync.error.code != Errc::kOk) return sync.error;
        return std::pair{sync.shard, sync.sequence};
    }

    void flush() override {
        for (const auto& lane : lanes_) {
            if (lane->filling != nullptr) finish_batch(*lane);
            send(*lane, client_.now_ns());
        }
    }

    Status drain(uint64_t timeout_ns) override {
        flush();
        const bool done = client_.wait_until(client_.now_ns() + timeout_ns, [&] {
            if (in_flight_bytes_ != 0 && !waits_for_map_) flush();
            return in_flight_bytes_ == 0;
        });
        if (!done) return Errc::kTimeout;
        const Error error = first_error_;
        first_error_ = {};
        if (error.code != Errc::kOk) return error;
        return {};
    }

    void on_outcome(std::function<void(const BatchOutcome&)> callback) override { callback_ = std::move(callback); }
    uint64_t in_flight_bytes() const override { return in_flight_bytes_; }
    const ProducerStats& stats() const override { return stats_; }

    // -- Asker
    void on_frame(uint32_t /*core*/, const FrameHeader& header, std::span<const std::byte> /*payload*/) override {
        if (header.kind != FrameKind::kAppendReply) return;
        const uint64_t index = (header.correlation & ((1ULL << kAskerShift) - 1)) >> kLaneShift;
        if (index >= lanes_.size()) return;
        Lane& lane = *lanes_[index];
        const auto sent_end = lane.queue.begin() + static_cast<std::ptrdiff_t>(lane.sent);
        const auto at = std::find_if(lane.queue.begin(), sent_end,
                                     [&](const auto& batch) { return batch->correlation == header.correlation; });
        if (at == sent_end) return;  // Of an attempt that was given up: the next one gets the same answer.
        answer(lane, static_cast<size_t>(at - lane.queue.begin()), header);
    }

    void on_lost(uint32_t core, Error why) override {
        for (const auto& lane : lanes_) {
            if (lane->shard.core == core) go_back(*lane, 0, why);
        }
    }
    void on_ready(uint32_t /*core*/) override {}

    void on_map(const StreamDescription& stream) override {
        if (stream.name != stream_) return;
        ++stats_.map_refresh_count;
        if (stream.shards.empty()) {
            // The stream was deleted: nothing of this will ever be stored.
            for (const auto& lane : lanes_) fail_from(*lane, 0, error_of(Errc::kUnknownStream));
            open_.clear();
            waits_for_map_ = false;
            return;
        }
        if (stream.map_version < map_version_) {
            client_.refresh(stream_);
            return;
        }
        adopt(stream);
        if (waits_for_map_) reroute();
    }

    bool on_poll(uint64_t now_ns) override {
        bool moved = false;
        while (!lingering_.empty()) {
            const Lingering oldest = lingering_.front();
            const bool fills = oldest.still_fills();
            if (fills && now_ns < oldest.first_put_ns + options_.linger_ns) break;
            lingering_.pop_front();
            if (fills) finish_batch(*oldest.lane);
        }
        if (now_ns >= deadline_check_ns_) {
            deadline_check_ns_ = now_ns + kDeadlineCheckNs;
            for (const auto& lane : lanes_) {
                if (lane->queue.empty() || now_ns <= lane->queue.front()->deadline_ns) continue;
                give_up_number(*lane, 0, error_of(Errc::kTimeout));
                moved = true;
            }
        }
        for (size_t i = 0; i < unsent_.size();) {
            Lane& lane = *unsent_[i];
            moved = send(lane, now_ns) || moved;
            if (lane.sent < lane.queue.size()) {
                ++i;
                continue;
            }
            lane.in_unsent = false;
            unsent_[i] = unsent_.back();
            unsent_.pop_back();
        }
        if (waits_for_map_) client_.refresh(stream_);
        return moved;
    }

    uint64_t next_timer_ns() const override {
        uint64_t next = UINT64_MAX;
        if (!lingering_.empty()) next = lingering_.front().first_put_ns + options_.linger_ns;
        for (const Lane* lane : unsent_) {
            if (lane->retry_at_ns != 0) next = std::min(next, lane->retry_at_ns);
        }
        if (in_flight_bytes_ != 0) next = std::min(next, deadline_check_ns_);
        return next;
    }

  private:
    static constexpr uint64_t kSyncTag = UINT64_MAX;
    struct Lingering {
        uint64_t first_put_ns = 0;
        Lane* lane = nullptr;
        bool still_fills() const { return lane->filling != nullptr && lane->filling->first_put_ns == first_put_ns; }
    };
    struct SyncPut {
        bool done = false;
        Error error;
        ShardId shard;
        SequenceNumber sequence;
    };

    // Takes the map in: new shards get lanes, closed ones keep theirs until they are empty.
    void adopt(const StreamDescription& stream) {
        stream_ = stream.name;
        map_version_ = stream.map_version;
        record_bytes_max_ = stream.record_bytes_max != 0 ? stream.record_bytes_max : kRecordDataBytesDefault;
        open_.clear();
        for (const ShardDescription& shard : stream.shards) {
            Lane* lane = nullptr;
            for (const auto& each : lanes_) {
                if (each->shard.id == shard.id) lane = each.get();
            }
            if (lane == nullptr && !shard.open) continue;
            if (lane == nullptr) {
                lanes_.push_back(std::make_unique<Lane>());
                lane = lanes_.back().get();
                lane->index = static_cast<uint32_t>(lanes_.size() - 1);
                lane->producer_id = new_producer_id();
            }
            lane->shard = shard;
            if (!shard.open && !lane->closed) close(*lane);
            if (shard.open && !lane->closed) open_.push_back(lane);
        }
        std::sort(open_.begin(), open_.end(), [](const Lane* a, const Lane* b) { return a->shard.range.starting < b->shard.range.starting; });
        if (++routing_version_ == 0) routing_version_ = 1;
    }

    // The map knows before any answer said so. What was never sent is free to go to the children; until the rest has been
    // answered nothing else may be sent there, or it would overtake.
    void close(Lane& lane) {
        lane.closed = true;
        for (const BatchPointer& batch : lane.queue) {
            if (batch->attempt_count == 0) batch->refused = true;
        }
        if (lane.filling != nullptr || !lane.queue.empty()) waits_for_map_ = true;
    }

    uint64_t new_producer_id() {
        uint64_t id = 0;
        while (options_.idempotent && id == 0) id = client_.transport().random();
        return id;
    }

    // Null when no open shard of the map that we have takes the key; a new map has been asked for.
    Lane* route(const frame::RecordView& record) {
        if (record.explicit_hash) return find_lane(*record.explicit_hash);
        const HashCache::Found found = keys_.find(record.partition_key);
        if (*found.lane_version == routing_version_) return lanes_[*found.lane].get();
        Lane* lane = find_lane(found.hash);
        if (lane != nullptr) {
            *found.lane = lane->index;
            *found.lane_version = routing_version_;
        }
        return lane;
    }

    Lane* find_lane(const HashKey& key) {
        const auto after = std::upper_bound(open_.begin(), open_.end(), key,
                                            [](const HashKey& k, const Lane* lane) { return k < lane->shard.range.starting; });
        if (after == open_.begin() || !(*(after - 1))->shard.range.contains(key)) {
            client_.refresh(stream_);
            return nullptr;
        }
        return *(after - 1);
    }

    Status add(Lane& lane, const frame::RecordView& record, uint64_t tag, uint64_t bytes) {
        if (lane.filling != nullptr && lane.filling->builder.payload_bytes() + bytes > options_.batch_bytes) {
            const uint64_t now_ns = lane.filling->first_put_ns;
            finish_batch(lane);
            send(lane, now_ns);
        }
        if (lane.filling == nullptr) {
            BatchPointer batch = take_free();
            if (const Status added = batch->builder.add(record); !added) {
                release(std::move(batch));
                return added.error();
            }
            batch->first_put_ns = client_.now_ns();
            lane.filling = std::move(batch);
            if (options_.linger_ns != 0) lingering_.push_back({lane.filling->first_put_ns, &lane});
        } else if (const Status added = lane.filling->builder.add(record); !added) {
            return added.error();
        }
        Batch& batch = *lane.filling;
        batch.tags.push_back(tag);
        batch.blob_bytes += record.partition_key.size() + record.data.size();
        in_flight_bytes_ += bytes;
        ++stats_.record_count;
        if (options_.linger_ns == 0 || batch.builder.record_count() >= options_.batch_record_count ||
            batch.builder.payload_bytes() >= options_.batch_bytes) {
            const uint64_t now_ns = batch.first_put_ns;
            finish_batch(lane);
            send(lane, now_ns);
        }
        return {};
    }

    BatchPointer take_free() {
        if (free_.empty()) return std::make_unique<Batch>();
        BatchPointer batch = std::move(free_.back());
        free_.pop_back();
        return batch;
    }

    void release(BatchPointer batch) {
        if (free_.size() == kFreeBatchMax) return;
        batch->builder.clear();
        batch->tags.clear();
        batch->blob_bytes = 0;
        batch->frame = {};
        free_.push_back(std::move(batch));
    }

    static uint64_t window_bytes_of(const Batch& batch) { return batch.blob_bytes + 16 * uint64_t{batch.record_count}; }

    void finish_batch(Lane& lane) {
        BatchPointer batch = std::move(lane.filling);
        batch->frame = batch->builder.finish_frame();
        batch->record_count = batch->builder.record_count();
        batch->number = lane.next_number++;
        batch->correlation = 0;
        batch->attempt_count = 0;
        batch->answered = false;
        batch->refused = lane.closed;
        batch->error = {};
        batch->deadline_ns = batch->first_put_ns + options_.delivery_timeout_ns;
        FrameHeader header;
        header.kind = FrameKind::kAppend;
        header.flags = static_cast<uint16_t>(options_.ack);
        header.record_count = batch->record_count;
        frame::seal_frame(header, batch->payload());
        std::memcpy(batch->frame.data(), &header, sizeof(header));
        lane.queue.push_back(std::move(batch));
        mark_unsent(lane);
        ++stats_.batch_count;
    }

    void mark_unsent(Lane& lane) {
        if (lane.in_unsent) return;
        lane.in_unsent = true;
        unsent_.push_back(&lane);
    }

    bool send(Lane& lane, uint64_t now_ns) {
        if (lane.sent == lane.queue.size() || now_ns < lane.retry_at_ns) return false;
        // A closed lane asks on for what its shard may have stored before it closed.
        if (waits_for_map_ && !lane.closed) return false;
        Connection* connection = client_.connection(lane.shard.core);
        if (connection == nullptr || !connection->ready()) return false;
        bool moved = false;
        while (lane.sent < lane.queue.size() && lane.sent < kProducerWindow) {
            Batch& batch = *lane.queue[lane.sent];
            if (batch.refused && !batch.answered) break;
            if (!batch.answered) {
                FrameHeader header;
                std::memcpy(&header, batch.frame.data(), sizeof(header));
                batch.correlation = correlation_of(lane);
                if (batch.attempt_count++ > 0) ++stats_.resend_count;
                header.correlation = batch.correlation;
                header.shard = lane.shard.id.value;
                header.detail = lane.producer_id;
                header.number = batch.number;
                header.sequence = map_version_;
                frame::seal_header(header);
                std::memcpy(batch.frame.data(), &header, sizeof(header));
                if (options_.ack == AckMode::kNone) {
                    connection->push(header, batch.payload());
                    batch.answered = true;
                } else {
                    connection->push_borrowed(batch.frame);
                }
                stats_.payload_bytes += batch.payload_bytes();
            }
            ++lane.sent;
            moved = true;
        }
        if (options_.ack == AckMode::kNone) settle(lane);
        return moved;
    }

    uint64_t correlation_of(Lane& lane) const {
        const uint64_t attempt = lane.attempt_count++ & ((1ULL << kLaneShift) - 1);
        return (id_ << kAskerShift) | (uint64_t{lane.index} << kLaneShift) | attempt;
    }

    void answer(Lane& lane, size_t index, const FrameHeader& header) {
        Batch& batch = *lane.queue[index];
        const Error error{frame::errc_of(header), 0, header.detail};
        const uint64_t now = client_.now_ns();
        switch (error.code) {
            case Errc::kOk:
                batch.answered = true;
                batch.error = {};
                batch.first_sequence = header.sequence;
                lane.back_off_ns = 0;
                settle(lane);
                return;
            case Errc::kBatchOutOfOrder:
                // One before it was refused or lost: all from the number that the box expects go again.
                go_back(lane, index_of(lane, error.detail, index), error);
                lane.retry_at_ns = std::max(lane.retry_at_ns, now);
                return;
            case Errc::kStaleMap:
                go_back(lane, index, error);
                wait_for_map();
                return;
            case Errc::kShardClosed:
                // Not stored, and never will be; nor are those behind it. They go to the children, in order.
                go_back(lane, index, error);
                lane.closed = true;
                for (size_t i = index; i < lane.queue.size(); ++i) lane.queue[i]->refused = true;
                wait_for_map();
                return;
            case Errc::kNotOwner:
                go_back(lane, index, error);
                lane.shard.core = client_.core_of_port(static_cast<uint16_t>(error.detail));
                client_.refresh(stream_);
                return;
            case Errc::kOutcomeUnknown:
                if (!options_.idempotent) {
                    give_up_number(lane, index, error);
                    return;
                }
                [[fallthrough]];
            case Errc::kBusy:
            case Errc::kThrottled:
            case Errc::kUnavailable:
            case Errc::kDiskFull:
            case Errc::kShuttingDown:
            case Errc::kJournalFailed:
                go_back(lane, index, error);
                lane.back_off_ns = std::clamp(lane.back_off_ns * 2, kRetryNsMin, kRetryNsMax);
                lane.retry_at_ns = now + std::max(error.detail, lane.back_off_ns);
                return;
            default:
                give_up_number(lane, index, error);
                return;
        }
    }

    static size_t index_of(const Lane& lane, uint64_t number, size_t otherwise) {
        for (size_t i = 0; i < lane.queue.size(); ++i) {
            if (lane.queue[i]->number == number) return i;
        }
        return otherwise;
    }

    // Everything from `index` on counts as not sent.
    void go_back(Lane& lane, size_t index, Error why) {
        const size_t from = std::min(index, lane.sent);
        for (size_t i = from; i < lane.sent; ++i) {
            Batch& batch = *lane.queue[i];
            batch.correlation = 0;  // Answers to this attempt come too late.
            // Without identity a batch that may have been stored must not go twice.
            if (!options_.idempotent && !batch.answered && why.code == Errc::kDisconnected) {
                batch.answered = true;
                batch.error = error_of(Errc::kOutcomeUnknown);
            }
        }
        lane.sent = std::min(lane.sent, from);
        mark_unsent(lane);
        settle(lane);
    }

    // The batch's number will never be used: those behind it are numbered anew, under a new id if the box may know the old number.
    void give_up_number(Lane& lane, size_t index, Error error) {
        go_back(lane, index, error);
        if (index >= lane.queue.size()) return;
        Batch& batch = *lane.queue[index];
        const bool refused = error.code != Errc::kTimeout && error.code != Errc::kOutcomeUnknown && error.code != Errc::kUnknownProducer &&
                             error.code != Errc::kBatchForgotten && error.code != Errc::kBatchMismatch;
        batch.answered = true;
        batch.error = error;
        uint64_t number = batch.number;
        if (!refused) {
            lane.producer_id = new_producer_id();
            number = 0;
        }
        for (size_t i = index + 1; i < lane.queue.size(); ++i) lane.queue[i]->number = number++;
        lane.next_number = number;
        // It is passed over when sending; settled when those before it are.
        settle(lane);
    }

    void fail_from(Lane& lane, size_t index, Error error) {
        if (lane.filling != nullptr) finish_batch(lane);
        go_back(lane, index, error);
        for (size_t i = index; i < lane.queue.size(); ++i) {
            lane.queue[i]->answered = true;
            lane.queue[i]->error = error;
        }
        settle(lane);
    }

    // Outcomes of a shard are told in order.
    void settle(Lane& lane) {
        while (!lane.queue.empty() && lane.queue.front()->answered) {
            BatchPointer batch = std::move(lane.queue.front());
            lane.queue.pop_front();
            if (lane.sent > 0) --lane.sent;
            in_flight_bytes_ -= window_bytes_of(*batch);
            const bool stored = batch->error.code == Errc::kOk;
            (stored ? stats_.acknowledged_count : stats_.failed_count) += batch->record_count;
            if (!stored && first_error_.code == Errc::kOk) first_error_ = batch->error;
            BatchOutcome outcome;
            outcome.shard = lane.shard.id;
            outcome.error = batch->error;
            outcome.first_sequence = SequenceNumber{batch->first_sequence};
            outcome.record_count = batch->record_count;
            outcome.blob_bytes = batch->blob_bytes;
            outcome.payload_bytes = batch->payload_bytes();
            outcome.tags = batch->tags;
            if (sync_ != nullptr && !sync_->done) {
                const auto at = std::find(batch->tags.begin(), batch->tags.end(), kSyncTag);
                if (at != batch->tags.end()) {
                    *sync_ = {true, batch->error, lane.shard.id,
                              SequenceNumber{batch->first_sequence + static_cast<uint64_t>(at - batch->tags.begin())}};
                }
            }
            if (callback_) callback_(outcome);
            release(std::move(batch));
        }
    }

    void wait_for_map() {
        waits_for_map_ = true;
        client_.refresh(stream_);
    }

    // The map came in: what closed shards did not take goes to their children, oldest first. While any batch of a closed
    // shard still waits for its answer, nothing is sent elsewhere: it could overtake.
    void reroute() {
        waits_for_map_ = false;
        for (size_t i = 0; i < lanes_.size(); ++i) {
            Lane& lane = *lanes_[i];
            if (!lane.closed) continue;
            if (lane.filling != nullptr) finish_batch(lane);
            const bool answered = std::all_of(lane.queue.begin(), lane.queue.end(), [](const auto& batch) { return batch->refused; });
            if (!answered) {
                waits_for_map_ = true;
                continue;
            }
            if (lane.queue.empty()) continue;
            if (open_.empty()) {
                fail_from(lane, 0, error_of(Errc::kShardClosed));
                continue;
            }
            std::deque<BatchPointer> queue = std::move(lane.queue);
            lane.queue.clear();
            for (const BatchPointer& batch : queue) {
                in_flight_bytes_ -= window_bytes_of(*batch);
                const auto view = frame::BatchView::trusted(batch->payload());
                for (uint32_t r = 0; r < view.record_count(); ++r) {
                    const frame::RecordView record = view.record(r);
                    Lane* target = find_lane(frame::hash_of(record));
                    const uint64_t bytes = record.partition_key.size() + record.data.size() + 16;
                    --stats_.record_count;
                    if (target != nullptr) (void)add(*target, record, batch->tags[r], bytes);
                    else ++stats_.failed_count;
                }
            }
        }
        flush();
    }

    ClientImpl& client_;
    ProducerOptions options_;
    uint64_t id_;
    std::string stream_;
    uint64_t map_version_ = 0;
    uint64_t record_bytes_max_ = kRecordDataBytesDefault;
    std::vector<std::unique_ptr<Lane>> lanes_;
    std::vector<Lane*> open_;                       // By starting hash key.
    uint32_t routing_version_ = 0;
    HashCache keys_;
    std::deque<Lingering> lingering_;               // Oldest first; those that were sent meanwhile are passed over.
    std::vector<Lane*> unsent_;                     // Lanes with finished batches that wait to be sent.
    uint64_t deadline_check_ns_ = 0;
    std::vector<BatchPointer> free_;
    uint64_t in_flight_bytes_ = 0;
    bool waits_for_map_ = false;
    SyncPut* sync_ = nullptr;
    Error first_error_;
    std::function<void(const BatchOutcome&)> callback_;
    ProducerStats stats_;
};

}  // namespace

std::unique_ptr<Producer> make_producer_impl(ClientImpl& client, const StreamDescription& stream,
                                             const ProducerOptions& options) {
    return std::make_unique<ProducerImpl>(client, stream, options);
}

}  // namespace eagre::client
