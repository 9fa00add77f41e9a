#pragma once
// What the cores of one eagred share: rings between them, the statistics board, who owns which journal. Filled before
// the first turn, constant afterwards but for the rings and the board.

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "dataplane/box_map.h"
#include "dataplane/directory_set.h"
#include "dataplane/feed/feeds.h"
#include "dataplane/io/events.h"
#include "dataplane/options.h"
#include "dataplane/reactor/outlet.h"
#include "dataplane/reactor/spsc_ring.h"
#include "dataplane/shard/directory.h"
#include "dataplane/usage_board.h"
#include "wire/base/result.h"
#include "wire/feeds/spec/feed_spec.h"
#include "wire/frame/datagram.h"
#include "wire/frame/frame.h"
#include "wire/identity/key_set.h"
#include "wire/shm/stats.h"

namespace eagre {

/// Frames that one core may have waiting at another: beyond it the batch gets kBusy. Answers have their reserved place.
inline constexpr uint32_t kHandoverQuota = 64;
inline constexpr size_t kHandoverRingBytes = 2 * kMiB;
/// A larger frame is not copied between cores: its sender is told kNotOwner.
inline constexpr uint32_t kHandoverPayloadBytesMax = 256 * kKiB;

/// What lies in a ring between two cores: this, then (for frames) the payload.
struct CoreMessage {
    enum class Kind : uint32_t { kRequest, kReply, kCold };
    Kind kind = Kind::kRequest;
    reactor::OutletId outlet;       // Of the connection, on the core that took the frame in.
    uint32_t reserved = 0;
    frame::FrameHeader header;      // kRequest: as received. kReply: the answer, to be sealed when sent.
    void* cold = nullptr;           // kCold: a ColdMessage, handed over.
};
static_assert(sizeof(CoreMessage) == 88 && alignof(CoreMessage) == 8);
/// Who hands a feed's batch over: no connection.
inline constexpr reactor::OutletId kFeedOutlet{UINT32_MAX, UINT32_MAX};
/// The reserved place for answers: a ring of their own that kHandoverQuota of them can't fill.
inline constexpr size_t kReplyRingBytes = 16 * kKiB;
static_assert(kHandoverQuota * (sizeof(CoreMessage) + 8) <= kReplyRingBytes);

/// Where a shard ended: what its children must begin above.
struct ClosedShard {
    ShardId shard;
    SequenceNumber next_sequence;
    uint64_t last_arrival_ns = 0;
};

/// Slow work between cores: one allocation each, never on the path of a record.
struct ColdMessage {
    enum class Kind : uint8_t {
        kOpenShards,    // stream: open those of its shards that live on the receiving core.
        kDeleteShards,  // stream_id
        kSetStream,     // stream: retention and record size.
        kDone,          // token, error: the answer to one of the above.
        kPutStream,     // stream: new directory entry.
        kEraseStream,   // stream_id
        kAcceptClock,
        kPutKeys,       // keys: honour these and no others.
        kRelay,         // outlet, token (correlation), payload: to core 0, for control.
        kRelayed,       // likewise, error: control's answer, to the core that has the asker.
        kCloseShards,   // stream: the map to come; shards: close those of them that live on the receiving core.
        kReleaseShards, // stream_id: no new map comes for now; batches for its closed shards need not wait for one.
        kDropShards,    // stream_id, shards: forget them, nothing of them is left.
        kPutFeeds,      // feeds: serve those of them that are the receiving core's.
        kShardsSpent,   // To core 0. stream_id, shards: closed, and retention has taken the last record.
    };
    Kind kind{};
    uint64_t token = 0;
    uint64_t command_id = 0;
    uint64_t epoch = 0;
    StreamId stream_id;
    shard::StreamPointer stream;
    identity::KeySetPointer keys;
    feed::AssignmentPointer feeds;
    Error error;
    reactor::OutletId outlet;
    std::vector<std::byte> payload;
    std::vector<ShardId> shards;
    std::vector<ClosedShard> closed;  // kDone of kCloseShards.
};

struct Box {
    Options options;
    uint64_t box_id_high = 0;
    uint64_t box_id_low = 0;
    uint64_t incarnation = 0;
    frame::DatagramSecret datagram_secret{};                       // Makes tokens; new with each start.
    identity::Bytes32 master_key{};                                // Of the key file.
    identity::Bytes32 nonce_seed{};                                // New with every start.
    identity::KeySetPointer keys;                                  // Honoured at start; each core has its own later.
    feeds::FeedSetPointer feeds;                                   // Served at start; null: none.
    uint32_t core_count = 0;
    uint32_t journal_count = 0;
    std::vector<bool> journal_available;                           // By journal id.
    std::vector<uint32_t> journal_directory;                       // By journal id: 0 the main one, see directory_set.h.
    std::vector<CoreIndex> journal_core;                           // By journal id, those that are missing included.
    BoxMap last_map;                                               // Of an earlier start: for shards of missing journals.
    std::vector<std::string> directory_paths;                      // By directory.
    std::vector<bool> directory_available;
    std::vector<uint16_t> ports;                                   // By core.
    std::vector<std::vector<reactor::SpscRing>> rings;             // rings[from][to]: requests and cold messages
    std::vector<std::vector<reactor::SpscRing>> reply_rings;       // reply_rings[from][to]
    std::vector<io::Events*> events;                               // To wake a core that waits.
    std::vector<std::byte> board_memory;                           // When the board is not a shared file.
    void* board = nullptr;                                         // wire/shm/stats.h
    std::atomic<bool> stop{false};
    UsageBoard usage;                                              // Bytes by stream and core.
    journal::StoreBudget store;                                    // What all journals may take up.

    CoreIndex core_of(JournalId journal) const { return journal_core[journal.value]; }
    bool misses_journals() const;
    /// Takes over whose this box is and what it consists of.
    void take(const DirectorySet& set);
    /// Makes rings and, if `board` is null, a private board; gives every journal a core. Call once counts and options are set.
    Status prepare();
};

}  // namespace eagre
