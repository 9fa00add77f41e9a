#pragma once
// One feed on the core that serves it: from datagrams of its lines to records of its stream, in the order of the source where that numbers them.
//
//   inlets (one or two lines) -> framing -> arbitration of numbered messages -> key -> lane (shard) -> place (journal) -> durable
//
// What it promises
// - A message of a numbered session is stored once, also over restarts (resume.h), or told as missing: by a gap record in every open shard, in its
//   place among the messages. A gap record says what its own shard may have missed; after a restart it begins where that shard knows to be whole.
// - A record keeps its order behind others of the same key, also when the stream's map changes.
// - Where nothing can be stored, nothing is received: what arrives waits in the socket, and what that has no room for is counted.
//
// Threading: its core's. Allocates when gaps wait and when the map changes, not for messages in order.

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "dataplane/feed/place.h"
#include "dataplane/feed/resume.h"
#include "dataplane/feed/surroundings.h"
#include "dataplane/io/datagrams.h"
#include "wire/feeds/arbiter.h"
#include "wire/feeds/spec/feed_spec.h"
#include "wire/feeds/key_rule.h"
#include "wire/frame/hash_cache.h"
#include "wire/shm/stats.h"

namespace eagre::feed {

inline constexpr uint32_t kFeedBurstsPerTurn = 16;         // Of each line.
inline constexpr uint64_t kFeedRetryNs = 1'000'000'000;    // Sockets that could not be opened, streams that were not there.
inline constexpr uint64_t kFeedBlockedNs = 1'000'000;      // Until the next try where nothing could be stored.
inline constexpr size_t kFeedSessionCountMax = 16;         // Whose place a restart will know, in one life of the feed.
inline constexpr uint32_t kFeedHotKeyCount = 16384;

struct Now {
    uint64_t monotonic_ns = 0;
    uint64_t wall_ns = 0;
};

class Feed final : feeds::ArbiterListener {
  public:
    /// `resume`: what the box has recovered; outlives the feed. `seed`: of fingerprints of keys. `token`: its places' tokens begin there.
    Feed(const feeds::FeedSpec& spec, io::Datagrams& datagrams, Surroundings& surroundings, const Resume& resume, shm::FeedStats& stats, uint64_t seed,
         uint64_t token);
    ~Feed() override;
    Feed(const Feed&) = delete;
    Feed& operator=(const Feed&) = delete;

    const feeds::FeedSpec& spec() const { return spec_; }
    shm::FeedStats& stats() { return stats_; }
    /// Paused: closes its sockets, stores what it has.
    void set_paused(bool paused);
    /// For good. What waits behind a gap is told, and stored as far as that can be done at once.
    void close(const Now& now);

    /// Takes in what has arrived, stores what is due. Returns datagrams.
    size_t receive(const Now& now, bool may_receive);
    /// Takes in what has become durable.
    void settle(const Now& now);
    /// True when it was this feed's.
    bool on_reply(const frame::FrameHeader& header, const Now& now);
    /// When receive() has something to do though nothing arrives (monotonic).
    uint64_t next_timer_ns() const;
    /// Nothing of it waits, or is on its way to the device.
    bool settled() const;
    /// Counters that cost a system call.
    void housekeeping();

  private:
    struct Line {
        feeds::FeedLine options;
        io::Address local;
        io::Address source;
        std::optional<io::InletId> inlet;
        uint64_t overflowed_before = 0;  // By inlets that are closed.
        io::Address from;                // Whose key is in `from_key`.
        std::string from_key;
        bool more = false;               // The last burst was full.
    };

    // -- feeds::ArbiterListener
    uint64_t on_session(const feeds::MoldSession& session, uint64_t first) override;
    void on_message(uint64_t sequence, std::span<const std::byte> message) override;
    void on_gap(uint64_t first, uint64_t count) override;

    bool open_lines(uint64_t now_ns);
    void close_lines();
    size_t receive_burst(size_t index);
    void take(size_t index, const io::RxPacket& packet);
    void take_lines(std::span<const std::byte> datagram);
    /// `sequence` 0: not numbered.
    void store(std::span<const std::byte> record, uint64_t sequence, uint64_t stamp_ns);
    Lane* route(std::span<const std::byte> record, std::string_view& key);
    Lane* lane_of(std::string_view key);
    void add(Lane& lane, const frame::RecordView& record);
    void flush(bool all);
    bool backlogged() const;

    // feed_map.cc
    bool follow_map();
    void rebuild(const shard::StreamEntry& stream);
    Place* place_for(const shard::ShardEntry& entry);
    void route_anew(std::span<const Group::Piece> pieces);
    void resume_lanes(const shard::StreamEntry& stream);
    ProducerId producer(bool alone) const;
    void set_state(shm::FeedState state, const Error& error = {});

    feeds::FeedSpec spec_;
    io::Datagrams& datagrams_;
    Surroundings& surroundings_;
    const Resume& resume_;
    shm::FeedStats& stats_;
    feeds::KeyRule rule_;
    feeds::Arbiter arbiter_;
    std::vector<Line> lines_;
    uint64_t next_token_;
    uint64_t retry_at_ns_ = 0;
    bool closed_ = false;

    std::vector<std::unique_ptr<Place>> places_;
    std::vector<std::unique_ptr<Place>> leaving_;  // Remote ones without a lane, until they are answered.
    std::unordered_map<ShardId, std::unique_ptr<Lane>> lanes_;
    std::vector<Lane*> in_order_;                  // By range.
    frame::HashCache<Lane> hot_keys_;
    Lane* constant_lane_ = nullptr;                // Of the rule's constant, and of the feed's name.
    Lane* nameless_lane_ = nullptr;
    size_t next_lane_ = 0;                         // Round robin.
    uint64_t map_version_ = 0;
    bool mapped_ = false;

    Source source_;
    bool remembered_ = false;                      // The session has a place in the producers' tables.
    std::unordered_map<uint32_t, uint64_t> sessions_;  // Of this life, by source_.session: the number that comes next.
    uint64_t told_next_ = 0;                       // All before it has been added.
    Now now_;
    const Line* line_ = nullptr;                   // That the datagram under way came by.
    io::Address from_;
};

/// Text of a gap record.
std::string gap_text(std::string_view feed, std::string_view session, uint64_t first, uint64_t count, uint64_t time_ns);

}  // namespace eagre::feed
