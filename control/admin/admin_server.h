#pragma once
// Serves DATA/control.sock: kCommand frames with an AdminRequest, answered by kCommandReply with an
// AdminReply (wire/schema/admin.fbs). A hello is answered and not demanded: the socket's mode
// (0600) is the authentication.
//
// One thread; nothing waits: poll() each turn, take the requests, answer them in any order,
// whenever. A connection that misbehaves gets a kError frame with the reason and is closed; the
// others don't notice. Everything a connection can take up has a bound.

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "control/catalog/catalog.h"
#include "control/frames/frame_pipe.h"
#include "control/frames/refusals.h"
#include "control/sockets/listener.h"
#include "control/streams/facts.h"
#include "control/streams/placement.h"
#include "control/streams/limits.h"
#include "wire/feeds/spec/feed_spec.h"
#include "wire/base/result.h"
#include "wire/client/transport.h"
#include "wire/schema/admin_generated.h"

namespace eagre::admin {

inline constexpr uint32_t kConnectionCountMax = 64;  // More are told kBusy and closed.
inline constexpr uint32_t kRequestsPerConnectionMax =
    16;  // Not yet answered. More are answered kBusy.
inline constexpr uint64_t kFrameTimeoutNs =
    10'000'000'000ULL;  // From a frame's first byte to its last.
inline constexpr uint64_t kIdleTimeoutNs = 600'000'000'000ULL;  // Without a request.
inline constexpr uint64_t kCloseTimeoutNs =
    1'000'000'000ULL;  // For the last words of a connection that is being closed.

/// Where an answer goes.
struct Caller {
    uint64_t connection = 0;
    uint64_t correlation = 0;
};

struct Request {
    Caller caller;
    wire::AdminOp op = wire::AdminOp::None;
    std::string name;
    uint32_t shard_count = 0;
    streams::LimitsChange limits;
    catalog::Tags tags;  // UntagStream: only the keys count.
    std::string allow;
    uint64_t expires_ns = 0;
    std::string group;
    uint16_t position = 0;  // frame::Position
    uint64_t position_value = 0;
    std::vector<ShardId> shards;  // SplitShard: one. MergeShards: two. MoveShards: some. ResetGroup: any, none stands for all.
    bool force = false;
    uint32_t heartbeat_ms = 0;
    std::vector<JournalId> journals;  // MoveShards: where each is to go on.
    std::optional<HashKey> split_at;  // SplitShard: first hash key of the upper child.
    // PutNote, DeleteNote, ListNotes: of the stream `name`, or of the box where it is empty.
    std::string note_name;
    std::string note_text;
    uint64_t note_revision = 0;
    feeds::FeedSpec feed;  // AddFeed.
};

/// A stream as it is told to people: the shards may be left out, their number not.
struct StreamAnswer {
    streams::StreamFact stream;
    uint32_t shard_count = 0;
};

struct GroupMemberAnswer {
    std::string name;
    uint64_t joined_ns = 0;  // Wall clock.
    uint64_t silent_ns = 0;
    uint32_t shard_count = 0;
};

/// As in admin.fbs.
struct GroupShardAnswer {
    ShardId shard;
    std::string member;
    uint64_t token = 0;
    SequenceNumber next;
    uint64_t checkpoint_ns = 0;
    bool ended = false;
    bool waits = false;
    bool releasing = false;
    bool known = false;
    SequenceNumber tail;
    uint64_t unread_records = 0;
    uint64_t unread_bytes = 0;
    uint64_t unread_since_ns = 0;
};

struct GroupAnswer {
    std::string stream;
    std::string name;
    uint32_t heartbeat_ms = 0;
    uint64_t created_ns = 0;
    uint32_t member_count = 0;
    uint32_t shard_count = 0;
    bool known = false;
    uint64_t unread_records = 0;
    uint64_t unread_bytes = 0;
    uint64_t unread_since_ns = 0;
    std::vector<GroupMemberAnswer> members;
    std::vector<GroupShardAnswer> shards;
};

struct NoteAnswer {
    std::string stream;  // Empty: the box.
    catalog::NoteRow note;
};

struct Answer {
    Error error;
    std::string message;  // A sentence for people.
    std::vector<StreamAnswer> streams;
    std::vector<catalog::KeyRow> keys;  // Told with their secrets sealed.
    std::string secret;                 // Of a new key, or the new one of an old key.
    std::vector<GroupAnswer> groups;
    std::vector<streams::JournalFact> journals;  // Where shards may lie.
    std::vector<streams::DirectoryFact> directories;
    std::vector<streams::Move> moves;
    std::vector<NoteAnswer> notes;
    std::vector<feeds::FeedSpec> feeds;
};

class AdminServer {
  public:
    /// Both must outlive this, and belong together.
    AdminServer(client::Transport& transport, sockets::Listener& listener)
        : transport_(transport), listener_(listener) {}

    /// One turn: accepts, receives, sends, closes what is overdue.
    void poll();
    std::optional<Request> next_request();
    /// An answer to a connection that has gone is dropped.
    void answer(const Caller& caller, const Answer& answer);
    size_t connection_count() const { return connections_.size(); }
    /// What never got as far as next_request().
    const Refusals& refusals() const { return refusals_; }
    /// False when everything answered has been handed over: the process may end without cutting a
    /// reply short.
    bool sending() const;

  private:
    struct Connection {
        std::unique_ptr<frames::FramePipe> pipe;
        uint32_t unanswered_count = 0;
        uint64_t last_request_ns = 0;
        uint64_t frame_began_ns = 0;  // 0: no frame is half here.
        uint64_t close_at_ns = 0;     // 0: it is not being closed.
    };

    void accept_all(uint64_t now_ns);
    /// False: the connection is to be forgotten.
    bool serve(uint64_t id, Connection& connection, uint64_t now_ns);
    /// Errors: what the other side did wrong.
    Status receive_all(uint64_t id, Connection& connection, uint64_t now_ns);
    Status take_frame(uint64_t id, Connection& connection, const frames::Frame& frame);
    void send_error(Connection& connection, Error error, uint64_t now_ns);
    static void send_answer(Connection& connection, uint64_t correlation, const Answer& answer);

    client::Transport& transport_;
    sockets::Listener& listener_;
    std::map<uint64_t, Connection> connections_;
    Refusals refusals_;
    uint64_t last_connection_ = 0;
    std::deque<Request> requests_;
};

}  // namespace eagre::admin
