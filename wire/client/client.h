#pragma once
// Eagre's C++ client: connect, look at streams, produce, consume. Single-threaded: everything happens inside poll() and
// the calls that say they wait; a program that wants two threads makes two Clients. See README.md for a tutorial.
//
// The client keeps one connection per core of the box, routes each batch straight to the owning core, refreshes the shard
// map when told that it is stale, reconnects with bounded back-off, and resends what was not answered in order, with the
// same producer id and batch numbers, to the shard that was tried first. Only ShardClosed routes anew.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "wire/base/histogram.h"
#include "wire/base/result.h"
#include "wire/base/types.h"
#include "wire/client/transport.h"
#include "wire/frame/batch.h"
#include "wire/frame/frame.h"
#include "wire/identity/crypto.h"

namespace eagre::client {

struct ShardDescription {
    ShardId id;
    HashKeyRange range;
    ShardId parent;
    ShardId adjacent_parent;
    bool open = true;
    bool available = true;
    uint32_t journal = 0;
    uint32_t core = 0;
    uint16_t port = 0;
    SequenceNumber trim_horizon;
    SequenceNumber next_sequence;
    SequenceNumber first_sequence;
    uint64_t opened_ns = 0;  // Wall clock of its opening: not after its first record's arrival, not before its parents' last.
    uint32_t ordinal = 0;  // Among all shards that the stream ever had, from 1; 0: made by an older Eagre.
};

/// What is under way with a stream. Only eagre-control tells.
enum class StreamState : uint8_t {
    kUnknown = 0,
    kActive = 1,
    kChanging = 2,    // Its limits: written down, the dataplane has still to be told.
    kResharding = 3,  // A split, merge, move or scaling, also between the steps of one.
};

struct StreamDescription {
    StreamId id;
    std::string name;
    uint64_t map_version = 0;
    uint64_t retention_ms = 0;
    uint64_t record_bytes_max = 0;
    uint64_t created_ns = 0;
    std::vector<ShardDescription> shards;  // By id. Empty in lists.
    uint32_t shard_count = 0;              // In lists too.
    uint64_t retention_bytes = 0;          // 0: no limit.
    uint64_t quota_bytes_per_s = 0;        // Of each shard, batch bytes; 0: none.
    uint64_t quota_records_per_s = 0;      // The same.
    uint64_t stored_bytes = 0;             // In the journals, above the horizons, as they last counted. Not in lists.
    std::vector<std::pair<std::string, std::string>> tags;  // By key. Only eagre-control tells them.
    StreamState state = StreamState::kUnknown;
    uint32_t scale_target = 0;  // So many open shards are being reached; 0: no scaling is under way.
};

struct ClientOptions {
    std::string address = "127.0.0.1";  // Numeric.
    uint16_t port = kPortDefault;       // Of core 0.
    std::string name = "eagre-client";
    uint64_t request_timeout_ns = 5'000'000'000ULL;   // Of one request, retries included.
    uint64_t reconnect_ns_min = 1'000'000ULL;         // Back-off doubles from here with jitter ...
    uint64_t reconnect_ns_max = 200'000'000ULL;       // ... to here.
    /// Batches go by UDP, one per datagram; all else, and batches too large for one, by TCP. Producers are then idempotent
    /// unless they want no acknowledgement at all; those are sent once and may be lost, and the box counts the gaps.
    bool datagrams = false;
    uint32_t datagram_bytes = kDatagramBytesDefault;  // 0: what the path takes. At most kDatagramBytesMax.
    std::string key_id = {};                          // Empty: no key. See 'eagre key create'.
    std::optional<TlsOptions> tls = {};               // Given: TLS 1.3, and only to a box whose certificate fits.
    identity::Bytes32 secret{};                       // Of the key (identity::parse_secret). Proved, never sent.
};

class Producer;
class Consumer;
class GroupConsumer;
class Fetcher;
struct ProducerOptions;
struct ConsumerOptions;
struct GroupOptions;

class Client {
  public:
    /// Connects and says hello, and proves the key if one is given. Waits. Errors: kDisconnected, kTimeout, kBadVersion,
    /// kUnauthenticated (also: the box could not prove that it knows our key), kTlsRequired, kTlsFailed.
    static Result<std::unique_ptr<Client>> connect(std::unique_ptr<Transport> transport, const ClientOptions& options);
    virtual ~Client() = default;

    /// One turn: waits at most `timeout_ns` for the network, then lets producers and consumers get on.
    virtual void poll(uint64_t timeout_ns) = 0;

