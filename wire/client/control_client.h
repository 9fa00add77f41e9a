#pragma once
// Speaks to eagre-control over its Unix socket: create, delete, list, describe streams. Used by the CLI and by tests.
// Frames as everywhere: kCommand/kCommandReply with the tables of wire/schema/admin.fbs.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wire/base/result.h"
#include "wire/client/client.h"
#include "wire/feeds/spec/feed_spec.h"

namespace eagre::client {

using StreamTags = std::vector<std::pair<std::string, std::string>>;

struct CreateStream {
    std::string name;
    uint32_t shard_count = 1;
    uint64_t retention_ms = 24ULL * 3600 * 1000;
    uint64_t record_bytes_max = kRecordDataBytesDefault;
    uint64_t retention_bytes = 0;      // 0: no limit; else at least kRetentionBytesMin.
    uint64_t quota_bytes_per_s = 0;    // Of each shard, batch bytes; 0: none.
    uint64_t quota_records_per_s = 0;  // The same.
    StreamTags tags = {};              // At most kTagCountMax.
    std::string note_name = {};        // A note (below) that is there from the first moment; empty: none.
    std::string note_text = {};
};

/// What is to be different; what is absent stays. As in CreateStream, 0 takes a limit or quota away.
struct SetStream {
    std::string name;
    std::optional<uint64_t> retention_ms = {};
    std::optional<uint64_t> retention_bytes = {};
    std::optional<uint64_t> record_bytes_max = {};  // Producers that are connected learn it with their next batch.
    std::optional<uint64_t> quota_bytes_per_s = {};
    std::optional<uint64_t> quota_records_per_s = {};
};

struct KeyDescription {
    std::string id;
    std::string name;
    std::string allow;        // Rules of its policy, blanks between them.
    uint64_t created_ns = 0;  // Wall clock, ns since 1970, like the two below.
    uint64_t expires_ns = 0;  // 0: never.
    uint64_t revoked_ns = 0;  // 0: in use.
    uint64_t generation = 0;  // 1, and one more with each rotation.
    std::string secret;       // Only from create_key and rotate_key.
    std::vector<std::byte> sealed_secret;  // Opens with the data directory's key file (control/access/key_ring.h).
};

// -- Consumer groups, as control describes them. What is not `known` could not be measured: a shard's journal is missing, or the
// dataplane does not answer.

struct GroupMember {
    std::string name;
    uint64_t joined_ns = 0;  // Wall clock.
    uint64_t silent_ns = 0;  // Since its last sign of life.
    uint32_t shard_count = 0;
};

struct GroupShard {
    ShardId shard;
    std::string member;          // Who reads it; empty: nobody.
    uint64_t token = 0;          // Of the last lease.
    SequenceNumber next;         // Checkpoint: everything before it is done with. 0: none, from the trim horizon.
    uint64_t checkpoint_ns = 0;  // Wall clock of it; 0: none.
    bool ended = false;          // A closed shard that was read to its end.
    bool waits = false;          // For its parents to be read.
    bool releasing = false;      // Its owner has been asked to give it up.
    bool known = false;
    SequenceNumber tail;         // Durable.
    uint64_t unread_records = 0;
    uint64_t unread_bytes = 0;     // Exact near the tail, else a bound from above.
    uint64_t unread_since_ns = 0;  // When the first unread record arrived; 0: nothing is unread.
};

struct GroupDescription {
    std::string stream;
    std::string name;
    uint64_t heartbeat_ms = 0;
    uint64_t created_ns = 0;
    uint32_t member_count = 0;
    uint32_t shard_count = 0;
    bool known = false;           // Of every shard; then the sums below are sound.
    uint64_t unread_records = 0;
    uint64_t unread_bytes = 0;
    uint64_t unread_since_ns = 0;  // Of the oldest unread record.
    std::vector<GroupMember> members;
    std::vector<GroupShard> shards;  // By describe_group only.
};

struct ResetGroup {
    std::string stream;
    std::string group;
    StartAt to = {};
    std::vector<ShardId> shards = {};  // Empty: all.
    bool force = false;                // Although members are active: they lose their leases.
};

/// Where shards may lie: the journals of the box, each in a data directory and served by a core.
struct JournalPlace {
    uint32_t id = 0;
    uint32_t directory = 0;  // 0: the main one.
    uint32_t core = 0;
    bool available = true;   // False: its directory is missing.
};
struct DirectoryPlace {
    uint32_t number = 0;
    std::string path;        // Where it is, or was when last seen.
    bool available = true;
};
struct BoxPlaces {
    std::vector<JournalPlace> journals;
    std::vector<DirectoryPlace> directories;
};

/// A shard that should go on in another journal.
struct ShardMove {
    std::string stream;
    ShardId shard;
    uint32_t from = 0;  // Journals.
    uint32_t to = 0;
};

/// What a program keeps beside a stream, or beside the box: a document under a name. It goes with its stream.
struct Note {
    std::string stream;     // Empty: the box.
    std::string name;       // At most kNoteNameBytesMax.
    std::string text;       // At most kNoteTextBytesMax.
    uint64_t revision = 0;  // As it was read; 0: there is none yet.
};

class ControlClient {
  public:
    /// `socket_path`: DATA/control.sock. Errors: kDisconnected, kTimeout.
    static Result<std::unique_ptr<ControlClient>> connect(const std::string& socket_path, uint64_t timeout_ns);
    virtual ~ControlClient() = default;
    /// Waits until the stream is durable in the journals. Errors: kStreamExists, kBadArgument, kLimitExceeded, kUnavailable.
    virtual Result<StreamDescription> create_stream(const CreateStream& request) = 0;
    virtual Status delete_stream(std::string_view name) = 0;
    virtual Status set_retention(std::string_view name, uint64_t retention_ms) = 0;
    /// Waits until all shards of the stream go by it. Errors: kUnknownStream, kBadArgument (message() says which value), kBusy (it
    /// is just being created), kRecordTooLarge (detail: the box can't store more), kUnavailable, kTimeout (written down, and will be done).
    virtual Status set_stream(const SetStream& request) = 0;
    /// Puts tags on, over those with the same keys. Errors: kUnknownStream, kBadArgument, kLimitExceeded.
    virtual Status tag_stream(std::string_view name, const StreamTags& tags) = 0;
    /// Takes the tags with these keys off, as far as they are there. Errors: kUnknownStream.
    virtual Status untag_stream(std::string_view name, const std::vector<std::string>& keys) = 0;
    virtual Result<std::vector<StreamDescription>> list_streams() = 0;
    virtual Result<StreamDescription> describe_stream(std::string_view name) = 0;
    /// All three wait until the new shards are open, and answer the stream as it is then; order per key is kept through them.
    /// `at`: first hash key of the upper child; none: the middle. Errors: kUnknownStream, kUnknownShard, kShardClosed (detail: the
    /// shard), kBadArgument (the split point lies outside; the shards are not neighbours), kLimitExceeded, kBusy, kUnavailable,
    /// kTimeout (written down, and done when it can be).
    virtual Result<StreamDescription> split_shard(std::string_view stream, ShardId shard, std::optional<HashKey> at) = 0;
    virtual Result<StreamDescription> merge_shards(std::string_view stream, ShardId one, ShardId other) = 0;
    /// To `shard_count` shards of equal width, in as few steps as a child's two parents allow.
    virtual Result<StreamDescription> scale_stream(std::string_view stream, uint32_t shard_count) = 0;
    /// What would have to be moved so that open shards are spread evenly over cores and data directories; places() then says where
    /// journals lie. Bounded: when all of it is done there may be more. Errors: kUnavailable.
    virtual Result<std::vector<ShardMove>> plan_rebalance() = 0;
    /// Moves open shards of one stream (1 to 64): each is closed, and a child with its hash keys opened in the other journal. Waits until
    /// that is durable. Errors: kUnknownStream, kUnknownShard, kShardClosed, kBusy (another change of the stream is under way),
    /// kBadArgument (it lies there already), kLimitExceeded, kUnavailable, kTimeout (written down, and will be done).
    virtual Status move_shards(std::span<const ShardMove> moves) = 0;
    virtual Status accept_clock() = 0;
    /// All of these wait until every core of the box goes by the change. `allow`: rules (wire/identity/policy.h) with blanks between
    /// them; `expires_ns`: 0: never. Errors: kKeyExists, kBadArgument, kBadPolicy, kLimitExceeded, kUnavailable.
    virtual Result<KeyDescription> create_key(std::string_view name, std::string_view allow, uint64_t expires_ns) = 0;
    /// `name` of a key in use, or its id. Errors: kUnknownKey, kUnavailable (revoke: written down all the same).
    virtual Result<KeyDescription> rotate_key(std::string_view name) = 0;
    virtual Result<KeyDescription> revoke_key(std::string_view name) = 0;
    /// With the revoked ones, by id.
    virtual Result<std::vector<KeyDescription>> list_keys() = 0;

