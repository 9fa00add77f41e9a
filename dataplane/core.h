#pragma once
// One core of the dataplane: the reactor's turn and everything it owns. Real and simulated time drive the same code:
// eagred calls run(), the simulator calls turn().
//
// A turn, in the order of a record's life:
//   collect events -> hand-overs from other cores -> receive, verify, route, append -> journals (seal, write, sync)
//   -> acknowledgements of what became durable -> deliveries to consumers -> one send per connection -> timers
//
// Threading: all of it belongs to one thread; other cores are reached through Box::rings only.

#include <cstdint>
#include <deque>
#include <memory>
#include <unordered_map>
#include <vector>

#include "dataplane/ack/ack_queue.h"
#include "dataplane/box.h"
#include "dataplane/fanout/fanout.h"
#include "dataplane/feed/feeds.h"
#include "dataplane/gate/gate.h"
#include "dataplane/ingress/datagram_door.h"
#include "dataplane/ingress/session.h"
#include "dataplane/io/io.h"
#include "dataplane/journal/journal.h"
#include "dataplane/reactor/wait_policy.h"
#include "dataplane/recovered.h"
#include "dataplane/relay/relay.h"
#include "dataplane/shard/append.h"
#include "dataplane/shard/directory.h"
#include "dataplane/shard/producer_table.h"
#include "dataplane/shard/retention_clock.h"
#include "dataplane/shard/shard.h"
#include "wire/base/prng.h"
#include "wire/schema/control_generated.h"

namespace eagre {

inline constexpr uint64_t kHousekeepingNs = 100'000'000ULL;  // Statistics, time-outs.
inline constexpr uint64_t kRetentionNs = 1'000'000'000ULL;
inline constexpr uint64_t kRetentionSlackPart = 32;          // Retention by bytes trims to so much below the limit.
inline constexpr uint32_t kLocatePendingMax = 1024;
inline constexpr uint32_t kCommandPendingMax = 64;

/// A stream as the wire says it; `with_shards`: with tails and horizons as their owners last published them.
flatbuffers::Offset<wire::StreamInfo> encode_stream(flatbuffers::FlatBufferBuilder& builder,
                                                    const shard::StreamEntry& stream, const Box& box,
                                                    bool with_shards);

class Core : public ingress::FrameHandler, public ingress::DatagramHandler, public fanout::Surroundings, public feed::Surroundings {
  public:
    /// Opens (recovers) the journals that this core serves. Blocking. Errors: as Journal::open.
    static Result<std::unique_ptr<Core>> create(Box& box, CoreIndex index, io::Io io);
    ~Core() override;

    /// What this core's journals know, for the directories of all cores. Call after create().
    std::vector<shard::StreamEntry> recovered_streams() const;
    uint64_t incarnation() const;
    /// Takes the merged view of all cores; forgets the recovered lists. Call before the first turn.
    void start(const Recovered& recovered);
    /// Call before start().
    const feed::Resume& recovered_feeds() const { return recovered_feeds_; }
    uint64_t recovered_epoch() const;
    const std::vector<journal::RecoveryReport>& reports() const { return reports_; }

    /// Errors: kPortInUse, kBadArgument, kIo. Fills in Box::ports.
    Status listen();
    /// The control socket; core 0 only.
    Status listen_control(const std::string& path);

    /// One turn. True when it did something.
    bool turn();
    /// Turns until Box::stop, then finishes what is under way (bounded) and closes the journals.
    void run();
    Status close();

    // -- fanout::Surroundings
    reactor::Outlet* outlet(reactor::OutletId id) override;
    shard::Shard* shard(ShardId id) override;
    void drop(reactor::OutletId id) override;
    void children_of(ShardId shard, std::vector<uint64_t>& children) override;
    uint64_t now_ns() const override { return now_ns_; }
    // -- ingress::FrameHandler
    ingress::Handled on_frame(ingress::Session& session, const frame::FrameHeader& header,
                              std::span<const std::byte> payload) override;
    void on_closed(ingress::Session& session) override;
    // -- ingress::DatagramHandler
    ingress::Handled on_datagram(ingress::Session& session, const frame::FrameHeader& header,
                                 std::span<const std::byte> payload) override;

