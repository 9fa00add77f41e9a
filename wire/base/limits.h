#pragma once
// Every bound that two sides must agree on, by name. Past a limit: a typed error, never a hang.

#include <cstddef>
#include <cstdint>

namespace eagre {

inline constexpr size_t kKiB = 1024;
inline constexpr size_t kMiB = 1024 * kKiB;

// -- What a client may send.
inline constexpr size_t kPartitionKeyCharactersMax = 256;                  // Kinesis: PartitionKey, 1..256 characters.
inline constexpr size_t kPartitionKeyBytesMax = 4 * kPartitionKeyCharactersMax;  // UTF-8.
inline constexpr size_t kRecordDataBytesMax = 10 * kMiB;                   // Kinesis 2026: 10 MiB.
inline constexpr size_t kRecordDataBytesDefault = 1 * kMiB;
inline constexpr size_t kBatchBytesMax = 1 * kMiB;                         // Payload of an append frame with 2 or more records.
inline constexpr size_t kBatchRecordCountMax = 64 * kKiB;
/// A batch of one record of the largest size, with its FlatBuffers overhead, rounded up.
inline constexpr size_t kFramePayloadBytesMax = kRecordDataBytesMax + 64 * kKiB;
inline constexpr size_t kStreamNameBytesMax = 128;                         // Kinesis: [a-zA-Z0-9_.-]{1,128}.
inline constexpr size_t kControlPayloadBytesMax = 1 * kMiB;                // Any frame that is not an append or a deliver.
/// But for the answers that list shards (MetadataReply, CommandReply): the facts of a full box, at most 160 bytes a shard and
/// 176 and its name a stream, are 3.7 MiB.
inline constexpr size_t kListPayloadBytesMax = 4 * kMiB;

// -- What a box holds.
inline constexpr uint32_t kCoreCountMax = 64;
inline constexpr uint32_t kStreamShardCountMax = 10000;
inline constexpr uint32_t kBoxShardCountMax = 16384;
inline constexpr uint32_t kBoxStreamCountMax = 4096;
inline constexpr uint32_t kBoxJournalCountMax = 4096;      // Those of directories that are missing included.
inline constexpr uint32_t kBoxDirectoryCountMax = 65;      // The main one and 64 more.
static_assert(size_t{160} * kBoxShardCountMax + (176 + kStreamNameBytesMax) * kBoxStreamCountMax <= kListPayloadBytesMax);

// -- What a stream may be asked to be.
inline constexpr uint64_t kRetentionBytesMin = 1 * kMiB;                   // Per stream. An extent of the index holds up to 256 KiB.
inline constexpr uint64_t kRetentionBytesMax = uint64_t{1} << 60U;
inline constexpr uint64_t kQuotaPerSMax = uint64_t{1} << 40U;              // Bytes or records; more is no quota.
inline constexpr uint32_t kTagCountMax = 50;                               // Kinesis: 50 tags, 128 and 256 characters.
inline constexpr uint32_t kTagKeyCharactersMax = 128;
inline constexpr uint32_t kTagValueCharactersMax = 256;

// -- Notes: what programs keep beside streams. All of a box fit one answer.
inline constexpr size_t kNoteNameBytesMax = 256;
inline constexpr size_t kNoteTextBytesMax = 24 * kKiB;
inline constexpr uint32_t kBoxNoteCountMax = 16384;
inline constexpr size_t kNoteOverheadBytes = 192;                          // Of one in an answer, with its stream's name.
inline constexpr size_t kBoxNoteBytesMax = 3 * kMiB;                       // Names, texts and overhead.
static_assert(kBoxNoteBytesMax + kMiB / 2 <= kListPayloadBytesMax);

// -- Consumer groups.
inline constexpr size_t kGroupNameBytesMax = 128;                          // As a stream's.
inline constexpr size_t kMemberNameBytesMax = 128;
inline constexpr uint32_t kGroupHeartbeatMsDefault = 3000;
inline constexpr uint32_t kGroupHeartbeatMsMin = 300;
inline constexpr uint32_t kGroupHeartbeatMsMax = 60'000;

// -- Datagrams.
/// Numbered packets of one session that may be on their way: the box keeps those that come too early until the gap is filled.
inline constexpr uint32_t kDatagramWindow = 1024;
inline constexpr uint32_t kDatagramBytesDefault = 1400;                    // Fits a path of 1,500 with tunnels to spare.
inline constexpr uint32_t kDatagramBytesMin = 512;
inline constexpr uint32_t kDatagramBytesMax = 8952;                        // A path of 9,000 less the headers of IPv6 and UDP.

// -- Idempotent producers.
/// Results kept per (producer, shard): a client may have at most this many batches of one shard in flight.
inline constexpr uint32_t kProducerWindow = 16;

inline constexpr uint16_t kPortDefault = 4568;  // Core k listens on port + k.

}  // namespace eagre
