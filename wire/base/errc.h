#pragma once
// Every way in which a request can fail, in one list. A number, once given, keeps its meaning: it goes over the wire
// (FrameHeader::flags of a reply). Each line says who causes it, whether to retry, and which Kinesis exception it becomes.

#include <cstdint>
#include <string_view>

namespace eagre {

enum class Errc : uint16_t {
    kOk = 0,
    // -- The caller's bytes are wrong: do not retry as they are.
    kBadMagic = 1,            // Caller: not an Eagre frame. The connection is closed.
    kBadVersion = 2,          // Caller: frame version unknown to this box. Connection closed; upgrade the older side.
    kBadLength = 3,           // Caller: truncated, oversized or unaligned frame. Connection closed.
    kBadCrc = 4,              // Caller or network: CRC-32C differs. Connection closed; resend on a new one.
    kBadSchema = 5,           // Caller: FlatBuffers that lie about offsets, depth or counts. SerializationException.
    kBadKind = 6,             // Caller: unknown or misplaced frame kind. SerializationException.
    kRecordTooLarge = 7,      // Caller: record over the stream's limit; detail = limit in bytes. InvalidArgumentException.
    kBadPartitionKey = 8,     // Caller: key empty, over 256 characters, or not UTF-8. InvalidArgumentException.
    kBadArgument = 9,         // Caller: any other value out of range. InvalidArgumentException.
    // -- The thing named is not there.
    kUnknownStream = 20,      // Caller: no stream of this name. ResourceNotFoundException.
    kUnknownShard = 21,       // Caller: no such shard (or deleted). ResourceNotFoundException.
    kStreamExists = 22,       // Caller: name taken. ResourceInUseException.
    kLimitExceeded = 23,      // Caller: a table is full (shards, streams, producers). LimitExceededException.
    kSequenceInFuture = 24,   // Caller: position past the tail; detail = tail. InvalidArgumentException.
    kSequenceTrimmed = 25,    // Caller: position below the trim horizon; detail = horizon. Read from there.
    kShardClosed = 26,        // Not stored, and never will be; route anew, in order. detail = last sequence number.
    // -- The map is old or the place is another: refresh metadata, then retry.
    kStaleMap = 30,           // Client library: the shard map version is not current; refresh and route anew.
    kWrongShard = 31,         // Caller: a sampled key does not lie in the shard named. InvalidArgumentException.
    kNotOwner = 32,           // Nobody's fault: detail = port of the owning core. Retry there.
    kUnavailable = 33,        // The shard's journal is missing or failed; retry later. InternalFailure.
    // -- Not now: retry after `detail` ns (0: the client's own back-off).
    kBusy = 40,               // A bounded queue or pool is used up. ProvisionedThroughputExceededException.
    kThrottled = 41,          // A quota of the shard is spent. ProvisionedThroughputExceededException.
    kDiskFull = 42,           // No segment can be made ready. Retry when there is room. InternalFailure.
    kShuttingDown = 43,       // The box is stopping. Retry at its successor.
    kStoreFull = 44,          // The box's own limit on stored bytes is reached. Retry when there is room. InternalFailure.
    // -- Idempotent producers.
    kBatchMismatch = 50,      // Caller: same batch number, other bytes. Do not retry.
    kUnknownProducer = 51,    // Caller: unknown producer id that does not begin at batch 0. Take a new id.
    kBatchOutOfOrder = 52,    // Caller: batch number is not last + 1; detail = number expected.
    kBatchForgotten = 53,     // Caller: an old repeated number whose first answer is no longer kept.
    // -- The box could not do it.
    kOutcomeUnknown = 60,     // A write or sync failed: stored or not, nobody knows. Retry with the same batch number.
    kDamaged = 61,            // Stored bytes are rotten; detail = sequence number where reading can go on.
    kIo = 62,                 // The device said no; os_errno says how.
    kJournalFailed = 63,      // The journal refuses work until it is recovered.
    // -- Start-up and operator.
    kNewerFormat = 70,        // Data directory written by a newer Eagre; detail = its format version.
    kForeignBox = 71,         // A journal or data directory that belongs to another box id.
    kLocked = 72,             // The data directory is locked by another eagred; detail = its pid if known.
    kPortInUse = 73,          // Another process listens there; detail = port.
    kKernelTooOld = 74,       // io_uring lacks a needed feature.
    kInsecure = 75,           // Listening beyond loopback without authentication or --insecure.
    kStaleEpoch = 76,         // A command of a control process that has been superseded; detail = current epoch.
    kTimeout = 77,            // Nobody answered within the bound. Retry.
    kDisconnected = 78,       // The other side closed or cannot be reached. Retry.
    kCorruptDirectory = 79,   // A file of the data directory is not what it should be.
    kNotADirectory = 80,      // Not an Eagre data directory.
    kDirectoryTwice = 89,     // Operator: two places with one further data directory: a copy, or one mounted twice.
    // -- Identity.
    kUnauthenticated = 90,    // Caller: no key, an unknown, revoked or expired one, or a wrong secret. UnrecognizedClientException.
    kAccessDenied = 91,       // Caller: the key's policy does not allow this; detail = the actions missing. AccessDeniedException.
    kBadPolicy = 92,          // Caller: a rule that cannot be read; detail = its index. InvalidArgumentException.
    kUnknownKey = 93,         // Caller: no key of this name or id. ResourceNotFoundException.
    kKeyExists = 94,          // Caller: a key of this name is in use. ResourceInUseException.
    kKeyFileUnsafe = 95,      // Operator: others may read DATA/master.key; detail = its mode.
    kStaleKeys = 96,          // Control: its keys are older than those the box honours; detail = the box's number.
    kTlsRequired = 97,        // Caller: this port speaks TLS. Connection closed.
    kTlsFailed = 98,          // Either side: no TLS session came about (certificate, name, version). Connection closed.
    kBadCertificate = 99,     // Operator: certificate or private key cannot be read, or don't fit each other.
    // -- Consumer groups.
    kUnknownGroup = 110,      // Caller: no group of this name on the stream (or deleted). ResourceNotFoundException.
    kGroupExists = 111,       // Caller: the stream has a group of this name. ResourceInUseException.
    kGroupBusy = 112,         // Caller: not while members are active; detail = how many. ResourceInUseException.
    kUnknownMember = 113,     // Caller: never joined, left, or was silent for too long and taken for dead: join again.
    kMemberReplaced = 114,    // Caller: another process has joined under this member's name. Do not join again.
    kLeaseLost = 115,         // Caller: the shard has been leased anew; detail = the token that counts now. Stop reading it.
    kCheckpointBehind = 116,  // Caller: below the checkpoint that the lease has; detail = that.
    // -- Notes.
    kNoteChanged = 117,       // Caller: the note is not as it was when it was read; detail = its revision now, 0: it is not there.
    // -- Feeds.
    kUnknownFeed = 118,       // Caller: no feed of this name. ResourceNotFoundException.
    kFeedExists = 119,        // Caller: a feed of this name, or one at this address, is there. ResourceInUseException.
    kStaleFeeds = 122,        // Control: its feeds are older than those the box serves; detail = the box's number.
    // -- Subscriptions with an owner.
    kSubscribed = 120,        // Caller: the owner's subscription to the shard has just begun; detail = ns until it may be taken over. ResourceInUseException.
    kSubscriptionTaken = 121, // Nobody's fault: a later subscription of the same owner has taken over. ResourceInUseException.
};

/// Name as in the source without the k, for logs and JSON ("ShardClosed").
std::string_view errc_name(Errc code);
/// One sentence for people that says what is wrong and what to do next.
std::string_view errc_advice(Errc code);
/// True when sending the same request again (perhaps later, perhaps elsewhere) is the right thing to do.
bool errc_is_retryable(Errc code);

}  // namespace eagre
