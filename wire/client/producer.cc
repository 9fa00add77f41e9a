// The path of a record: route, copy into its shard's open batch, close the batch when it is full or
// old.
#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "wire/base/assert.h"
#include "wire/client/producer_impl.h"

namespace eagre::client {
namespace {

constexpr size_t kFreeBatchCountMax = 1024;
constexpr size_t kKeptBufferBytesMax = 2 * kMiB;  // A larger one is given back, not kept for reuse.
constexpr size_t kStepRecords = 8;              // put_many: between asking for what a record touches and touching it.
constexpr size_t kUnderWayCount = 32;            // A power of two, at least two such steps.
constexpr size_t kColdLaneCount = 32;            // Batches of more lanes than these are out of cache when they are closed.
constexpr size_t kLookAheadExtraBytes = 128;
constexpr size_t kNextBatchBytes = 8 * kKiB;
constexpr uint64_t kRecordOverheadBytes = 16;  // Entry and tag: empty records fill the window too.
constexpr uint32_t kBatchBytesMargin = 4096;   // The last record's optional columns, padding.

uint64_t window_bytes_of(const frame::RecordView& record) {
    return record.partition_key.size() + record.data.size() + kRecordOverheadBytes;
}

// How put_many ends early: the error is told when nothing was taken before it.
Result<size_t> stopped(size_t taken, Error error) {
    if (taken == 0) return error;
    return taken;
}

}  // namespace

ProducerImpl::ProducerImpl(ClientImpl& client, const StreamDescription& stream,
                           const ProducerOptions& options)
    : client_(client),
      options_(options),
      id_(client.enlist(this)),
      stream_(stream.name),
      keys_(options.hot_key_count, client.transport().random()) {
    // Nothing answers a batch without acknowledgement, so a lost number would block all that follow
    // it.
    if (options_.ack == frame::AckMode::kNone) options_.idempotent = false;
    else if (client_.options().datagrams) options_.idempotent = true;  // A lost answer is asked for again.
    options_.batch_bytes =
        std::min(options_.batch_bytes, static_cast<uint32_t>(kBatchBytesMax) - kBatchBytesMargin);
    options_.batch_record_count =
        std::clamp(options_.batch_record_count, 1U, static_cast<uint32_t>(kBatchRecordCountMax));
    fit_datagrams();
    learn(stream);
    build_routes();
}

ProducerImpl::~ProducerImpl() {
    client_.dismiss(id_);
}

Status ProducerImpl::admit(const frame::RecordView& record) {
    if (in_flight_bytes_ + window_bytes_of(record) > options_.window_bytes && in_flight_bytes_ != 0)
        [[unlikely]] {
        make_room();
        return Errc::kBusy;
    }
    if (record.data.size() > record_bytes_max_) {
        // The limit may have been raised since we heard of it.
        if (record.data.size() <= kRecordDataBytesMax) client_.refresh(stream_);
        return error_of(Errc::kRecordTooLarge, record_bytes_max_);
    }
    return {};
}

Status ProducerImpl::put(const frame::RecordView& record, uint64_t tag) {
    if (const Status admitted = admit(record); !admitted) return admitted;
    Lane* lane = route(record);
    if (lane == nullptr) [[unlikely]] {
        client_.refresh(stream_);
        return Errc::kUnavailable;
    }
    // Passed on untouched: a Status that is copied is read wider than it was written, and that waits for every store before it,
    // among them those to the batch, which are out of cache when shards are many.
    return add(*lane, record, tag);
}

// Three steps a record, each some records behind the one before, so that what a step asks the cache for has come when the next one
// reads it, and the misses of many records overlap with each other and with the work on those before them.
Result<size_t> ProducerImpl::put_many(std::span<const frame::RecordView> records, uint64_t tag) {
    static_assert(std::has_single_bit(kUnderWayCount) && kUnderWayCount >= 2 * kStepRecords);
    std::array<uint64_t, kUnderWayCount> fingerprints;
    std::array<Lane*, kUnderWayCount> lanes;
    const bool many = routes_.size() > kColdLaneCount;
    for (size_t step = 0; step < records.size() + 2 * kStepRecords; ++step) {
        if (step < records.size()) {
            uint64_t& fingerprint = fingerprints[step % kUnderWayCount];
            fingerprint = keys_.fingerprint_of(records[step].partition_key);
            keys_.prefetch(fingerprint);
        }
        if (const size_t at = step - kStepRecords; at < records.size()) {
            Lane*& lane = lanes[at % kUnderWayCount];
            lane = records[at].explicit_hash ? nullptr : keys_.find(fingerprints[at % kUnderWayCount]);
            if (lane == nullptr) lane = route(records[at]);
            if (lane != nullptr && lane->open != nullptr) {
                lane->builder.prefetch(records[at].partition_key.size() + records[at].data.size());
                __builtin_prefetch(lane->tags.data() + lane->tags.size(), 1);
            }
        }
        const size_t at = step - 2 * kStepRecords;
        if (at >= records.size()) continue;  // Not yet: it wrapped around.
        // Adding may send, and sending fails no record; the map changes only between polls, so the lanes stay. No Status is copied here:
        // see put().
        if (const Status admitted = admit(records[at]); !admitted) return stopped(at, admitted.error());
        Lane* const lane = lanes[at % kUnderWayCount];
        if (lane == nullptr) {
            client_.refresh(stream_);
            return stopped(at, error_of(Errc::kUnavailable));
        }
        if (const Status added = add(*lane, records[at], tag); !added) return stopped(at, added.error());
        if (many) look_ahead(records[at].partition_key.size() + records[at].data.size());
    }
    return records.size();
}

// The batch that is closed next will be read once for its checksum; that of one in a thousand was touched last when thousands of
// records had still to come. For as many bytes as went in, as many of it are asked for.
void ProducerImpl::look_ahead(size_t bytes) {
    if (linger_first_ == nullptr) return;
    if (linger_first_ != ahead_lane_) {
        ahead_lane_ = linger_first_;
        ahead_bytes_ = 0;
        if (ahead_lane_->linger_after != nullptr) __builtin_prefetch(ahead_lane_->linger_after, 1);
        __builtin_prefetch(ahead_lane_->open.get(), 1);
    }
    const size_t step = (bytes + kLookAheadExtraBytes) / 64 * 64;
    if (ahead_lane_->builder.prefetch_added(ahead_bytes_, step)) ahead_bytes_ += step;
}

Lane* ProducerImpl::route(const frame::RecordView& record) {
    if (record.explicit_hash) return find_lane(*record.explicit_hash);
    const uint64_t fingerprint = keys_.fingerprint_of(record.partition_key);
    if (Lane* const known = keys_.find(fingerprint); known != nullptr) return known;
    Lane* const lane = find_lane(frame::hash_partition_key(record.partition_key));
    if (lane != nullptr) keys_.insert(fingerprint, lane);
    return lane;
}

Lane* ProducerImpl::find_lane(const HashKey& hash) const {
    const auto after = std::upper_bound(
        routes_.begin(), routes_.end(), hash,
        [](const HashKey& key, const Lane* lane) { return key < lane->shard.range.starting; });
    if (after == routes_.begin() || !(*(after - 1))->shard.range.contains(hash)) return nullptr;
    return *(after - 1);
}

Status ProducerImpl::add(Lane& lane, const frame::RecordView& record, uint64_t tag) {
    const uint64_t bytes = window_bytes_of(record);
    if (lane.open != nullptr && lane.builder.payload_bytes() + bytes > options_.batch_bytes) close_batch(lane);
    if (lane.open == nullptr) open_batch(lane);
    if (const Status added = lane.builder.add(record); !added) {
        if (lane.tags.empty()) {
            unlink_linger(lane);
            lane.exchange();
            recycle(std::move(lane.open));
        }
        return added;
    }
    lane.tags.push_back(tag);
    lane.window_bytes += bytes;
    in_flight_bytes_ += bytes;
    ++stats_.record_count;
    if (lane.builder.payload_bytes() >= options_.batch_bytes ||
        lane.tags.size() >= options_.batch_record_count || options_.linger_ns == 0) {
        close_batch(lane);
    }
    // Open batches hold at most half of the window. Were they let to fill it, everything would go at once when it is full, and
    // producer and box would work in turn instead of together.
    if (in_flight_bytes_ - closed_bytes_ > options_.window_bytes / 2) close_oldest();
    return {};
}

void ProducerImpl::open_batch(Lane& lane) {
    lane.open = take_batch();
    lane.exchange();
    lane.opened_ns = client_.now_ns();
    link_linger(lane);
}

// When time closes them many go one after the other: the next ones are asked for while this one is checksummed.
void ProducerImpl::close_oldest() {
    Lane& lane = *linger_first_;
    if (const Lane* next = lane.linger_after; next != nullptr) {
        if (next->linger_after != nullptr) {
            __builtin_prefetch(next->linger_after, 1);
            __builtin_prefetch(&next->linger_after->tags, 1);
        }
        next->builder.prefetch_added(0, kNextBatchBytes);
        __builtin_prefetch(next->open.get(), 1);
        __builtin_prefetch(&next->queue, 1);
    }
    close_batch(lane);
}

void ProducerImpl::close_batch(Lane& lane) {
    unlink_linger(lane);
    lane.exchange();
    Batch& batch = *lane.open;
    frame::BatchBuilder& builder = batch.frame->builder;
    const auto whole = builder.finish_frame();
    batch.record_count = builder.record_count();
    batch.blob_bytes = batch.window_bytes - kRecordOverheadBytes * batch.record_count;
    batch.deadline_ns = lane.opened_ns + options_.delivery_timeout_ns;
    frame::FrameHeader header;
    header.kind = frame::FrameKind::kAppend;
    header.flags = static_cast<uint16_t>(options_.ack);
    header.record_count = batch.record_count;
    frame::seal_frame(header, whole.subspan(frame::kHeaderBytes));
    std::memcpy(whole.data(), &header, sizeof(header));
    batch.frame->bytes = whole;
    batch.frame->handed_over = false;
    closed_bytes_ += batch.window_bytes;
    ++stats_.batch_count;
    lane.queue.push_back(std::move(lane.open));
    send(lane, lane.opened_ns);
}

// Batches of the size that goes into one datagram of the narrowest path; a larger one would go by TCP.
void ProducerImpl::fit_datagrams() {
    if (!client_.options().datagrams) return;
    for (uint32_t core = 0; const Connection* connection = client_.connection(core); ++core)
        options_.batch_bytes = std::min(options_.batch_bytes, connection->batch_bytes_max());
}

// The window is full. Batches that only linger would keep it so: the oldest go, until half of the
// window is on its way.
void ProducerImpl::make_room() {
    while (linger_first_ != nullptr && closed_bytes_ < options_.window_bytes / 2)
        close_oldest();
}

void ProducerImpl::link_linger(Lane& lane) {
    lane.linger_before = linger_last_;
    lane.linger_after = nullptr;
    (linger_last_ != nullptr ? linger_last_->linger_after : linger_first_) = &lane;
    linger_last_ = &lane;
}

void ProducerImpl::unlink_linger(Lane& lane) {
    (lane.linger_before != nullptr ? lane.linger_before->linger_after : linger_first_) =
        lane.linger_after;
    (lane.linger_after != nullptr ? lane.linger_after->linger_before : linger_last_) =
        lane.linger_before;
    lane.linger_before = lane.linger_after = nullptr;
}

BatchPointer ProducerImpl::take_batch() {
    if (free_.empty()) {
        auto batch = std::make_unique<Batch>();
        batch->frame = std::make_shared<SendBuffer>();
        return batch;
    }
    BatchPointer batch = std::move(free_.back());
    free_.pop_back();
    return batch;
}

void ProducerImpl::recycle(BatchPointer batch) {
    if (free_.size() >= kFreeBatchCountMax ||
        batch->frame->builder.capacity() > kKeptBufferBytesMax)
        return;
    SendBufferPointer frame = std::move(batch->frame);
    // A connection still holds bytes of an attempt that no longer matters: it keeps that buffer,
    // the batch gets a new one.
    if (frame.use_count() > 1) frame = std::make_shared<SendBuffer>();
    frame->builder.clear();
    frame->bytes = {};
    std::vector<uint64_t> tags = std::move(batch->tags);
    tags.clear();
    *batch = Batch{};
    batch->frame = std::move(frame);
    batch->tags = std::move(tags);
    free_.push_back(std::move(batch));
}

void ProducerImpl::flush() {
    while (linger_first_ != nullptr) close_oldest();
}

Status ProducerImpl::drain(uint64_t timeout_ns) {
    const bool done = client_.wait_until(client_.now_ns() + timeout_ns, [&] {
        flush();
        return in_flight_bytes_ == 0;
    });
    if (!done) return Errc::kTimeout;
    if (const Error error = std::exchange(first_error_, Error{}); error.code != Errc::kOk)
        return error;
    return {};
}

Result<std::pair<ShardId, SequenceNumber>> ProducerImpl::put_sync(const frame::RecordView& record) {
    const uint64_t deadline = client_.now_ns() + client_.options().request_timeout_ns;
    EAGRE_ASSERT(sync_ == nullptr);  // Not from inside a callback.
    Status taken = Errc::kBusy;
    client_.wait_until(deadline, [&] {
        taken = put(record, 0);
        return taken || taken.error().code != Errc::kBusy;
    });
    if (!taken) return taken.error();
    SyncPut sync;
    sync.serial = ++sync_serial_;
    Lane& lane = *route(record);
    // put may have closed the batch already; either way the record is the lane's newest.
    Batch& batch = lane.open != nullptr ? *lane.open : *lane.queue.back();
    batch.sync_serial = sync.serial;
    batch.sync_index = static_cast<uint32_t>((lane.open != nullptr ? lane.tags : batch.tags).size() - 1);
    sync_ = &sync;
    flush();
    client_.wait_until(deadline, [&] { return sync.done; });
    sync_ = nullptr;
    if (!sync.done) return Errc::kTimeout;
    if (sync.error.code != Errc::kOk) return sync.error;
    return std::pair{sync.shard, sync.sequence};
}

std::unique_ptr<Producer> make_producer_impl(ClientImpl& client, const StreamDescription& stream,
                                             const ProducerOptions& options) {
    return std::make_unique<ProducerImpl>(client, stream, options);
}

}  // namespace eagre::client