    /// Waits for the answer. Errors: kUnknownStream, kTimeout.
    virtual Result<StreamDescription> describe(std::string_view stream) = 0;
    /// All streams, without their shards. Waits.
    virtual Result<std::vector<StreamDescription>> list() = 0;
    /// Position -> sequence number. `value`: sequence number or time in ns, as Position says. Waits.
    virtual Result<SequenceNumber> locate(ShardId shard, frame::Position position, uint64_t value) = 0;

    /// Waits for the shard map. The client must outlive what it makes.
    virtual Result<std::unique_ptr<Producer>> make_producer(std::string_view stream, const ProducerOptions& options) = 0;
    /// Errors of make_consumer also: kUnknownShard (detail: one of `options.shards` that the stream does not have).
    virtual Result<std::unique_ptr<Consumer>> make_consumer(std::string_view stream, const ConsumerOptions& options) = 0;

    /// Does not wait: `stream` is its map, as describe() or a Fetcher told it; when it is stale the box says so.
    virtual std::unique_ptr<Producer> make_producer(const StreamDescription& stream, const ProducerOptions& options) = 0;
    virtual std::unique_ptr<Consumer> make_consumer(const StreamDescription& stream, const ConsumerOptions& options) = 0;
    /// For single questions (fetcher.h).
    virtual std::unique_ptr<Fetcher> make_fetcher() = 0;

    virtual Transport& transport() = 0;
    virtual uint64_t incarnation() const = 0;