    // -- feed::Surroundings
    const shard::StreamEntry* stream(StreamId id) override { return directory_.find(id); }
    Status begin_group(journal::Journal& journal, uint32_t run_count, uint64_t stored_bytes) override;
    journal::CommitNumber append_fed(shard::Shard& shard, const frame::FrameHeader& header, std::span<const std::byte> payload) override;
    bool hand_over_fed(CoreIndex to, const frame::FrameHeader& header, std::span<const std::byte> payload) override;

    shm::CoreStats& stats() { return *stats_; }
    const Box& box() const { return box_; }

  private:
    struct JournalSlot {
        JournalId id;
        std::unique_ptr<journal::Journal> journal;
        ack::AckQueue acks;
        uint64_t waiting_bytes = 0;  // Batch bytes between append and durable.
        bool failure_reported = false;
    };
    struct LocatePending {
        ack::ReplyTo to;
        uint64_t correlation = 0;
        ShardId shard;
        uint64_t value = 0;  // kLocate: time in ns; kMeasure: sequence number.
        frame::FrameKind kind = frame::FrameKind::kLocate;
    };
    /// Facts on their way to durability, for one command on this core.
    struct FactJob {
        uint64_t token = 0;
        CoreIndex reply_core;
        ColdMessage::Kind kind{};
        StreamId stream_id;
        shard::StreamPointer stream;
        std::deque<journal::ShardFacts> to_append;
        std::vector<std::pair<JournalSlot*, journal::CommitNumber>> awaited;
        std::vector<journal::ShardFacts> appended;
        std::vector<ClosedShard> closed;   // kCloseShards: these were closed before.
        Error error;
    };
    /// A command on core 0 that waits for all cores.
    struct CommandPending {
        uint64_t token = 0;
        reactor::OutletId outlet;
        uint64_t correlation = 0;
        uint64_t command_id = 0;
        wire::CommandOp op{};
        StreamId stream_id;
        shard::StreamPointer stream;
        identity::KeySetPointer keys;
        feed::AssignmentPointer feeds;
        uint32_t cores_left = 0;
        Error error;
        uint64_t epoch = 0;
        std::vector<ShardId> shards;       // Reshard: the parents. Of no control (op None): shards to be forgotten.
        std::vector<ClosedShard> closed;   // Reshard: parents that are closed, durably.
        bool closing = false;              // Reshard: the parents are being closed; no child is open.
    };

    Core(Box& box, CoreIndex index, io::Io io);
    JournalSlot* slot_of(const journal::Journal* journal);
    JournalSlot* slot_for(const FactJob& job, ShardId id);
    shard::Shard& adopt(const journal::ShardFacts& facts, journal::Journal& journal);
    shard::StreamEntry* entry_for(std::vector<shard::StreamEntry>& streams, const journal::ShardFacts& facts) const;
    shm::ShardStats* take_stats_slot(const journal::ShardFacts& facts);
    bool stop_turning() const;

    // hello.cc
    ingress::Handled on_hello(ingress::Session& session, const frame::FrameHeader& header, std::span<const std::byte> payload);
    ingress::Handled on_proof(ingress::Session& session, const frame::FrameHeader& header, std::span<const std::byte> payload);
    ingress::Handled greet(ingress::Session& session, const frame::FrameHeader& header, const identity::Bytes32* server_proof);
    ingress::Handled refuse_hello(ingress::Session& session, const frame::FrameHeader& header, std::string_view key_id,
                                  std::string_view why);
    void push_table(ingress::Session& session, const frame::FrameHeader& header, const flatbuffers::FlatBufferBuilder& builder);
    /// One bit test for whoever may do it everywhere; one look-up for whoever has done it before.
    bool may(ingress::Session& session, uint8_t action, ShardId shard) {
        return (session.grant.everywhere & action) != 0 || session.grant.remembers(shard.value, action) ||
               may_slowly(session, action, shard.value, stream_name_of(shard));
    }
    bool may_slowly(ingress::Session& session, uint8_t action, uint64_t subject, std::string_view stream);
    bool may_see(const ingress::Session& session, std::string_view stream) const;
    std::string_view stream_name_of(ShardId id) const;
    void report_denied(const ingress::Session& session, std::string_view what, std::string_view stream);
    void put_keys(const identity::KeySetPointer& keys);
    void close_void_grants();

