#pragma once
// The append of one batch: identity of the producer, room, copy with CRC, verification, stamps. The only place where
// records get sequence numbers. Hot: allocates nothing but a new producer's entry.

#include <cstdint>
#include <span>

#include "dataplane/journal/journal.h"
#include "dataplane/shard/producer_table.h"
#include "dataplane/shard/shard.h"
#include "wire/base/result.h"
#include "wire/frame/frame.h"

namespace eagre::shard {

struct Appended {
    journal::CommitNumber commit;    // The answer may go out when this one is durable.
    SequenceNumber first_sequence;
    uint32_t record_count = 0;
    bool repeated = false;           // The batch was stored before; nothing was appended.
};

struct AppendContext {
    uint64_t map_version = 0;        // Of the stream, now.
    uint64_t wall_ns = 0;
    uint64_t now_ns = 0;             // Monotonic: quotas go by it.
    uint32_t sample = 0;             // Any number: picks the record whose key is re-hashed.
    bool check_map = true;           // False when the box routed the batch itself.
    bool accept_repeated = false;    // Mutant: see journal::Mutants.
    bool own = false;                // Of a feed of this box: built here, so neither verified nor sampled; its batch numbers rise, not by one.
};

/// Appends the batch in `payload` (8-byte aligned or not; it is copied first) as `header` describes it.
/// Errors: kBadCrc, kBadSchema, kBadPartitionKey, kRecordTooLarge, kBadLength, kWrongShard, kStaleMap, kShardClosed,
/// kUnknownProducer, kBatchOutOfOrder, kBatchMismatch, kBatchForgotten, kLimitExceeded, kBusy (window full, or the shard is being
/// closed: the caller keeps the frame and tries again after poll), kDiskFull, kStoreFull,
/// kThrottled (the shard's quota is spent; detail = ns to wait), kJournalFailed. Nothing is stored on any of them.
Result<Appended> append(Shard& shard, ProducerTable& producers, const frame::FrameHeader& header,
                        std::span<const std::byte> payload, const AppendContext& context);

}  // namespace eagre::shard
