#pragma once
// A journal: the one log of a core, shared by all shards that live there. Runs (one batch of one shard each) gather in the
// open commit; a commit becomes durable by one direct write and one fdatasync; segments are preallocated and recycled.
//
// Owned and used by one core's reactor; no locks. Life: open() recovers and answers with facts; then poll() once per
// turn of the reactor; close() stops in good order. Above this header nobody knows blocks, tail rewriting, preallocation
// or file names. Format: dataplane/journal/FORMAT.md.
//
// Invariants (asserted): appended >= written >= durable, per journal and per shard; watermarks move over a gapless prefix;
// two writes in flight never share a block; a submitted buffer is frozen; a sync covers only writes reaped before it was
// submitted; after a failed write or sync nothing is acknowledged until the journal has been reopened.

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "dataplane/io/io.h"
#include "wire/base/histogram.h"
#include "wire/base/result.h"
#include "wire/base/types.h"

namespace eagre::journal {

/// Counts commits of a journal over all its incarnations; dense within one.
using CommitNumber = Strong<struct CommitNumberTag, uint64_t>;

inline constexpr uint16_t kRunFlagSystem = 0x1;  // Payload is a Fact, not a Batch.

/// In front of every run, on disk and in memory. Identity for readers: (shard, first_sequence). 64 bytes.
struct RunHeader {
    uint32_t magic = 0;          // kRunMagic
    uint32_t header_crc = 0;     // CRC-32C of the 56 bytes behind it.
    uint64_t shard = 0;
    uint64_t first_sequence = 0;
    uint64_t arrival_ns = 0;     // Wall clock, ns since 1970; never runs backwards in a shard.
    uint64_t producer = 0;       // 0: none.
    uint64_t batch_number = 0;
    uint32_t record_count = 0;
    uint32_t stored_bytes = 0;   // Multiple of 8.
    uint32_t payload_crc = 0;    // CRC-32C over the stored bytes.
    uint16_t flags = 0;          // kRunFlag*; others reserved for transforms.
    uint16_t key_id = 0;         // Reserved for encryption.
};
static_assert(sizeof(RunHeader) == 64);
inline constexpr uint32_t kRunMagic = 0x314E5552;  // "RUN1"

/// A run as readers see it. A view from memory (ShardReader::from_memory) is valid until the next begin_run, finish_run or
/// poll of the journal, so that several runs, of several readers too, can be gathered into one send. A view from the
/// device is valid until its reader is advanced, moved or destroyed.
struct RunView {
    RunHeader header;
    std::span<const std::byte> payload;
};

/// For tests only: each switches off one protection, so that the suite can prove it would notice (tests/mutants).
struct Mutants {
    bool ack_before_sync = false;      // Watermarks follow writes instead of syncs.
    bool skip_one_sync = false;        // One sync in eight is claimed, not done.
    bool ignore_run_crc = false;       // Recovery and readers don't compare a run's CRC.
    bool append_to_old_tail = false;   // Recovery goes on in the old segment under the old incarnation.
    bool recycle_before_sync = false;    // The cleaner recycles its sources before their copies are durable.
    bool accept_repeated_batch = false;  // (shard/) A repeated batch number is stored again.
};

/// What the journals of a box may take up together. Each has kGuaranteedSegments to itself, enough to go on writing; the rest is
/// whoever's takes it first. Shared by the cores.
struct StoreBudget {
    uint64_t shared_bytes_max = UINT64_MAX;
    std::atomic<uint64_t> shared_bytes{0};
};
/// Two that are ready, the live one, two sealed ones that are kept whatever is in them, and one that is being sealed.
inline constexpr uint64_t kGuaranteedSegments = 6;

struct JournalOptions {
    JournalId id;
    uint64_t box_id_high = 0;
    uint64_t box_id_low = 0;
    std::string directory;                       // Relative to the data directory, e.g. "journal-0000".
    uint64_t segment_bytes = 128ULL << 20U;      // Fixed for the life of the journal's directory. Bounds what a restart scans.
    uint32_t ready_segment_count = 2;            // Kept zeroed ahead.
    uint64_t prepare_bytes_per_s = 512ULL << 20U;  // Zeroing ahead; unbounded while nothing is ready and producers wait.
    uint64_t window_bytes = 32ULL << 20U;        // Memory ring: the open commit, those in flight and the recent past for readers.
    uint32_t commit_bytes_max = 1U << 20U;       // A commit is sealed at this size (a larger single run gets its own commit).
    uint32_t commits_in_flight_max = 2;          // Overlap only once a commit has filled to the cap.
    uint32_t write_align_bytes = 4096;           // Writes begin and end at multiples of it (or of the device's block, if larger):
                                                 // below the file system's block, ext4 takes direct writes one by one.
    uint32_t run_index_count = 128U << 10U;      // Runs of the window that readers find without the device.
    uint32_t shard_count_max = 16384;
    uint32_t producer_state_count_max = 16384;   // (producer, shard) pairs remembered.
    uint64_t producer_idle_ns_max = 3600ULL * 1000000000ULL;
    uint32_t read_buffer_count = 8;              // Device reads under way at once, all readers together.
    uint32_t read_buffer_bytes = 1U << 20U;      // Longer runs draw on one reserve buffer of kFramePayloadBytesMax.
    uint64_t disk_reserve_bytes = 256ULL << 20U; // Free space never touched by preparing segments, but to start at all.
    StoreBudget* budget = nullptr;               // Null: the disk is the limit.
    bool trim_when_full = false;                 // Without room for records the oldest are trimmed; else new ones are refused.
    bool cleaner = true;                         // Moves the little that is alive out of mostly dead segments.
    uint64_t cleaner_bytes_per_s = 64ULL << 20U; // Read and written by it together, at most; 256 KiB at a time.
    uint64_t cleaner_pause_ns = 4'000'000;       // Between two of its operations while producers' commits wait.
    Mutants mutants;
};

/// Longest record data that a journal of these options can be sure to store: a run is read and written in one piece, so half
/// of the window, and half of a segment, bound it.
uint64_t record_bytes_storable(const JournalOptions& options);

/// What the journal knows of a shard; the shard layer's state starts from it after recovery.
struct ShardFacts {
    ShardId shard;
    StreamId stream;
    std::string stream_name;
    HashKeyRange range;
    ShardId parent;
    ShardId adjacent_parent;
    SequenceNumber first_sequence;   // Of its first record.
    SequenceNumber next_sequence;    // Recovered durable tail.
    SequenceNumber trim_horizon;     // Oldest readable.
    uint64_t last_arrival_ns = 0;
    uint64_t opened_ns = 0;
    uint32_t ordinal = 0;            // Among all shards that the stream ever had, from 1; 0: made by an older Eagre.
    uint64_t map_version = 0;
    uint64_t retention_ms = 0;
    uint64_t record_bytes_max = 0;
    uint64_t retention_bytes = 0;      // Of the whole stream; 0: no limit.
    uint64_t quota_bytes_per_s = 0;    // Of the shard; 0: none.
    uint64_t quota_records_per_s = 0;  // The same.
    uint64_t stream_created_ns = 0;
    uint64_t command_id = 0;
    uint64_t epoch = 0;
    bool open = true;
    bool deleted = false;            // Kept while any of its bytes may lie in a segment, and its id for ever as the maximum.
};

/// The first answer to a batch, kept to answer a retry.
struct BatchResult {
    BatchNumber number;
    SequenceNumber first_sequence;
    uint32_t record_count = 0;
    uint32_t payload_crc = 0;
};

/// What is remembered of one (producer, shard).
struct ProducerFacts {
    ProducerId producer;
    ShardId shard;
    uint64_t last_arrival_ns = 0;           // For expiry by idle time.
    uint32_t result_count = 0;              // 1..kProducerWindow, oldest first; the last one is the last batch.
    BatchResult results[16];
};

/// What open() found, for the log and for `eagre verify`.
struct RecoveryReport {
    uint64_t incarnation = 0;
    uint64_t scanned_bytes = 0;
    uint64_t commit_count = 0;
    uint64_t cut_bytes = 0;          // Bytes behind the cut that looked like commits (a tear).
    uint64_t damaged_run_count = 0;  // Runs at or below a durable mark that don't verify.
    uint64_t sealed_segment_count = 0;
    uint64_t duration_ns = 0;
    uint64_t last_arrival_ns = 0;
    uint64_t stream_id_max = 0;
    uint64_t shard_id_max = 0;
};

struct JournalStats {
    uint64_t commit_count = 0;
    uint64_t run_count = 0;
    uint64_t payload_bytes = 0;        // Batch bytes received.
    uint64_t journal_bytes = 0;        // Journal space used for them, padding and headers included.
    uint64_t device_written_bytes = 0; // Everything handed to the device, rewritten tail blocks, zeros and footers included.
    uint64_t device_read_bytes = 0;
    uint64_t write_count = 0;
    uint64_t sync_count = 0;
    uint64_t segments_live = 0;
    uint64_t segments_ready = 0;
    uint64_t segments_recycled = 0;
    uint64_t segments_trimmed = 0;     // Given up to make room, whatever their retention.
    uint64_t damaged_run_count = 0;
    uint64_t alive_bytes = 0;          // Now, of runs above a horizon; what has not been looked at yet counts whole.
    uint64_t used_bytes = 0;           // Now, of all segments with runs in them.
    uint64_t relocated_bytes = 0;      // Of runs that the cleaner has moved.
    uint64_t segments_damaged = 0;     // Now: kept as they are until nothing in them is above a horizon, or for ever (no header).
    bool failed = false;
    bool disk_full = false;
};

/// What is durable and has not been read.
struct Unread {
    uint64_t arrival_ns = 0;  // Of the first such record; 0: there is none.
    uint64_t bytes = 0;       // Stored bytes: exact while they are in memory, else a bound from above.
};

inline constexpr uint32_t kGroupRunCountMax = 256;

class ShardReader;

class Journal {
  public:
    /// Recovers what is in the directory (creating it if absent), syncs what it scanned, opens a new segment under a new
    /// incarnation, and only then returns. Blocking. The data directory's lock is the caller's business.
    /// Errors: kNewerFormat, kForeignBox, kCorruptDirectory, kDiskFull, kIo.
    static Result<std::unique_ptr<Journal>> open(io::Io& io, const JournalOptions& options);
    virtual ~Journal() = default;