    // frames.cc
    void on_metadata(ingress::Session& session, const frame::FrameHeader& header, std::span<const std::byte> payload);
    void on_open_datagrams(ingress::Session& session, const frame::FrameHeader& header, std::span<const std::byte> payload);
    ingress::Handled on_append(ingress::Session& session, const frame::FrameHeader& header,
                               std::span<const std::byte> payload, const ack::ReplyTo& to);
    void refuse_append(const ack::ReplyTo& to, const frame::FrameHeader& header, Error error);
    ingress::Handled append_here(shard::Shard& shard, const frame::FrameHeader& header,
                                 std::span<const std::byte> payload, const ack::ReplyTo& to, bool check_map,
                                 bool may_block);
    void locate(const frame::FrameHeader& header, const ack::ReplyTo& to);
    bool hand_over(CoreIndex to, reactor::OutletId outlet, const frame::FrameHeader& header,
                   std::span<const std::byte> payload);
    void reply(const ack::ReplyTo& to, const frame::FrameHeader& header);
    void reply_error(ingress::Session& session, const frame::FrameHeader& header, frame::FrameKind kind, Error error);
    void count_error(Errc code) { ++stats_->errors[static_cast<size_t>(code) % shm::kErrcSlots]; }
    const shard::StreamEntry* stream_of(ShardId shard) const;
    /// Why a shard is not served: kUnavailable (detail = the data directory that is missing, 0 the main one) when it lies in a
    /// missing journal, or may lie there because it is younger than the last map and older than this start; else kUnknownShard.
    Error why_absent(ShardId shard) const;

    // groups.cc
    ingress::Handled on_group(ingress::Session& session, const frame::FrameHeader& header, std::span<const std::byte> payload);
    ingress::Handled on_group_reply(ingress::Session& session, const frame::FrameHeader& header,
                                    std::span<const std::byte> payload);
    void relay_request(CoreIndex from, const ColdMessage& message);
    void relay_answer(const relay::Asker& asker, Error error, std::span<const std::byte> payload);
    void finish_relayed(const ColdMessage& message);
    void attach_control(const ingress::Session& session);
    void detach_control();
    void expire_relayed();
    void on_measure(ingress::Session& session, const frame::FrameHeader& header);
    void measure(const frame::FrameHeader& header, const ack::ReplyTo& to);

    // turn.cc
    size_t take_in_events();
    size_t take_in_messages();
    void on_handed_over(const ack::ReplyTo& to, const frame::FrameHeader& header, std::span<const std::byte> payload);
    size_t acknowledge();
    size_t retry_locates();
    void housekeeping(uint64_t now_ns);
    void retain(uint64_t now_ns);
    void limit_streams();
    void report_room();
    bool journals_behind() const;
    uint64_t wait_ns() const;
    void wake_cores();

    // commands.cc
    ingress::Handled on_command(ingress::Session& session, const frame::FrameHeader& header,
                                std::span<const std::byte> payload);
    void send_cold(CoreIndex to, std::unique_ptr<ColdMessage> message);
    void on_cold(CoreIndex from, std::unique_ptr<ColdMessage> message);
    void begin_job(CoreIndex from, const ColdMessage& message);
    size_t work_on_jobs();
    void finish_job(FactJob& job);
    void finish_command(const ColdMessage& done);
    /// `only`: with this stream's facts, whatever `with_facts` says.
    void answer_command(reactor::OutletId outlet, uint64_t correlation, uint64_t command_id, Error error,
                        bool with_facts, StreamId only = {});
    size_t send_waiting_cold();
    bool stream_is_changing(StreamId stream) const;
    void order_all(const CommandPending& pending, ColdMessage::Kind kind);
    void publish(const CommandPending& pending);
    void put_stream(const shard::StreamPointer& stream);
    void forget(shard::Shard& shard);