    /// Joins a consumer group of the stream, which is made if it is not there (group_consumer.h). Waits for the first leases. Errors:
    /// kUnknownStream, kUnavailable (control is down: reading goes on elsewhere, joining does not), kAccessDenied, kLimitExceeded,
    /// kBadArgument (names; detail = their longest), kSequenceTrimmed and kSequenceInFuture (a new group's start).
    virtual Result<std::unique_ptr<GroupConsumer>> join_group(std::string_view stream, std::string_view group,
                                                              const GroupOptions& options) = 0;
};

// ---------------------------------------------------------------------------------------------------------- producing

struct ProducerOptions {
    frame::AckMode ack = frame::AckMode::kDurable;
    bool idempotent = true;
    uint32_t batch_bytes = 64 * 1024;         // A batch is sent at this payload size, ...
    uint32_t batch_record_count = 4096;       // ... at this count, ...
    uint64_t linger_ns = 1'000'000;           // ... or this long after its first record. 0: each put at once.
    uint64_t window_bytes = 4 * 1024 * 1024;  // Not yet acknowledged, all shards together. Beyond: put answers kBusy.
    uint64_t delivery_timeout_ns = 30'000'000'000ULL;  // A batch that is not answered by then fails with kTimeout.
    uint32_t hot_key_count = 4096;            // Keys whose hash is remembered.
    bool tags_grow = false;                   // Each put's tag is above the one before: what is left of shards that are merged then keeps the
                                              // order of the puts, else that of each shard.
};

/// What became of one batch. Called from Client::poll() or a waiting call, batches of one shard in order.
struct BatchOutcome {
    ShardId shard;
    Error error;                      // kOk: stored as asked (durable, or appended).
    SequenceNumber first_sequence;    // Valid when kOk.
    uint32_t record_count = 0;
    uint64_t blob_bytes = 0;          // Key and data bytes.
    uint64_t payload_bytes = 0;       // Batch bytes on the wire.
    std::span<const uint64_t> tags;   // One per record, in the order of put.
};

struct ProducerStats {
    uint64_t record_count = 0;         // Accepted by put.
    uint64_t acknowledged_count = 0;
    uint64_t failed_count = 0;
    uint64_t batch_count = 0;
    uint64_t payload_bytes = 0;
    uint64_t resend_count = 0;
    uint64_t map_refresh_count = 0;
    uint64_t throttled_count = 0;      // Times the box asked to wait, because a shard's quota was spent.
};

class Producer {
  public:
    virtual ~Producer() = default;
    /// Takes a copy of the record. `tag` comes back in its BatchOutcome (an intended send time, as a rule).
    /// Never waits. Errors: kBusy (window full: poll, then again), kBadPartitionKey, kRecordTooLarge, kUnavailable.
    virtual Status put(const frame::RecordView& record, uint64_t tag = 0) = 0;
    /// put for each in turn, with the same tag; how many were taken, 1 to all of them. For bursts: their cache misses overlap, which
    /// is worth half of the time where shards are many. Errors: of put, for the first record; a later one only ends the burst.
    virtual Result<size_t> put_many(std::span<const frame::RecordView> records, uint64_t tag = 0) = 0;
    /// put, and wait for the acknowledgement of this record: its shard and sequence number. Sends at once.
    virtual Result<std::pair<ShardId, SequenceNumber>> put_sync(const frame::RecordView& record) = 0;
    /// Sends what lingers. Does not wait.
    virtual void flush() = 0;
    /// Sends and waits until nothing is unanswered, at most `timeout_ns`. Errors: kTimeout, or the first error since the
    /// last drain.
    virtual Status drain(uint64_t timeout_ns) = 0;
    virtual void on_outcome(std::function<void(const BatchOutcome&)> callback) = 0;
    virtual uint64_t in_flight_bytes() const = 0;
    virtual const ProducerStats& stats() const = 0;
};

// ---------------------------------------------------------------------------------------------------------- consuming

struct StartAt {
    frame::Position position = frame::Position::kTrimHorizon;
    uint64_t value = 0;  // Sequence number or time in ns.
};

struct ConsumerOptions {
    enum class Mode : uint8_t { kSubscribe, kPull };
    Mode mode = Mode::kSubscribe;
    StartAt start = {};
    std::vector<ShardId> shards = {};               // Empty: all shards of the stream, and in time their children.
    std::vector<std::pair<ShardId, SequenceNumber>> resume = {};  // Overrides `start` for these: next sequence number wanted.
    uint32_t credit_bytes = 4 * 1024 * 1024;        // Per shard: what may be on its way.
    uint64_t pull_bytes = 1024 * 1024;              // kPull: bytes per read.
    uint64_t pull_interval_ns = 1'000'000;          // kPull: pause at the tail.
    /// kSubscribe: who reads, 0: nobody in particular. An owner has one subscription to a shard at a time: a later one takes over when the
    /// first is 5 s old (on_event: kSubscriptionTaken), and is refused before (kSubscribed; detail = ns to wait). Both end the reading of
    /// that shard. That a subscription has begun is told by on_event with kOk.
    uint64_t owner = 0;
};

/// One run as delivered. `batch` is verified; records before `skip` were not asked for.
struct Delivery {
    ShardId shard;
    SequenceNumber first_sequence;  // Of batch record 0; record i has first_sequence + i.
    uint32_t skip = 0;
    uint64_t arrival_ns = 0;
    SequenceNumber tail;            // Durable tail of the shard when it was sent: for lag.
    frame::BatchView batch;
};

struct ConsumerStats {
    uint64_t record_count = 0;
    uint64_t blob_bytes = 0;
    uint64_t run_count = 0;
    uint64_t reconnect_count = 0;
    uint64_t damaged_count = 0;     // Places skipped because the box reported kDamaged.
    uint64_t trimmed_count = 0;     // Times retention had overtaken us.
};

class Consumer {
  public:
    virtual ~Consumer() = default;
    /// Called from Client::poll(): runs of one shard in order, without a gap. The views die with the call.
    virtual void on_delivery(std::function<void(const Delivery&)> callback) = 0;
    /// Something the application must know: kOk, kSubscribed, kSubscriptionTaken (ConsumerOptions::owner), kShardClosed, kSequenceTrimmed, kDamaged (reading goes on behind
    /// `error.detail`), kUnavailable and kJournalFailed (once, until the shard has been readable again), kUnknownShard (retention took all of it), kUnknownStream (deleted; told once, and nothing more comes).
    /// Reading of the other shards goes on.
    /// kShardClosed comes once, after the last record of a shard that was split or merged: position() stays behind that
    /// record, at_tail() counts the shard as read. A consumer of the whole stream (ConsumerOptions::shards empty) then reads
    /// the children by itself, each when all its parents have been read: order per key is kept through splits and merges.
    /// With named shards the children are the application's choice: ask describe() for them (ShardDescription::parent).
    virtual void on_event(std::function<void(ShardId, Error)> callback) = 0;
    /// Next sequence number wanted of each shard: checkpoint this.
    virtual std::vector<std::pair<ShardId, SequenceNumber>> position() const = 0;
    /// True when every shard has been read up to the tail that was last reported.
    virtual bool at_tail() const = 0;
    /// Shards that the box has but can't read now: told as kUnavailable (or kJournalFailed), asked for again and again.
    virtual std::vector<ShardId> unavailable() const = 0;
    /// The same as at_tail() of all shards but those, and the children that wait for them.
    virtual bool at_tail_but_for_unavailable() const = 0;
    /// True: nothing more is asked for, until false. What is on its way (ConsumerOptions::credit_bytes of each shard at most, or one
    /// pull) still comes. For an application that can't take more just now, and must go on calling Client::poll().
    virtual void hold(bool held) = 0;
    virtual const ConsumerStats& stats() const = 0;
};

}  // namespace eagre::client
