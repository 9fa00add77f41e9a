#pragma once
// The shared-memory file DATA/stats.shm: eagred writes, control and `eagre stats` read. Measuring costs the hot path an
// increment. Layout is versioned and pinned: one StatsHeader, then core_count CoreStats, then shard_capacity ShardStats per core.
// Readers may see a number that is a moment old, never a torn one (aligned 8-byte stores on x86-64).

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "wire/base/errc.h"
#include "wire/base/histogram.h"
#include "wire/shm/nic_stats.h"

namespace eagre::shm {

inline constexpr uint64_t kStatsMagic = 0x3154415453474145;  // "EAGSTAT1"
inline constexpr uint32_t kStatsVersion = 6;
inline constexpr uint32_t kErrcSlots = 128;

struct StatsHeader {
    uint64_t magic = kStatsMagic;
    uint32_t version = kStatsVersion;
    uint32_t core_count = 0;
    uint32_t shard_capacity = 0;   // ShardStats slots per core.
    uint32_t pid = 0;
    uint64_t incarnation = 0;
    uint64_t started_wall_ns = 0;
    uint64_t reserved[2] = {};
};
static_assert(sizeof(StatsHeader) == 56);

inline constexpr uint32_t kDatagramProducerSlots = 64;  // Per core.

/// One session that sends datagrams. Kept when it has ended, until another needs the slot.
struct DatagramProducer {
    uint64_t session = 0;               // 0: slot unused. Written last.
    uint64_t open = 0;                  // 0 or 1.
    uint64_t port = 0;                  // That it sends from.
    uint64_t received = 0;              // Packets, each counted once.
    uint64_t missing = 0;               // Gaps between the numbers of fire-and-forget packets. Now: a late one fills its gap.
    uint64_t dropped = 0;               // Fire-and-forget packets that came and found no room.
    char name[48] = {};                 // As the client calls itself; NUL-padded.
};
static_assert(sizeof(DatagramProducer) == 96);

inline constexpr uint32_t kFeedSlots = 32;  // Per core: as many feeds as a box has (wire/feeds/spec/feed_spec.h).
inline constexpr uint32_t kFeedLines = 2;

enum class FeedState : uint64_t {
    kNone = 0,
    kListening = 1,  // Its sockets are open.
    kPaused = 2,     // By the operator.
    kRefused = 3,    // A socket could not be opened: `error`, `os_errno` say why. Tried again every second.
    kNoStream = 4,   // Its stream is not there. Looked for every second.
    kBlocked = 5,    // Nothing can be stored now: `error` says why. What arrives waits in the socket, and is lost when that is full.
};

struct FeedLineStats {
    uint64_t datagrams = 0;
    uint64_t bytes = 0;
    uint64_t first = 0;       // Datagrams that brought something that had not come before; all of them where messages are not numbered.
    uint64_t repeated = 0;    // Nothing that had not come before.
    uint64_t broken = 0;      // Truncated, or lying about its messages.
    uint64_t refused = 0;     // From another source than the feed's.
    uint64_t overflowed = 0;  // Dropped below us: the socket was full.
    uint64_t last_ns = 0;     // Wall clock of the last datagram.
};

/// A feed on the core that serves it. Counters since start; those marked "now" are not.
struct FeedStats {
    uint64_t id = 0;                  // 0: slot unused. Written last.
    uint64_t state = 0;               // Now: FeedState.
    uint64_t error = 0;               // Now: Errc.
    uint64_t os_errno = 0;            // Now.
    uint64_t line_count = 0;
    FeedLineStats lines[kFeedLines];
    uint64_t records = 0;             // Appended.
    uint64_t record_bytes = 0;        // Their data.
    uint64_t records_durable = 0;
    uint64_t keyless = 0;             // Records in which the key rule found nothing.
    uint64_t unstored = 0;            // Records that the stream does not take: too large.
    uint64_t gap_messages = 0;        // Missing on all lines.
    uint64_t gap_ranges = 0;
    uint64_t sessions = 0;            // That have begun.
    uint64_t sessions_unremembered = 0;  // Of these: whose place a restart will not know; there were too many.
    uint64_t wild = 0;                // Datagrams whose numbers were so far ahead that nobody believed them.
    uint64_t waiting_bytes = 0;       // Now: behind a gap that the other line may fill.
    uint64_t next_sequence = 0;       // Now: of the source, that comes next.
    uint64_t durable_sequence = 0;    // Now: everything of the session before it is durable, or told as a gap that is.
    char session[16] = {};            // Now; NUL-padded.
    char name[48] = {};               // NUL-padded.
    uint64_t reserved[4] = {};
    Histogram durable_ns;             // Stamp of the packet -> durable, a value for each record.
};

/// All counters only grow since start unless "now" is said.
struct CoreStats {
    uint64_t core = 0;
    uint64_t os_cpu = 0;
    uint64_t heartbeat_ns = 0;          // Monotonic time of the last turn with an update (at least once a second). Now.
    uint64_t turn_count = 0;
    uint64_t idle_turn_count = 0;
    uint64_t cpu_ns = 0;                // Thread CPU time.
    uint64_t connection_count = 0;      // Now.
    uint64_t connections_accepted = 0;
    uint64_t connections_closed_bad = 0;  // Closed because the other side misbehaved.
    uint64_t frames_in = 0;
    uint64_t bytes_in = 0;
    uint64_t bytes_out = 0;
    uint64_t batches_appended = 0;
    uint64_t records_appended = 0;
    uint64_t payload_bytes_appended = 0;
    uint64_t batches_acknowledged = 0;
    uint64_t batches_repeated = 0;      // Answered from the producer's memory.
    uint64_t records_delivered = 0;
    uint64_t payload_bytes_delivered = 0;
    uint64_t deliveries_from_memory = 0;
    uint64_t deliveries_from_device = 0;
    uint64_t subscriptions = 0;         // Now.
    uint64_t handed_over = 0;           // Frames given to another core.
    uint64_t handover_refused = 0;      // Quota used up: kBusy.
    uint64_t commit_count = 0;
    uint64_t journal_bytes = 0;
    uint64_t device_written_bytes = 0;
    uint64_t device_read_bytes = 0;
    uint64_t segments_live = 0;         // Now.
    uint64_t segments_ready = 0;        // Now.
    uint64_t segments_recycled = 0;
    uint64_t damaged_runs = 0;
    uint64_t journal_failed = 0;        // Now, 0 or 1.
    uint64_t disk_full = 0;             // Now, 0 or 1.
    uint64_t clock_waits = 0;           // Now: retention waits for `eagre clock accept`.
    uint64_t stall_ns_max = 0;          // Longest turn.
    uint64_t datagram_sessions = 0;     // Now.
    uint64_t datagrams_in = 0;          // Received, good or bad.
    uint64_t datagrams_out = 0;
    uint64_t datagrams_refused = 0;     // Corrupt, or without the right token, host and port.
    uint64_t datagrams_repeated = 0;    // Had come before.
    uint64_t datagrams_early = 0;       // Kept until the gap before them was filled.
    uint64_t datagrams_dropped = 0;     // No room: numbered ones come again, others are lost.
    uint64_t datagrams_overflowed = 0;  // Dropped by the kernel: the socket was full.
    uint64_t datagrams_missing = 0;     // Gaps in fire-and-forget numbers, all sessions.
    uint64_t datagram_answers_dropped = 0;
    uint64_t errors[kErrcSlots] = {};   // By Errc: typed errors given to somebody.
    Histogram ack_ns;                   // Frame complete in memory -> acknowledgement handed to the socket.
    Histogram write_ns;
    Histogram sync_ns;
    Histogram turn_ns;                  // Turns that did something.
    DatagramProducer datagram_producers[kDatagramProducerSlots];
    uint64_t alive_bytes = 0;           // Now: journal bytes of runs above a horizon; a segment not looked at yet counts whole.
    uint64_t used_bytes = 0;            // Now: of all segments with runs in them.
    uint64_t relocated_bytes = 0;       // Moved by the cleaner.
    uint64_t segments_damaged = 0;      // Now: kept as they are because of damage.
    FeedStats feeds[kFeedSlots];
    NicStats nic;
};

struct ShardStats {
    uint64_t shard = 0;                 // 0: slot unused. Written last.
    uint64_t stream = 0;
    uint64_t records_in = 0;
    uint64_t bytes_in = 0;
    uint64_t batches_in = 0;
    uint64_t appended_sequence = 0;     // Next to be given.
    uint64_t durable_sequence = 0;      // Next durable one.
    uint64_t trim_horizon = 0;
    uint64_t records_out = 0;
    uint64_t bytes_out = 0;
    uint64_t last_arrival_ns = 0;
    uint64_t open = 0;
    char stream_name[128] = {};         // NUL-padded.
    uint64_t throttled = 0;             // Batches refused because the quota was spent.
};

inline constexpr size_t stats_file_bytes(uint32_t core_count, uint32_t shard_capacity) {
    return sizeof(StatsHeader) + core_count * (sizeof(CoreStats) + shard_capacity * sizeof(ShardStats));
}
inline CoreStats* core_stats(void* base, uint32_t core) {
    return reinterpret_cast<CoreStats*>(static_cast<char*>(base) + sizeof(StatsHeader)) + core;
}
inline ShardStats* shard_stats(void* base, uint32_t core, uint32_t slot) {
    const auto* header = static_cast<const StatsHeader*>(base);
    auto* first = reinterpret_cast<ShardStats*>(core_stats(base, header->core_count));
    return first + core * header->shard_capacity + slot;
}

}  // namespace eagre::shm
