#pragma once
// The command channel: one connection to the dataplane's control socket (DATA/eagred.sock), kept up
// with bounded back-off. Commands go out as kCommand frames, replies are paired by correlation. One
// thread; nothing waits: poll() each turn, then take the events.
//
// It keeps no intentions: when the connection is lost, what was under way is forgotten here and
// kDown is reported. Whoever asked decides from the catalogue and the facts what to ask again.
// Commands are idempotent, so asking again is always right.

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "control/catalog/catalog.h"
#include "control/frames/frame_pipe.h"
#include "control/streams/facts.h"
#include "wire/feeds/spec/feed_spec.h"
#include "wire/base/result.h"
#include "wire/client/transport.h"
#include "wire/identity/key_set.h"
#include "wire/schema/control_generated.h"

namespace eagre::channel {

inline constexpr uint32_t kCommandsInFlightMax = 32;
inline constexpr uint32_t kQuestionsInFlightMax = 32;

struct ChannelOptions {
    std::string address;  // "unix:PATH" of the dataplane's control socket.
    uint64_t reply_timeout_ns = 10'000'000'000ULL;  // A dataplane that is silent for so long is
                                                    // given up, and connected to anew.
    uint64_t reconnect_ns_min =
        5'000'000ULL;  // Back-off doubles from here, with jitter of a half ...
    uint64_t reconnect_ns_max =
        500'000'000ULL;  // ... to here, and never ends: a dataplane may be down for a weekend.
};

/// A command as the logic sees it. `stream` and `shards` as CommandOp asks for them.
struct CommandSpec {
    wire::CommandOp op = wire::CommandOp::None;
    Epoch epoch;
    const catalog::StreamRow* stream = nullptr;
    const std::vector<catalog::ShardRow>* shards = nullptr;
    const identity::KeySet* keys = nullptr;  // PutKeys.
    const feeds::FeedSet* feeds = nullptr;   // PutFeeds.
};

struct Event {
    enum class Kind : uint8_t {
        kUp,     // Greeted. The box's identity is filled in.
        kDown,   // The connection is gone, and with it every command under way. `error` says why.
        kReply,  // To the command `command_id`. `error` is the dataplane's answer; `facts` as far
                 // as it sent them.
        kAnswer,  // To the question `command_id`: `header`, and `error` of it.
        kGroup,   // A request of a consumer group's member: `ticket`, `payload`.
    };
    Kind kind{};
    Error error;
    uint64_t box_id_high = 0;
    uint64_t box_id_low = 0;
    uint64_t incarnation = 0;
    uint64_t command_id = 0;
    wire::CommandOp op = wire::CommandOp::None;  // Of the command answered.
    streams::Facts facts;
    frame::FrameHeader header;
    uint64_t ticket = 0;
    std::vector<std::byte> payload;
};

class Channel {
  public:
    /// `transport` must outlive this.
    Channel(client::Transport& transport, ChannelOptions options);

    /// One turn: connects, sends, receives, gives up what is overdue.
    void poll();
    std::optional<Event> next_event();
    /// When poll() next has something to do of its own accord (transport's monotonic clock).
    uint64_t next_deadline_ns() const;

    bool up() const { return state_ == State::kUp; }
    bool has_room() const { return up() && commands_count() < kCommandsInFlightMax; }
    bool has_room_for_question() const { return up() && question_count_ < kQuestionsInFlightMax; }
    /// Sends a command and returns its id, by which the reply will be known. Errors: kUnavailable
    /// (not up), kBusy (kCommandsInFlightMax), kBadLength (a stream too large for a frame).
    Result<uint64_t> send(const CommandSpec& command);
    /// Asks something that is a header alone, as a client would (kLocate, kMeasure); its id, by which the answer will be
    /// known. Errors: kUnavailable, kBusy (kQuestionsInFlightMax).
    Result<uint64_t> ask(frame::FrameHeader question);
    /// Answers the request `ticket` of a member. Errors: kUnavailable, kBusy (the dataplane does not read).
    Status answer(uint64_t ticket, Error error, std::span<const std::byte> payload);
    /// Closes the connection and connects anew after the back-off.
    void drop(Error why);

  private:
    enum class State : uint8_t { kWaiting, kGreeting, kUp };
    struct UnderWay {
        uint64_t command_id = 0;
        wire::CommandOp op = wire::CommandOp::None;
        uint64_t deadline_ns = 0;
        bool question = false;
    };

    size_t commands_count() const { return under_way_.size() - question_count_; }
    void connect();
    /// Reads every complete frame. Errors: whatever ends the connection.
    Status receive_all();
    Status take_frame(const frames::Frame& frame);
    Status take_hello(const frames::Frame& frame);
    Status take_reply(const frames::Frame& frame);
    Status take_answer(const frames::Frame& frame);

    client::Transport& transport_;
    ChannelOptions options_;
    State state_ = State::kWaiting;
    std::unique_ptr<frames::FramePipe> pipe_;
    uint64_t retry_at_ns_ = 0;
    uint64_t back_off_ns_;
    uint64_t greet_deadline_ns_ = 0;
    uint64_t last_command_id_;
    uint64_t last_correlation_ = 0;
    size_t question_count_ = 0;
    std::map<uint64_t, UnderWay> under_way_;  // By correlation; they rise, so deadlines do too.
    std::deque<Event> events_;
};

}  // namespace eagre::channel
