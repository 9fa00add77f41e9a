#pragma once
// The frame header: 64 little-endian bytes in front of every payload, the same over TCP, UDP and the control socket.
// Pure functions over bytes; no I/O, no allocation. Every byte is described in wire/FORMAT.md.
//
// Verification order: header first (magic, version, header CRC, kind, length), then the payload's CRC-32C. Nothing reads
// a field before the header CRC has been checked, and nothing reads the payload before its own.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "wire/base/limits.h"
#include "wire/base/result.h"
#include "wire/base/types.h"

namespace eagre::frame {

inline constexpr uint32_t kMagic = 0x52474145;  // "EAGR"
inline constexpr uint8_t kVersion = 1;

enum class FrameKind : uint8_t {
    kHello = 1,            // payload Hello -> kHelloReply. First frame of every connection.
    kHelloReply = 2,       // payload HelloReply
    kMetadata = 3,         // payload MetadataRequest -> kMetadataReply
    kMetadataReply = 4,    // payload MetadataReply
    kAppend = 5,           // payload Batch -> kAppendReply (unless AckMode::kNone)
    kAppendReply = 6,      // header only
    kLocate = 7,           // header only: position -> sequence number
    kLocateReply = 8,      // header only
    kRead = 9,             // header only: kDeliver*, then kReadEnd
    kReadEnd = 10,         // header only; with kShardClosed the payload is the ids of the children, 8 bytes each
    kSubscribe = 11,       // header only: kSubscribed if it has an owner, kDeliver* as credit allows, kDeliverEnd when it is over
    kCredit = 12,          // header only: more credit for a subscription
    kUnsubscribe = 13,     // header only -> kDeliverEnd with kOk
    kDeliver = 14,         // payload Batch as stored: one run
    kDeliverEnd = 15,      // as kReadEnd
    kOpenDatagrams = 16,   // payload OpenDatagrams (TCP only) -> kDatagramsOpened: the session's token for datagrams
    kDatagramsOpened = 17, // payload DatagramsOpened
    kSubscribed = 18,      // header only: a subscription with an owner has begun
    kCommand = 20,         // payload Command (control socket only) -> kCommandReply
    kCommandReply = 21,    // payload CommandReply
    kChallenge = 24,       // payload Challenge: answer to a hello that names a key
    kProof = 25,           // payload Proof -> kHelloReply
    kGroup = 26,           // payload GroupRequest -> kGroupReply; the dataplane passes it on to control, and the answer back
    kGroupReply = 27,      // payload GroupReply, or none with an error
    kMeasure = 28,         // header only: how much of a shard lies behind a sequence number -> kMeasureReply
    kMeasureReply = 29,    // header only
    kError = 30,           // header only: reply to a frame that could not be understood; the connection is closed after it
};
inline constexpr uint8_t kFrameKindMax = 30;

/// HelloReply::features: the box takes datagrams on the port of the same number.
inline constexpr uint64_t kFeatureDatagrams = 0x1;

/// When a producer wants to hear of its batch. The low two bits of FrameHeader::flags of kAppend.
enum class AckMode : uint16_t { kDurable = 0, kAppended = 1, kNone = 2 };
inline constexpr uint16_t kAppendAckMask = 0x3;
/// kAppend: the sender does not know the map; `shard` holds the StreamId, `sequence` is 0, and the box hashes every key.
/// All keys must fall in one shard.
inline constexpr uint16_t kAppendRouteForMe = 0x4;

/// kLocate: what FrameHeader::sequence means. FrameHeader::flags holds this.
enum class Position : uint16_t {
    kTrimHorizon = 0,          // sequence ignored
    kLatest = 1,               // sequence ignored: just behind the durable tail
    kAtSequenceNumber = 2,     // sequence number
    kAfterSequenceNumber = 3,  // sequence number
    kAtTimestamp = 4,          // arrival time in ns since 1970: first record at or after it
};

/// 64 bytes. Fields that a kind does not name are 0. Replies carry Errc in `flags` and Error::detail in `detail`.
///
///  kind         shard    detail          number           sequence            record_count
///  Append       shard    producer id     batch number     map version         records
///  AppendReply  shard    Error::detail   batch number     first sequence no.  records
///  Locate       shard    -               -                by Position         -
///  LocateReply  shard    Error::detail   durable tail     next to read        -
///  Read         shard    -               max bytes        first wanted        max records (0: no limit)
///  ReadEnd      shard    Error::detail   durable tail     next to read        records delivered
///  Subscribe    shard    owner           credit bytes     first wanted        -
///  Subscribed   shard    -               durable tail     next to read        -
///  Credit       shard    -               credit bytes     -                   -
///  Deliver      shard    arrival ns      durable tail     first in the run    records in the run
///  DeliverEnd   shard    Error::detail   durable tail     next to read        -
///  Measure      shard    -               -                first unread        -
///  MeasureReply shard    as below        durable tail     bytes unread        -
///
/// MeasureReply: detail is the arrival time of the first unread record in ns, 0 when there is none, Error::detail with an error.
///
/// "Durable tail" is the sequence number that the next durable record will get. A reader that asked for a number in
/// the middle of a run gets the whole run and skips (wanted - sequence) records. A subscription is named by the
/// correlation id of its kSubscribe; all its frames carry that id. Each kDeliver is charged its header and payload. An owner
/// (0: none) has one subscription to a shard at a time: a later one takes over when the first is 5 s old, and is refused before.
struct FrameHeader {
    uint32_t magic = kMagic;
    uint8_t version = kVersion;
    FrameKind kind{};
    uint16_t flags = 0;
    uint32_t payload_bytes = 0;  // A multiple of 8, at most kFramePayloadBytesMax.
    uint32_t payload_crc = 0;    // CRC-32C of the payload; 0 when there is none.
    uint64_t correlation = 0;    // Chosen by the asking side, repeated in every answer.
    uint64_t shard = 0;
    uint64_t detail = 0;
    uint64_t number = 0;
    uint64_t sequence = 0;
    uint32_t record_count = 0;
    uint32_t header_crc = 0;     // CRC-32C of the 60 bytes before it.
};
static_assert(sizeof(FrameHeader) == 64);
static_assert(offsetof(FrameHeader, payload_bytes) == 8);
static_assert(offsetof(FrameHeader, correlation) == 16);
static_assert(offsetof(FrameHeader, record_count) == 56);
static_assert(offsetof(FrameHeader, header_crc) == 60);
inline constexpr size_t kHeaderBytes = sizeof(FrameHeader);

/// Fills in header_crc. Call last.
void seal_header(FrameHeader& header);

/// Sets payload_bytes and payload_crc from `payload` (a multiple of 8 bytes), then seals.
void seal_frame(FrameHeader& header, std::span<const std::byte> payload);

/// Checks the first 64 bytes of `bytes` (at least that many) and copies them out.
/// Errors: kBadMagic, kBadVersion, kBadCrc, kBadKind, kBadLength (payload over `payload_bytes_max` or not a multiple of 8).
Result<FrameHeader> decode_header(std::span<const std::byte> bytes,
                                  uint32_t payload_bytes_max = kFramePayloadBytesMax);

/// True when the payload's CRC is the one in the header.
bool payload_matches(const FrameHeader& header, std::span<const std::byte> payload);

/// A reply to `request`: same correlation and shard, with the error (or kOk) in place. Not sealed.
FrameHeader reply_to(const FrameHeader& request, FrameKind kind, Error error = {});

inline Errc errc_of(const FrameHeader& reply) { return static_cast<Errc>(reply.flags); }
inline AckMode ack_mode_of(const FrameHeader& append) {
    return static_cast<AckMode>(append.flags & kAppendAckMask);
}

}  // namespace eagre::frame
