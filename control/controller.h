#pragma once
// eagre-control without its main: intentions in the catalogue, facts in the dataplane,
// administrators on a socket, and the loop that makes them agree. One thread; poll() is the whole
// of it, and never waits longer than asked. Clock, bytes and randomness come through Transport, so
// that a simulator can run it beside the dataplane in one thread.
//
// Invariants: an intention is durable in the catalogue before a command says it; a reply of kOk is
// given only when the journals have it; a create that was answered with an error is undone;
// commands carry an epoch that was durable before its first use; reconciliation happens only when
// no command is under way.

#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "control/access/key_ring.h"
#include "control/admin/admin_server.h"
#include "control/catalog/catalog.h"
#include "control/channel/channel.h"
#include "control/consumers/groups.h"
#include "control/consumers/lag.h"
#include "control/sockets/listener.h"
#include "control/streams/facts.h"
#include "control/streams/stream_table.h"
#include "wire/base/result.h"
#include "wire/client/transport.h"
#include "wire/identity/crypto.h"

namespace eagre::control {

/// Requests waited for at once, those of connections that have gone meanwhile included. More are
/// answered kBusy.
inline constexpr size_t kPendingCountMax = 2048;

/// Groups whose beginning is being looked up in the dataplane.
inline constexpr size_t kSeekCountMax = 64;
/// So often the dataplane may be too busy to answer one of these look-ups.
inline constexpr uint32_t kSeekBusyMax = 1000;
/// The lag of all groups is measured so often, for those who watch ...
inline constexpr uint64_t kLagRefreshNs = 5'000'000'000ULL;
/// ... with a pause so many times as long as the measuring took.
inline constexpr uint64_t kLagPauseFactor = 20;

struct ControllerOptions {
    channel::ChannelOptions channel;
    uint64_t change_wait_ns = 5'000'000'000ULL;  // A request that changes something is answered by
                                                 // then, if only with kUnavailable.
    uint64_t describe_wait_ns =
        1'000'000'000ULL;  // For live facts; then the catalogue alone answers.
    uint64_t first_contact_ns =
        2'000'000'000ULL;  // After start, reads wait so long for the first reconciliation.
    uint64_t retry_ns_min = 20'000'000ULL;     // Between attempts at one stream, doubling ...
    uint64_t retry_ns_max = 1'000'000'000ULL;  // ... to here.
    identity::Bytes32 master_key{};            // Of the data directory's key file.
};

class Controller {
  public:
    /// All three must outlive the controller. Errors: those of reading the catalogue.
    static Result<std::unique_ptr<Controller>> open(catalog::Catalog& catalog,
                                                    client::Transport& transport,
                                                    sockets::Listener& listener,
                                                    ControllerOptions options);
    ~Controller();

    /// One turn; waits at most `timeout_ns` for something to happen.
    void poll(uint64_t timeout_ns);

    /// True between a reconciliation and the loss of the dataplane.
    bool ready() const { return stage_ == Stage::kReady; }
    /// Set when this process must end: kStaleEpoch (superseded; detail = the other's epoch).
    /// Nothing is sent any more.
    const std::optional<Error>& fatal() const { return fatal_; }
    const streams::StreamTable& table() const { return table_; }
    const consumers::Groups& groups() const { return groups_; }
    /// Of every consumer group, as last measured (at most some kLagRefreshNs ago): for metrics.
    struct GroupFigures {
        std::string stream;
        std::string group;
        size_t member_count = 0;
        consumers::GroupLag lag;  // measured_ns 0: not yet; known false: a shard could not be measured.
    };
    std::vector<GroupFigures> group_figures() const;
    /// All since this process began, of administrators and of groups' members ("Member", and "Checkpoint" for each shard).
    Refusals refusals() const;
    /// Answers whoever still waits with kShuttingDown. Poll on until sending() is false, for a
    /// bounded time.
    void shut_down();
    /// True while a reply is half sent.
    bool sending() const { return admin_.sending(); }

  private:
    Controller(catalog::Catalog& catalog, client::Transport& transport, sockets::Listener& listener,
               ControllerOptions options);

    enum class Stage : uint8_t { kDown, kTakingEpoch, kListing, kReady };

    // -- The session with the dataplane (controller_session.cc).
    void take_event(const channel::Event& event);
    void take_up(const channel::Event& event);
    void take_down();
    void take_epoch_reply(const channel::Event& event);
    void take_facts(const channel::Event& event);
    void take_epoch(Epoch epoch);
    void reconcile_with(const streams::Facts& facts);
    void drop_spent_shards();
    void stop_for(Error error);