    /// `spec`: without id, stream id and creation time. Durable in the dataplane when answered, with what was left out. Errors: kBadArgument (the
    /// message says what), kUnknownStream, kFeedExists, kLimitExceeded, kStaleFeeds (ask again), kUnavailable.
    virtual Result<feeds::FeedSpec> add_feed(const feeds::FeedSpec& spec) = 0;
    /// Errors: kUnknownFeed, kUnavailable (written down all the same).
    virtual Status remove_feed(std::string_view name) = 0;
    virtual Status pause_feed(std::string_view name, bool paused) = 0;
    /// By id; `name` empty: all. Errors: kUnknownFeed.
    virtual Result<std::vector<feeds::FeedSpec>> list_feeds(std::string_view name) = 0;
    /// Errors of these: kUnknownStream, kUnknownGroup, kUnavailable, and as said.
    /// `heartbeat_ms` 0: the default. Errors: kGroupExists, kBadArgument, kLimitExceeded, kSequenceTrimmed, kSequenceInFuture.
    virtual Status create_group(std::string_view stream, std::string_view group, const StartAt& start, uint32_t heartbeat_ms) = 0;
    /// Errors: kGroupBusy (detail = active members), kSequenceTrimmed (detail = horizon), kSequenceInFuture (detail = tail),
    /// kUnknownShard, kBadArgument (a sequence number for several shards).
    virtual Status reset_group(const ResetGroup& request) = 0;
    /// Errors: kGroupBusy.
    virtual Status delete_group(std::string_view stream, std::string_view group, bool force) = 0;
    /// Of one stream, or of all when it is empty; without their shards.
    virtual Result<std::vector<GroupDescription>> list_groups(std::string_view stream) = 0;
    virtual Result<GroupDescription> describe_group(std::string_view stream, std::string_view group) = 0;
    /// Notes whose names begin with `prefix`: of one stream, or of all of them and the box where `stream` is empty. Errors: kUnknownStream.
    virtual Result<std::vector<Note>> list_notes(std::string_view stream, std::string_view prefix) = 0;
    /// Durable when answered, with its new revision. Errors: kUnknownStream, kNoteChanged (it is not of `note.revision` any more; detail =
    /// what it is of), kBadArgument (too long), kLimitExceeded.
    virtual Result<Note> put_note(const Note& note) = 0;
    /// Errors: as put_note.
    virtual Status delete_note(const Note& note) = 0;
    /// As the last answer told them: those of describe_stream and plan_rebalance do. Empty while the dataplane does not answer.
    virtual const BoxPlaces& places() const = 0;
    /// What control said for people with its last answer: why it refused, or that an answer comes from the catalogue alone.
    /// Empty when it had nothing to say, or did not answer.
    virtual const std::string& message() const = 0;
};

}  // namespace eagre::client