    // -- Recovered state (valid until release_recovered()).
    virtual const RecoveryReport& recovery() const = 0;
    virtual std::span<const ShardFacts> recovered_shards() const = 0;
    virtual std::span<const ProducerFacts> recovered_producers() const = 0;
    virtual void release_recovered() = 0;

    // -- Appending. One run at a time: begin_run, fill, finish_run or abandon_run.
    /// Room for a run of `stored_bytes` in the open commit, 8-byte aligned. The bytes are the caller's until finish or abandon.
    /// Errors: kBusy (window full: the device is behind), kDiskFull, kStoreFull (no segment for records is ready and none can be
    /// made: the last one is kept for facts, without which nothing could be trimmed or deleted), kJournalFailed.
    virtual Result<std::span<std::byte>> begin_run(uint32_t stored_bytes) = 0;
    /// Takes the run into the open commit. magic and header_crc are filled in here; payload_crc must be right.
    /// Runs of a shard must come with rising first_sequence and arrival_ns that never falls (asserted).
    /// Returns the commit that will make it durable.
    virtual CommitNumber finish_run(const RunHeader& header) = 0;
    virtual void abandon_run() = 0;
    /// Makes room for `run_count` runs of together `stored_bytes`: those begun next, before poll() is called again, come into one commit, so that
    /// recovery knows all of them or none. At most kGroupRunCountMax of them and group_bytes_max(), or one of any size. Errors: as begin_run.
    virtual Status begin_group(uint32_t run_count, uint64_t stored_bytes) = 0;
    virtual uint64_t group_bytes_max() const = 0;
    /// A system run: the whole state of a shard after an event, replayed "last one wins". The journal keeps the latest facts of
    /// each shard and writes all of them into each footer. Errors as begin_run, and kLimitExceeded.
    virtual Result<CommitNumber> append_fact(const ShardFacts& facts) = 0;
    /// The shard layer's answer memory for a (producer, shard), written into footers. Called after each accepted batch of an
    /// idempotent producer with the state after it. `forget` drops one that idled out.
    /// Errors: kLimitExceeded (the table is full).
    virtual Status remember_producer(const ProducerFacts& facts) = 0;