    // -- Driving streams from intention to fact (controller_drive.cc).
    struct Drive {
        uint64_t command_id = 0;  // 0: none under way.
        uint64_t revision = 0;    // Of the intention that it says.
        uint64_t retry_at_ns = 0;
        uint64_t back_off_ns = 0;
        Error last_error;
    };
    void drive_all();
    void drive(const streams::Stream& stream, Drive& drive);
    /// False: a shard lies in a journal that is missing. Deleting and changing wait for it: what is
    /// forgotten here would come back with it, as it was.
    bool journals_complete(const streams::Stream& stream) const;
    void take_drive_reply(StreamId stream, const channel::Event& event);
    void take_resharded(const streams::Stream& stream, const channel::Event& event);
    void scale_on();
    void refuse(const streams::Stream& stream, Error error);
    /// Applies and logs. False: it is not durable, and will be planned again.
    bool apply(const catalog::Change& change);

    // -- Administrators (controller_admin.cc).
    struct Pending {
        enum class Wait : uint8_t { kReady, kOutcome, kFacts, kCommand, kKeys, kLags, kFeeds };
        admin::Request request;
        Wait wait = Wait::kReady;
        uint64_t deadline_ns = 0;
        StreamId stream;            // kOutcome, kFacts.
        uint64_t command_id = 0;    // kCommand.
        uint64_t facts_number = 0;  // kFacts: listing that is new enough.
        uint64_t key_set_number = 0;  // kKeys: set that has the change.
        uint64_t feed_set_number = 0;  // kFeeds: the same of feeds.
        std::string key_id;           // kKeys: the key changed,
        std::string secret;           // and what is to be told of it, once.
        Error last_error;
        uint64_t seek_number = 0;  // CreateGroup, ResetGroup: where to begin is being looked up; 0: not yet.
        bool seek_done = false;
        consumers::Positions positions;
        std::vector<std::pair<catalog::GroupId, uint64_t>> lags;  // Measurings that the answer needs.
    };
    void take_request(admin::Request request);
    /// One look at a pending request. True: answered.
    bool advance(Pending& pending);
    bool advance_read(Pending& pending);
    bool start_change(Pending& pending);
    Result<catalog::Change> plan_change(const admin::Request& request) const;
    bool start_create(Pending& pending);
    bool start_accept_clock(Pending& pending);
    // -- Split, merge, scale (controller_reshard.cc).
    bool start_reshard(Pending& pending);
    bool advance_reshard(Pending& pending, const streams::Stream* stream);
    bool advance_outcome(Pending& pending);
    bool advance_create(Pending& pending, const streams::Stream* stream);
    bool overdue(const Pending& pending) const;
    bool finish(const Pending& pending, Error error);
    bool finish_with(const Pending& pending, const streams::Stream& stream);
    bool finish_list(const Pending& pending);
    bool finish_plan(const Pending& pending);
    // -- Keys (controller_keys.cc).
    bool advance_key(Pending& pending);
    bool change_key(Pending& pending);
    bool finish_keys(const Pending& pending);
    bool finish_key(const Pending& pending);
    /// A key that was not answered with kOk must not come to be.
    void undo_key(const Pending& pending);
    bool key_change_waits() const;
    access::Randomness draw();
    /// Tells the dataplane the keys when it does not go by the catalogue's.
    void push_keys();
    void take_keys_reply(const channel::Event& event);

    // -- Feeds (controller_feeds.cc).
    bool advance_feed(Pending& pending);
    bool change_feed(Pending& pending);
    bool finish_feeds(const Pending& pending, const std::string& name);
    static std::string feed_name(const Pending& pending);
    /// Errors: kBadArgument, kUnknownStream, kUnknownFeed, kFeedExists, kLimitExceeded.
    Result<catalog::Change> plan_feed(const admin::Request& request);
    void undo_feed(const Pending& pending);
    void push_feeds();
    void take_feeds_reply(const channel::Event& event);

    // -- Notes (controller_notes.cc).
    bool advance_note(Pending& pending);
    bool finish_notes(const Pending& pending);
    Status put_note(const admin::Request& request, StreamId stream);
    /// Errors: kBadArgument, kNoteChanged, kLimitExceeded.
    Status add_note(const admin::Request& request, StreamId stream, catalog::Change& change);