    // feeding.cc
    void start_feeds(const feed::Resume& fed);
    Error plan_feeds(const wire::FeedSet* set, CommandPending& pending);
    feed::Now feed_now() const { return {now_ns_, wall_ns_}; }
    /// What an append leaves to be done once it is durable.
    ack::AckEntry note_appended(JournalSlot& slot, const shard::Shard& shard, const frame::FrameHeader& header, const shard::Appended& appended);

    // reshard.cc
    Error plan_reshard(const wire::Command& command, CommandPending& pending);
    void begin_closing(const ColdMessage& message, FactJob& job);
    void finish_closing(FactJob& job, ColdMessage& done);
    Error unclosed_parent(const CommandPending& pending) const;
    void open_children(CommandPending& pending);
    void release_shards(StreamId stream);
    void report_spent_shards(uint64_t retention_now_ns);
    void begin_dropping(const ColdMessage& message);
    std::vector<ShardId> droppable(const shard::StreamEntry& stream, const std::vector<ShardId>& spent);

    // box_map.cc
    /// Core 0: writes the map when it has changed and its time has come, or at once.
    void keep_map(bool at_once);

    Box& box_;
    CoreIndex index_;
    io::Io io_;
    shm::CoreStats* stats_;
    reactor::Waiter waiter_;
    Prng prng_;
    gate::Gate gate_;

    std::vector<std::unique_ptr<JournalSlot>> journals_;
    std::vector<journal::RecoveryReport> reports_;
    std::unordered_map<ShardId, std::unique_ptr<shard::Shard>> shards_;
    shard::ProducerTable producers_;
    shard::Directory directory_;
    std::unique_ptr<ingress::Sessions> sessions_;
    std::unique_ptr<ingress::DatagramDoor> door_;
    std::unique_ptr<fanout::Fanout> fanout_;
    std::unique_ptr<feed::Feeds> feeds_;
    feed::Resume recovered_feeds_;
    std::unique_ptr<shard::RetentionClock> retention_clock_;

    std::vector<io::ListenerId> listeners_;
    io::ListenerId control_listener_{UINT32_MAX};
    std::vector<uint32_t> handed_over_;             // Unanswered requests at each other core.
    std::vector<bool> wake_;                        // Cores to wake at the end of the turn.
    std::vector<LocatePending> locates_;
    std::vector<shard::Shard*> moved_;              // Shards whose durable tail moved in this turn.
    std::vector<FactJob> jobs_;
    std::vector<CommandPending> commands_;          // Core 0 only.
    relay::RelayTable relay_;                       // Core 0 only.
    reactor::OutletId control_outlet_;              // Core 0 only: of the control that has taken the last epoch.
    std::vector<std::pair<CoreIndex, std::unique_ptr<ColdMessage>>> cold_waiting_;
    std::vector<std::byte> cold_payload_;
    std::vector<uint64_t> children_;                // Scratch.
    std::unordered_map<ShardId, uint64_t> spent_ns_;  // On core 0: when a shard was last called spent.
    shm::ShardStats spare_shard_stats_;             // For shards beyond the board's capacity.
    std::vector<uint32_t> free_stats_slots_;

    uint64_t now_ns_ = 0;
    uint64_t wall_ns_ = 0;
    uint64_t housekeeping_ns_ = 0;
    uint64_t retention_ns_ = 0;
    uint64_t epoch_ = 0;
    uint64_t stream_id_max_ = 0;
    uint64_t shard_id_max_ = 0;
    uint64_t next_token_ = 1;
    uint64_t map_due_ns_ = 0;
    // Lowest ids opened since the start: what is unknown from there on is in no missing journal.
    uint64_t first_new_shard_ = UINT64_MAX;
    uint64_t first_new_stream_ = UINT64_MAX;
    bool map_changed_ = true;       // Once at start: an older build may have left none, or an old one.
    uint64_t segments_trimmed_ = 0;  // That have been reported.
    bool full_reported_ = false;
    bool did_work_ = true;
    bool stopping_ = false;
};

}  // namespace eagre