    // -- Progress.
    /// Reaps completions, seals and submits what may be submitted. `now_ns` monotonic. Call once per turn, after Events::poll().
    virtual void poll(uint64_t now_ns) = 0;
    /// Every commit up to here is durable. Never falls; stops for good when failed().
    virtual CommitNumber durable() const = 0;
    virtual CommitNumber written() const = 0;
    virtual CommitNumber open_commit() const = 0;
    /// True when begin_run has put something into the open commit or writes or syncs are under way.
    virtual bool busy() const = 0;
    /// When poll() has something to do though nothing arrives (monotonic); UINT64_MAX: never.
    virtual uint64_t next_timer_ns() const = 0;
    /// A device error has happened: durable() will not move again until the journal is opened anew.
    virtual bool failed() const = 0;

    // -- Reading. Any number of readers; each is bound to one shard.
    /// Readers see only durable runs. `from` may lie in the middle of a run. At most `reader_count_max` exist.
    /// Errors: kUnknownShard, kLimitExceeded.
    virtual Result<std::unique_ptr<ShardReader>> open_reader(ShardId shard, SequenceNumber from) = 0;
    /// Sequence number of the shard's first durable record that arrived at or after `arrival_ns`; its durable tail if none.
    /// May need the device: kBusy means ask again after poll().
    virtual Result<SequenceNumber> locate_time(ShardId shard, uint64_t arrival_ns) = 0;
    /// What a reader who wants `from` next has before him. `from` must lie in [trim horizon, durable tail].
    /// Errors: kUnknownShard, kSequenceTrimmed (detail = horizon), kSequenceInFuture (detail = tail), kBusy (ask again after poll()).
    virtual Result<Unread> measure(ShardId shard, SequenceNumber from) = 0;
    /// Durable tail and horizon as the journal knows them.
    virtual SequenceNumber durable_tail(ShardId shard) const = 0;
    virtual SequenceNumber trim_horizon(ShardId shard) const = 0;