    // -- Consumer groups (controller_groups.cc).
    /// Where a group is to begin, shard by shard.
    struct Seek {
        uint64_t number = 0;
        std::string stream_name;
        std::string group;
        uint16_t position = 0;  // frame::Position
        uint64_t value = 0;
        std::vector<ShardId> only;  // Empty: all.
        std::deque<ShardId> left;
        std::map<uint64_t, ShardId> asked;  // By the channel's question.
        consumers::Positions found;
        uint32_t busy_count = 0;
        Error error;
        bool pending = false;              // For an administrator, ...
        std::vector<consumers::Ask> joins;  // ... else for these members.
    };
    consumers::Now clock() const;
    void take_group_request(const channel::Event& event);
    void answer_member(uint64_t ticket, Error error);
    void take_new_map();
    void advance_groups(consumers::Now now);
    /// Makes durable what has changed, then answers. Errors: those of the catalogue; what was not stored is undone.
    Status store_groups();
    Status begin_seek(Seek seek);
    bool take_seek_answer(const channel::Event& event);
    void advance_seeks();
    void finish_seek(Seek& seek);
    void drop_group_business();
    bool advance_group(Pending& pending);
    bool finish_group(const Pending& pending, Status stored);
    static std::string explain_group(const admin::Request& request, Error error);
    // -- Their lag (controller_lag.cc).
    void advance_lags();
    void take_measure_answer(const channel::Event& event);
    void want_lags(Pending& pending, StreamId stream);
    bool lags_measured(const Pending& pending) const;
    bool advance_group_read(Pending& pending);
    void add_groups(const Pending& pending, admin::Answer& answer, bool in_full) const;
    admin::GroupAnswer describe_group(const consumers::Group& group, const consumers::GroupLag* lag,
                                      bool in_full) const;

    admin::StreamAnswer describe(const streams::Stream& stream) const;
    void wait_for_facts(Pending& pending, StreamId stream);
    void request_facts();

    uint64_t next_deadline_ns() const;

    catalog::Catalog& catalog_;
    client::Transport& transport_;
    ControllerOptions options_;
    streams::StreamTable table_;
    channel::Channel channel_;
    admin::AdminServer admin_;
    uint64_t started_ns_;
    bool was_ready_ = false;
    std::optional<Error> fatal_;

    Stage stage_ = Stage::kDown;
    uint64_t stage_command_ = 0;
    bool epoch_taken_ = false;    // By this process, at least once.
    bool epoch_adopted_ = false;  // The catalogue's epoch was too old once, and has been raised.
    streams::Facts facts_;        // As last listed; empty while the dataplane is down.
    uint64_t facts_command_ = 0;  // ListFacts under way for describes; 0: none.
    uint64_t facts_number_ = 0;   // How often facts_ has been listed.
    uint64_t box_id_high_ = 0;
    uint64_t box_id_low_ = 0;

    uint64_t keys_command_ = 0;       // PutKeys under way; 0: none.
    uint64_t keys_sent_number_ = 0;   // Of the set that it says.
    uint64_t keys_known_number_ = 0;  // Of the set that this dataplane goes by, as far as it said.
    uint64_t keys_retry_at_ns_ = 0;
    uint64_t keys_back_off_ns_ = 0;
    uint64_t feeds_command_ = 0;  // The same for feeds.
    uint64_t feeds_sent_number_ = 0;
    uint64_t feeds_known_number_ = 0;
    uint64_t feeds_retry_at_ns_ = 0;
    uint64_t feeds_back_off_ns_ = 0;
    bool feeds_refused_ = false;
    bool keys_refused_ = false;  // The dataplane has a later set, and nobody has changed ours since.

    consumers::Groups groups_;
    uint64_t groups_map_ = 0;  // table_.change_count() that groups_ goes by.
    std::list<Seek> seeks_;
    uint64_t last_seek_ = 0;
    consumers::LagBoard lags_;
    std::map<uint64_t, ShardId> lag_questions_;  // By the channel's question.
    uint64_t lag_round_at_ns_ = 0;               // When the next round may begin.
    uint64_t lag_round_began_ns_ = 0;            // 0: none is under way.

    std::map<StreamId, Drive> drives_;
    std::map<StreamId, Error> refused_;  // Why a stream was given up, for whoever waits for it.
    std::list<Pending> pendings_;
    Refusals refusals_;
};

}  // namespace eagre::control
