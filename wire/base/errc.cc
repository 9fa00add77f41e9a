#include "wire/base/errc.h"

namespace eagre {
namespace {

struct ErrcText {
    Errc code;
    bool retryable;
    std::string_view name;
    std::string_view advice;
};

constexpr ErrcText kTexts[] = {
    {Errc::kOk, false, "Ok", "no error"},
    {Errc::kBadMagic, false, "BadMagic", "these bytes are not an Eagre frame: is something else speaking to this port?"},
    {Errc::kBadVersion, false, "BadVersion", "the frame version is unknown here: upgrade the older side"},
    {Errc::kBadLength, false, "BadLength", "the frame is truncated, too long or not a multiple of 8 bytes"},
    {Errc::kBadCrc, true, "BadCrc", "the bytes changed on the way (CRC-32C differs): connect anew and resend"},
    {Errc::kBadSchema, false, "BadSchema", "the payload does not verify against its schema: check the client library"},
    {Errc::kBadKind, false, "BadKind", "a frame of this kind is not expected here"},
    {Errc::kRecordTooLarge, false, "RecordTooLarge", "the record is over the limit of its stream: make it smaller"},
    {Errc::kBadPartitionKey, false, "BadPartitionKey", "a partition key has 1 to 256 characters of UTF-8"},
    {Errc::kBadArgument, false, "BadArgument", "a value is out of its range: see --help"},
    {Errc::kUnknownStream, false, "UnknownStream", "there is no such stream: see 'eagre stream list'"},
    {Errc::kUnknownShard, false, "UnknownShard", "there is no such shard: see 'eagre stream describe'"},
    {Errc::kStreamExists, false, "StreamExists", "a stream of this name exists already"},
    {Errc::kLimitExceeded, false, "LimitExceeded", "a table of the box is full: delete something or raise the limit"},
    {Errc::kSequenceInFuture, false, "SequenceInFuture", "the sequence number lies beyond the tail of the shard"},
    {Errc::kSequenceTrimmed, false, "SequenceTrimmed", "the record was removed by retention: read from trim_horizon"},
    {Errc::kShardClosed, false, "ShardClosed", "the shard is closed: write to its children"},
    {Errc::kStaleMap, true, "StaleMap", "the shard map has changed: refresh it and route anew"},
    {Errc::kWrongShard, false, "WrongShard", "the partition key does not lie in the range of the shard named"},
    {Errc::kNotOwner, true, "NotOwner", "another core owns the shard: go to the port named"},
    {Errc::kUnavailable, true, "Unavailable", "a data directory of the box is missing, or a journal is missing or has failed: see 'eagre stream describe' and the log of eagred"},
    {Errc::kBusy, true, "Busy", "a bounded queue is full: retry a little later"},
    {Errc::kThrottled, true, "Throttled", "the quota of the shard is spent: retry later"},
    {Errc::kDiskFull, true, "DiskFull", "there is no room for another segment: free disk space or shorten retention"},
    {Errc::kStoreFull, true, "StoreFull", "the box stores as much as --store-bytes-max lets it: shorten retention, delete streams, or raise the limit"},
    {Errc::kShuttingDown, true, "ShuttingDown", "the box is stopping: retry when it is back"},
    {Errc::kBatchMismatch, false, "BatchMismatch", "this batch number was used before with other bytes"},
    {Errc::kUnknownProducer, false, "UnknownProducer", "the producer id is not known (idle too long?): take a new one"},
    {Errc::kBatchOutOfOrder, false, "BatchOutOfOrder", "the batch number is not the last one plus one"},
    {Errc::kBatchForgotten, false, "BatchForgotten", "the answer to this old batch is no longer kept"},
    {Errc::kOutcomeUnknown, true, "OutcomeUnknown", "the device failed while writing: retry with the same batch number"},
    {Errc::kDamaged, false, "Damaged", "stored bytes are rotten here: run 'eagre verify' and read on behind them"},
    {Errc::kIo, true, "Io", "the device or the network reported an error"},
    {Errc::kJournalFailed, true, "JournalFailed", "the journal refuses work after a device error: restart eagred to recover it"},
    {Errc::kNewerFormat, false, "NewerFormat", "this data directory was written by a newer Eagre: upgrade this one"},
    {Errc::kForeignBox, false, "ForeignBox", "this journal or directory belongs to another box: give each box its own"},
    {Errc::kLocked, false, "Locked", "another eagred uses this data directory: stop it first or choose another --data"},
    {Errc::kPortInUse, false, "PortInUse", "the port is taken: stop the other process or choose another --port"},
    {Errc::kKernelTooOld, false, "KernelTooOld", "io_uring lacks a needed feature: Linux 6.1 or newer, io_uring_disabled=0"},
    {Errc::kInsecure, false, "Insecure", "refusing to listen beyond loopback: say --auth on, or --insecure if everybody on that network may read and write"},
    {Errc::kStaleEpoch, false, "StaleEpoch", "a newer control process has taken over"},
    {Errc::kTimeout, true, "Timeout", "no answer within the time allowed: is eagred running?"},
    {Errc::kDisconnected, true, "Disconnected", "cannot reach the other side: is eagred running?"},
    {Errc::kCorruptDirectory, false, "CorruptDirectory", "a file of the data directory is not what it should be"},
    {Errc::kNotADirectory, false, "NotADirectory", "this is not an Eagre data directory: choose an empty one or an existing one"},
    {Errc::kDirectoryTwice, false, "DirectoryTwice", "this data directory is here twice: unmount the second, or move the copy away"},
    {Errc::kUnauthenticated, false, "Unauthenticated", "the box honours no such key, or the secret is wrong: give --key-id and --secret-file of a key from 'eagre key create'"},
    {Errc::kAccessDenied, false, "AccessDenied", "the policy of this key does not allow that: see 'eagre key list'"},
    {Errc::kBadPolicy, false, "BadPolicy", "a rule is put, get, manage or all, a colon and a pattern of stream names: put:ticks-*"},
    {Errc::kUnknownKey, false, "UnknownKey", "there is no such key in use: see 'eagre key list'"},
    {Errc::kKeyExists, false, "KeyExists", "a key of this name is in use: choose another name, or rotate it"},
    {Errc::kKeyFileUnsafe, false, "KeyFileUnsafe", "only its owner, the user of the service, may read master.key: chmod 600, and new keys if it was read"},
    {Errc::kStaleKeys, true, "StaleKeys", "the catalogue's keys are older than those the box honours: see the log of eagre-control"},
    {Errc::kTlsRequired, false, "TlsRequired", "this port speaks TLS: connect with --tls"},
    {Errc::kTlsFailed, false, "TlsFailed", "no TLS session came about: check --tls-ca, the name in the certificate, and that the port speaks TLS"},
    {Errc::kBadCertificate, false, "BadCertificate", "the certificate or its private key can't be read, or they don't fit each other"},
    {Errc::kUnknownGroup, false, "UnknownGroup", "the stream has no such consumer group: see 'eagre group list'"},
    {Errc::kGroupExists, false, "GroupExists", "the stream has a consumer group of this name: choose another name, or 'eagre group reset' it"},
    {Errc::kGroupBusy, false, "GroupBusy", "members of the group are active: stop them first, or say --force and they lose their leases"},
    {Errc::kUnknownMember, false, "UnknownMember", "the group does not know this member, or took it for dead: join again"},
    {Errc::kMemberReplaced, false, "MemberReplaced", "another process has joined the group under this member's name: give each its own"},
    {Errc::kLeaseLost, false, "LeaseLost", "the shard has been leased to another member: stop reading it; what is not checkpointed is read again there"},
    {Errc::kCheckpointBehind, false, "CheckpointBehind", "a checkpoint does not run backwards: to read again use 'eagre group reset'"},
    {Errc::kNoteChanged, false, "NoteChanged", "the note has changed since it was read: read it again"},
    {Errc::kUnknownFeed, false, "UnknownFeed", "there is no such feed: see 'eagre feed list'"},
    {Errc::kFeedExists, false, "FeedExists", "a feed of this name, or one that listens at this address, is there: see 'eagre feed list'"},
    {Errc::kStaleFeeds, true, "StaleFeeds", "the box serves feeds of a later catalogue"},
    {Errc::kSubscribed, false, "Subscribed", "another subscription of this owner to the shard has just begun: stop it, or try again in a few seconds to take over"},
    {Errc::kSubscriptionTaken, false, "SubscriptionTaken", "a later subscription of the same owner to the shard has taken over"},
};

const ErrcText* find(Errc code) {
    for (const ErrcText& text : kTexts) {
        if (text.code == code) return &text;
    }
    return nullptr;
}

}  // namespace

std::string_view errc_name(Errc code) {
    const ErrcText* text = find(code);
    return text != nullptr ? text->name : "Unknown";
}

std::string_view errc_advice(Errc code) {
    const ErrcText* text = find(code);
    return text != nullptr ? text->advice : "an error code that this version does not know: upgrade the client";
}

bool errc_is_retryable(Errc code) {
    const ErrcText* text = find(code);
    return text != nullptr && text->retryable;
}

}  // namespace eagre