    // -- Retention.
    /// Raises logical horizons of shards by time: everything that arrived before (`now` - retention_ms) is trimmed, journaled
    /// first, then segments in which nothing is above a horizon are recycled. `retention_now_ns`: retention's own clock (wall ns).
    /// Cheap; call about once a second. 0: time stands still, but retention by bytes goes on.
    virtual void retain(uint64_t retention_now_ns) = 0;
    /// Bytes of the stream's runs that are here and above the horizons. What was here at start is counted by the first calls of
    /// retain(). Trimmed bytes count no more when their horizon has been decided on.
    virtual uint64_t stored_bytes(StreamId stream) const = 0;
    /// Trims the oldest of the stream with the next retain(), until about `bytes` are left: to within an extent (256 KiB as a
    /// rule) of each shard. What came in the newest instant stays.
    virtual void limit_stream(StreamId stream, uint64_t bytes) = 0;

    /// Seals the open segment with a footer so that the next open() scans nothing. Blocking. kOk also when nothing was written.
    virtual Status close() = 0;

    virtual const JournalStats& stats() const = 0;
    virtual const Histogram& write_latency_ns() const = 0;
    virtual const Histogram& sync_latency_ns() const = 0;
};

/// Walks the durable runs of one shard in order: from memory where they still are, else by index and direct reads with
/// read-ahead. A slow reader never holds anything back: what leaves the memory window is read from the device.
class ShardReader {
  public:
    virtual ~ShardReader() = default;
    enum class Step : uint8_t {
        kRun,      // `view` is filled; first_sequence <= wanted < first_sequence + record_count.
        kPending,  // A device read is under way: call again after poll().
        kTail,     // Nothing durable beyond wanted() now.
    };
    /// The next run, without moving on. Identity and CRC are checked (memory: at append; device: after every read).
    /// Errors: kSequenceTrimmed (detail = horizon), kSequenceInFuture (detail = tail), kDamaged (detail = where to go on),
    /// kUnavailable, kIo.
    virtual Result<Step> peek(RunView& view) = 0;
    /// Moves on behind the run last peeked.
    virtual void advance() = 0;
    /// Goes elsewhere.
    virtual void seek(SequenceNumber from) = 0;
    virtual SequenceNumber wanted() const = 0;
    /// True when the last run came from memory.
    virtual bool from_memory() const = 0;
};

}  // namespace eagre::journal
