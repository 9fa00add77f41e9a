#pragma once
// The catalogue: what streams there should be. It holds intentions; the journals hold facts, and
// facts win (streams/reconcile.h).
//
// One writer: the eagre-control that holds the lock of the data directory. An interface of get,
// compare-and-swap and watch, so that a cluster can put etcd in the place of the embedded SQLite
// (sqlite_catalog.h). One thread.
//
// Invariants: a change is applied whole or not at all, and is durable when apply() returns;
// revisions only grow; ids are never handed out twice, because the maxima are part of the change
// that uses them.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "wire/base/result.h"
#include "wire/base/types.h"
#include "wire/feeds/spec/feed_spec.h"

namespace eagre::catalog {

/// How far an intention has got. Numbers are stored: they keep their meaning.
enum class StreamState : uint8_t {
    kCreating = 1,  // Written down; the journals may know some, all or none of its shards.
    kActive = 2,    // The journals have said that they know all of it.
    kChanging = 3,  // As active; retention or record limit have still to be told.
    kDeleting = 4,  // To be deleted; the journals may still know it.
    kResharding = 5,  // Some of its shards are planned (streams/reshard.h); the journals may know some, all or none of them.
};

/// What people write on a stream; nobody but them reads meaning into it.
using Tags = std::map<std::string, std::string>;

struct StreamRow {
    StreamId id;
    std::string name;
    StreamState state = StreamState::kCreating;
    uint64_t retention_ms = 0;
    uint64_t record_bytes_max = 0;
    uint64_t created_ns = 0;  // Wall clock, ns since 1970.
    uint64_t map_version = 0;
    uint64_t retention_bytes = 0;      // 0: no limit.
    uint64_t quota_bytes_per_s = 0;    // Of each shard; 0: none.
    uint64_t quota_records_per_s = 0;  // The same.
    Tags tags;
    uint64_t revision = 0;  // Of the catalogue when this row was last put; 0: not stored yet.
    uint32_t scale_target = 0;  // So many shards of equal width are to be reached; 0: nothing to reach.
};

struct ShardRow {
    ShardId id;
    StreamId stream;
    HashKeyRange range;
    ShardId parent;
    ShardId adjacent_parent;
    JournalId journal;
    SequenceNumber first_sequence;  // 0: planned, not opened yet.
    bool open = true;
    uint32_t ordinal = 0;           // Among all shards that the stream ever had, from 1; 0: made by an older Eagre.
    friend bool operator==(const ShardRow&, const ShardRow&) = default;
};

/// A key and what it may do. The secret is sealed (control/access/key_ring.h); nobody reads it here.
struct KeyRow {
    std::string id;
    std::string name;  // One key in use of each name.
    std::vector<std::byte> sealed_secret;
    std::string allow;         // identity::Policy as text.
    uint64_t created_ns = 0;   // Wall clock, ns since 1970, like the two below.
    uint64_t expires_ns = 0;   // 0: never.
    uint64_t revoked_ns = 0;   // 0: in use.
    uint64_t generation = 1;   // One more with each new secret.
    uint64_t revision = 0;     // As in StreamRow.
};

using GroupId = Strong<struct GroupIdTag, uint64_t>;

/// A consumer group: how far one team has read one stream, and who reads (control/consumers/).
struct GroupRow {
    GroupId id;
    StreamId stream;
    std::string name;           // One group of each name on a stream.
    uint64_t heartbeat_ms = 0;  // A member that is silent for so long is taken for dead.
    uint64_t created_ns = 0;    // Wall clock, ns since 1970.
    uint64_t revision = 0;      // As in StreamRow.
};

/// A shard in a group. Absent rows are those whose fields would all be as here.
struct LeaseRow {
    GroupId group;
    ShardId shard;
    uint64_t token = 0;          // Of the last owner; a new owner gets a larger one.
    std::string member;          // Owner; empty: nobody.
    SequenceNumber next;         // Checkpoint: everything before it is done with. 0: from the trim horizon.
    bool ended = false;          // A closed shard that has been read to its end.
    uint64_t checkpoint_ns = 0;  // Wall clock of the last checkpoint; 0: none.
    friend bool operator==(const LeaseRow&, const LeaseRow&) = default;
};

struct MemberRow {
    GroupId group;
    std::string name;
    uint64_t session = 0;    // Tells one process under this name from the next.
    uint64_t joined_ns = 0;  // Wall clock.
    friend bool operator==(const MemberRow&, const MemberRow&) = default;
};

/// What a program keeps beside a stream, or beside the box (stream 0): a document under a name, of which Eagre knows no more.
struct NoteRow {
    StreamId stream;
    std::string name;  // One note of each name on a stream.
    std::string text;
    uint64_t revision = 0;  // As in StreamRow.
};

/// A feed (wire/feeds/spec/feed_spec.h). It stays when its stream goes: whoever added it takes it away.
struct FeedRow {
    feeds::FeedSpec spec;
    uint64_t revision = 0;  // As in StreamRow.
};

struct MetaRow {
    Epoch epoch;             // Last one taken.
    StreamId stream_id_max;  // Highest ever handed out.
    ShardId shard_id_max;
    uint64_t box_id_high =
        0;  // Box whose journals these rows were last reconciled with; 0, 0: none yet.
    uint64_t box_id_low = 0;
    uint64_t key_set_number = 0;  // Of the set of keys; grows with every change to one.
    uint64_t feed_set_number = 0;  // The same of feeds.
    uint32_t feed_id_max = 0;      // Highest ever handed out.
    uint64_t revision = 0;
};

/// Names a row as it was when the change was planned.
struct StreamVersion {
    StreamId id;
    uint64_t revision = 0;
};

struct KeyVersion {
    std::string id;
    uint64_t revision = 0;
};

struct FeedVersion {
    uint32_t id = 0;
    uint64_t revision = 0;
};

struct NoteVersion {
    StreamId stream;
    std::string name;
    uint64_t revision = 0;
};

/// One compare-and-swap over several rows. The revision in each put row and in `put_meta` is the
/// one expected to be stored (0: no such row yet); a shard is guarded by the row of its stream, leases
/// and members by there being their group. Groups and notes go with their stream.
/// Deletions are applied before puts, puts in order.
struct Change {
    std::vector<StreamVersion> delete_streams;  // With their shards.
    std::vector<ShardId> delete_shards;
    std::vector<StreamRow> put_streams;
    std::vector<ShardRow> put_shards;
    std::optional<MetaRow> put_meta;
    std::vector<KeyVersion> delete_keys;
    std::vector<KeyRow> put_keys;
    std::vector<GroupId> delete_groups;  // With their leases and members.
    std::vector<GroupRow> put_groups;
    std::vector<LeaseRow> delete_leases;  // Named by group and shard.
    std::vector<LeaseRow> put_leases;
    std::vector<MemberRow> delete_members;  // Named by group and name.
    std::vector<MemberRow> put_members;
    std::vector<NoteVersion> delete_notes;
    std::vector<NoteRow> put_notes;
    std::vector<FeedVersion> delete_feeds;
    std::vector<FeedRow> put_feeds;
    bool empty() const {
        return delete_streams.empty() && delete_shards.empty() && put_streams.empty() &&
               put_shards.empty() && !put_meta && delete_keys.empty() && put_keys.empty() &&
               delete_notes.empty() && put_notes.empty() && delete_feeds.empty() && put_feeds.empty() && !has_groups();
    }
    bool has_groups() const {
        return !delete_groups.empty() || !put_groups.empty() || !delete_leases.empty() ||
               !put_leases.empty() || !delete_members.empty() || !put_members.empty();
    }
};

class Watcher {
  public:
    virtual ~Watcher() = default;
    /// `applied`: the change as it was stored; put rows carry their new revision.
    virtual void on_change(const Change& applied) = 0;
};

class Catalog {
  public:
    virtual ~Catalog() = default;
    /// By id. Errors of all reads: kIo, kCorruptDirectory.
    virtual Result<std::vector<StreamRow>> streams() = 0;
    /// By id.
    virtual Result<std::vector<ShardRow>> shards(StreamId stream) = 0;
    virtual Result<MetaRow> meta() = 0;
    /// By id, the revoked ones too.
    virtual Result<std::vector<KeyRow>> keys() = 0;
    /// By id; leases by shard, members by name.
    virtual Result<std::vector<GroupRow>> groups() = 0;
    virtual Result<std::vector<LeaseRow>> leases(GroupId group) = 0;
    virtual Result<std::vector<MemberRow>> members(GroupId group) = 0;
    /// Of all streams and of the box: by stream and name.
    virtual Result<std::vector<NoteRow>> notes() = 0;
    /// By id.
    virtual Result<std::vector<FeedRow>> feeds() = 0;
    /// Applies `change` and returns true when it is durable; false, and nothing is changed, when a
    /// revision is not the expected one. Errors: kStreamExists, kKeyExists, kGroupExists, kFeedExists (the name belongs to another id),
    /// kDiskFull, kIo, kCorruptDirectory. Nothing is changed then.
    virtual Result<bool> apply(const Change& change) = 0;
    /// `watcher` hears of every change applied from now on, before apply() returns. Null: nobody.
    virtual void watch(Watcher* watcher) = 0;
};

}  // namespace eagre::catalog
