#pragma once
// The payload of kAppend and kDeliver: records of one shard, as the FlatBuffers table `Batch` (wire/schema/batch.fbs).
// The bytes that a producer sends are the bytes on disk are the bytes that a consumer gets.
//
// Layout chosen by measurement: 8 bytes per record beside one blob builds, verifies and iterates about 8 x cheaper than
// a table per record. Key and data of each record lie back to back in the blob.

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "wire/base/limits.h"
#include "wire/base/result.h"
#include "wire/base/types.h"

namespace eagre::frame {

/// One record in a verified batch. Views into the batch's bytes.
struct RecordView {
    std::string_view partition_key;
    std::span<const std::byte> data = {};
    std::optional<HashKey> explicit_hash = std::nullopt;
    uint64_t source_time_ns = 0;   // 0: none given.
    uint64_t source_sequence = 0;  // 0: none given (feeds).
    bool gap = false;              // Of the box itself: `data` is JSON that tells what a feed has missed. Never of a client.
};

/// A verified batch. Cheap to copy; borrows the bytes.
class BatchView {
  public:
    /// Verifies `payload` (8-byte aligned) completely: FlatBuffers verifier (depth and table limits), then our own loop:
    /// ends rise, key lengths fit and are 1..kPartitionKeyBytesMax, the last end is the blob's size, 1..kBatchRecordCountMax
    /// records, optional vectors absent or one element per record, batches of two or more at most kBatchBytesMax.
    /// `record_count`: as the frame or run header claims; must agree. `record_bytes_max`: limit of one record's data.
    /// Errors: kBadSchema, kBadPartitionKey, kRecordTooLarge (detail = limit), kBadLength.
    static Result<BatchView> verify(std::span<const std::byte> payload, uint32_t record_count,
                                    uint64_t record_bytes_max = kRecordDataBytesMax);
    /// Trusts bytes whose run CRC was checked and that were verified when they were appended.
    static BatchView trusted(std::span<const std::byte> payload);

    uint32_t record_count() const { return record_count_; }
    /// `index` in 0..record_count()-1. O(1).
    RecordView record(uint32_t index) const;
    /// Whether there is a record of the box itself in it. Only of a batch that verify() has given.
    bool has_gap() const { return has_gap_; }
    /// Sum of key and data bytes.
    uint64_t blob_bytes() const { return blob_bytes_; }

  private:
    struct Parts;
    const void* table_ = nullptr;  // wire::Batch*
    const std::byte* blob_ = nullptr;
    const void* entries_ = nullptr;  // wire::Entry*
    uint64_t blob_bytes_ = 0;
    uint32_t record_count_ = 0;
    bool has_gap_ = false;
};

/// Builds one batch. Reused for many: after clear() nothing allocates until a batch outgrows all before it.
///
/// What add() touches lies in one cache line, and the places it writes to can be asked for before: a producer of a thousand
/// shards fills a thousand batches in turn, and every one of them is out of cache when its turn comes.
class BatchBuilder {
  public:
    BatchBuilder();
    ~BatchBuilder();
    BatchBuilder(BatchBuilder&& other) noexcept;
    BatchBuilder& operator=(BatchBuilder&& other) noexcept;

    /// Adds a record. Errors: kBadPartitionKey, kRecordTooLarge. The caller watches payload_bytes() and record_count().
    Status add(const RecordView& record);
    uint32_t record_count() const { return static_cast<uint32_t>(entry_count_); }
    /// Size that finish() will give, at most 128 bytes too high.
    size_t payload_bytes() const { return blob_end_ + entry_count_ * kEntryBytes + column_bytes_ - kSurplusBytes; }
    /// The finished payload (8-byte aligned, a multiple of 8 bytes), valid until clear() or the next add().
    std::span<const std::byte> finish();
    /// The same with kHeaderBytes of room in front for the frame header, so that header and payload go out as one piece and
    /// a batch can be kept for sending again where it was built. The room is the caller's; valid as long as finish() is.
    std::span<std::byte> finish_frame();
    void clear();
    /// Bytes of memory held for the payload.
    size_t capacity() const { return capacity_; }
    /// Asks the cache for where the next record of `bytes` will go. Inlined by force, like all that only prefetches: GCC 12 takes such a
    /// function for one without effect and drops the call.
    [[gnu::always_inline]] void prefetch(size_t bytes) const {
        for (size_t at = 0; at < bytes + kCacheLineBytes; at += kCacheLineBytes) __builtin_prefetch(bytes_ + blob_end_ + at, 1);
        __builtin_prefetch(entries_ + entry_count_, 1);
    }
    /// Asks the cache for `bytes` of what was added, from `offset` on. False: that was the end of it.
    [[gnu::always_inline]] bool prefetch_added(size_t offset, size_t bytes) const {
        const size_t end = offset + bytes < blob_end_ ? offset + bytes : blob_end_;
        for (size_t at = offset; at < end; at += kCacheLineBytes) __builtin_prefetch(bytes_ + at);
        return end < blob_end_;
    }

  private:
    struct Columns;
    static constexpr size_t kCacheLineBytes = 64;
    static constexpr size_t kEntryBytes = 8;
    static constexpr size_t kSurplusBytes = 17;  // The header's room, less what aligning and counting vectors takes at most; see batch.cc.

    void grow(size_t bytes);
    void grow_entries();
    void add_columns(const RecordView& record);

    std::byte* bytes_ = nullptr;  // Header's room, prelude and blob; behind them, after finish(), the vectors.
    size_t blob_end_ = 0;
    size_t capacity_ = 0;
    uint64_t* entries_ = nullptr;  // wire::Entry each.
    size_t entry_count_ = 0;
    size_t entry_capacity_ = 0;
    Columns* columns_ = nullptr;  // Null until a record has one.
    size_t column_bytes_ = 0;
};

/// MD5 of the partition key as a big-endian 128-bit number (Kinesis), or the explicit hash if given. 0.1 us.
HashKey hash_partition_key(std::string_view partition_key);
inline HashKey hash_of(const RecordView& record) {
    return record.explicit_hash ? *record.explicit_hash : hash_partition_key(record.partition_key);
}

}  // namespace eagre::frame
