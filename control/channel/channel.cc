#include "control/channel/channel.h"

#include <algorithm>

#include "control/channel/facts_codec.h"
#include "control/log/log.h"
#include "wire/base/assert.h"
#include "wire/feeds/spec/feed_codec.h"
#include "wire/schema/request_generated.h"

namespace eagre::channel {
namespace {

constexpr std::string_view kClientName = "eagre-control";

std::span<const std::byte> bytes_of(const flatbuffers::FlatBufferBuilder& builder) {
    return {reinterpret_cast<const std::byte*>(builder.GetBufferPointer()), builder.GetSize()};
}

}  // namespace

Channel::Channel(client::Transport& transport, ChannelOptions options)
    : transport_(transport),
      options_(std::move(options)),
      back_off_ns_(options_.reconnect_ns_min),
      // Command ids of different processes don't meet: each begins at a random place.
      last_command_id_(transport.random() >> 1U) {}

void Channel::poll() {
    if (state_ == State::kWaiting) {
        if (transport_.monotonic_ns() < retry_at_ns_) return;
        connect();
        if (state_ == State::kWaiting) return;
    }
    if (const auto flushed = pipe_->flush(); !flushed) return drop(flushed.error());
    if (const auto received = receive_all(); !received) return drop(received.error());
    const uint64_t now = transport_.monotonic_ns();
    const bool greeting_overdue = state_ == State::kGreeting && now >= greet_deadline_ns_;
    while (!under_way_.empty() && now >= under_way_.begin()->second.deadline_ns &&
           under_way_.begin()->second.question) {
        // One shard that cannot say is no reason to give up the others.
        Event event;
        event.kind = Event::Kind::kAnswer;
        event.command_id = under_way_.begin()->second.command_id;
        event.error = error_of(Errc::kTimeout);
        under_way_.erase(under_way_.begin());
        --question_count_;
        events_.push_back(std::move(event));
    }
    const bool reply_overdue = !under_way_.empty() && now >= under_way_.begin()->second.deadline_ns;
    if (greeting_overdue || reply_overdue) drop(error_of(Errc::kTimeout));
}

void Channel::connect() {
    const auto pipe = transport_.connect(options_.address, 0);
    if (!pipe) return drop(pipe.error());
    frames::PipeLimits limits;
    limits.receive_payload_bytes_max = kListPayloadBytesMax;
    pipe_ = std::make_unique<frames::FramePipe>(transport_, *pipe, limits);
    state_ = State::kGreeting;
    greet_deadline_ns_ = transport_.monotonic_ns() + options_.reply_timeout_ns;

    flatbuffers::FlatBufferBuilder builder;
    builder.Finish(
        wire::CreateHello(builder, builder.CreateString(kClientName.data(), kClientName.size())));
    frame::FrameHeader header;
    header.kind = frame::FrameKind::kHello;
    header.correlation = ++last_correlation_;
    const auto sent = pipe_->send(header, bytes_of(builder));
    EAGRE_ASSERT(sent.has_value());  // A new pipe has room for a hello.
}

void Channel::drop(Error why) {
    const bool was_up = state_ == State::kUp;
    pipe_.reset();
    under_way_.clear();
    question_count_ = 0;
    state_ = State::kWaiting;
    // Half to the whole of the back-off, so that several that lost the same server don't come back
    // in step.
    retry_at_ns_ =
        transport_.monotonic_ns() + back_off_ns_ / 2 + transport_.random() % (back_off_ns_ / 2 + 1);
    back_off_ns_ = std::min(back_off_ns_ * 2, options_.reconnect_ns_max);
    if (!was_up) {
        log::debug("channel", "dataplane not reached reason={} errno={}", errc_name(why.code),
                   why.os_errno);
        return;
    }
    log::warning("channel", "dataplane lost; connecting anew reason={} errno={}",
                 errc_name(why.code), why.os_errno);
    Event event;
    event.kind = Event::Kind::kDown;
    event.error = why;
    events_.push_back(std::move(event));
}

Status Channel::receive_all() {
    for (;;) {
        auto frame = pipe_->receive();
        if (!frame) return frame.error();
        if (!*frame) return {};
        if (const auto taken = take_frame(**frame); !taken) return taken;
    }
}

Status Channel::take_frame(const frames::Frame& frame) {
    switch (frame.header.kind) {
        case frame::FrameKind::kHelloReply:
            return take_hello(frame);
        case frame::FrameKind::kCommandReply:
            return take_reply(frame);
        case frame::FrameKind::kLocateReply:
        case frame::FrameKind::kMeasureReply:
            return take_answer(frame);
        case frame::FrameKind::kGroup: {
            Event event;
            event.kind = Event::Kind::kGroup;
            event.ticket = frame.header.correlation;
            event.payload = frame.payload;
            events_.push_back(std::move(event));
            return {};
        }
        case frame::FrameKind::kError:
            return error_of(frame::errc_of(frame.header), frame.header.detail);
        default:
            return error_of(Errc::kBadKind, static_cast<uint64_t>(frame.header.kind));
    }
}

Status Channel::take_hello(const frames::Frame& frame) {
    if (state_ != State::kGreeting) return Errc::kBadKind;
    if (frame::errc_of(frame.header) != Errc::kOk)
        return error_of(frame::errc_of(frame.header), frame.header.detail);
    flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t*>(frame.payload.data()),
                                   frame.payload.size());
    if (!verifier.VerifyBuffer<wire::HelloReply>(nullptr)) return Errc::kBadSchema;
    const auto* hello = flatbuffers::GetRoot<wire::HelloReply>(frame.payload.data());
    state_ = State::kUp;
    Event event;
    event.kind = Event::Kind::kUp;
    event.box_id_high = hello->box_id_high();
    event.box_id_low = hello->box_id_low();
    event.incarnation = hello->incarnation();
    events_.push_back(std::move(event));
    return {};
}

Status Channel::take_reply(const frames::Frame& frame) {
    const auto found = under_way_.find(frame.header.correlation);
    // Answers nothing that we asked on this connection: the two sides don't agree on where they
    // are.
    if (found == under_way_.end() || found->second.question)
        return error_of(Errc::kBadKind, frame.header.correlation);
    Event event;
    event.kind = Event::Kind::kReply;
    event.command_id = found->second.command_id;
    event.op = found->second.op;
    event.error = error_of(frame::errc_of(frame.header), frame.header.detail);
    if (!frame.payload.empty()) {
        const auto* reply = verify_reply(frame.payload);
        if (reply == nullptr) return Errc::kBadSchema;
        if (reply->id() != event.command_id) return error_of(Errc::kBadArgument, reply->id());
        if (reply->code() != 0)
            event.error = error_of(static_cast<Errc>(reply->code()), reply->detail());
        event.facts = facts_from(*reply);
    }
    under_way_.erase(found);
    // Not at the hello already: a dataplane that greets and then throws us out is not to be
    // hammered.
    back_off_ns_ = options_.reconnect_ns_min;
    events_.push_back(std::move(event));
    return {};
}

Status Channel::take_answer(const frames::Frame& frame) {
    const auto found = under_way_.find(frame.header.correlation);
    if (found == under_way_.end()) return {};  // Given up meanwhile.
    if (!found->second.question) return error_of(Errc::kBadKind, frame.header.correlation);
    Event event;
    event.kind = Event::Kind::kAnswer;
    event.command_id = found->second.command_id;
    event.header = frame.header;
    event.error = error_of(frame::errc_of(frame.header), frame.header.detail);
    under_way_.erase(found);
    --question_count_;
    events_.push_back(std::move(event));
    return {};
}

Result<uint64_t> Channel::ask(frame::FrameHeader question) {
    if (!up()) return Errc::kUnavailable;
    if (!has_room_for_question()) return error_of(Errc::kBusy);
    question.correlation = ++last_correlation_;
    if (const auto sent = pipe_->send(question); !sent) return sent.error();
    const uint64_t id = ++last_command_id_;
    UnderWay under_way;
    under_way.command_id = id;
    under_way.deadline_ns = transport_.monotonic_ns() + options_.reply_timeout_ns;
    under_way.question = true;
    under_way_[question.correlation] = under_way;
    ++question_count_;
    [[maybe_unused]] const auto flushed = pipe_->flush();
    return id;
}

Status Channel::answer(uint64_t ticket, Error error, std::span<const std::byte> payload) {
    if (!up()) return Errc::kUnavailable;
    frame::FrameHeader header;
    header.kind = frame::FrameKind::kGroupReply;
    header.flags = static_cast<uint16_t>(error.code);
    header.detail = error.detail;
    header.correlation = ticket;
    if (const auto sent = pipe_->send(header, payload); !sent) return sent;
    [[maybe_unused]] const auto flushed = pipe_->flush();
    return {};
}

Result<uint64_t> Channel::send(const CommandSpec& command) {
    if (!up()) return Errc::kUnavailable;
    if (!has_room()) return error_of(Errc::kBusy);
    const uint64_t id = ++last_command_id_;
    flatbuffers::FlatBufferBuilder builder;
    flatbuffers::Offset<wire::StreamInfo> stream;
    if (command.stream != nullptr) stream = encode_stream(builder, *command.stream, command.shards);
    flatbuffers::Offset<wire::KeySet> keys;
    if (command.keys != nullptr) keys = identity::pack_key_set(builder, *command.keys);
    flatbuffers::Offset<wire::FeedSet> feeds;
    if (command.feeds != nullptr) feeds = feeds::pack_feed_set(builder, *command.feeds);
    wire::CommandBuilder table(builder);
    table.add_id(id);
    table.add_epoch(command.epoch.value);
    table.add_op(command.op);
    if (command.stream != nullptr) table.add_stream(stream);
    if (command.keys != nullptr) table.add_key_set(keys);
    if (command.feeds != nullptr) table.add_feed_set(feeds);
    builder.Finish(table.Finish());

    frame::FrameHeader header;
    header.kind = frame::FrameKind::kCommand;
    header.correlation = ++last_correlation_;
    if (const auto sent = pipe_->send(header, bytes_of(builder)); !sent) return sent.error();
    under_way_[header.correlation] = {
        id, command.op, transport_.monotonic_ns() + options_.reply_timeout_ns, false};
    // What the socket takes now needs no other turn; a broken pipe shows in the next.
    [[maybe_unused]] const auto flushed = pipe_->flush();
    log::debug("channel", "command sent id={} op={} epoch={}", id,
               wire::EnumNameCommandOp(command.op), command.epoch.value);
    return id;
}

std::optional<Event> Channel::next_event() {
    if (events_.empty()) return std::nullopt;
    Event event = std::move(events_.front());
    events_.pop_front();
    return event;
}

uint64_t Channel::next_deadline_ns() const {
    if (state_ == State::kWaiting) return retry_at_ns_;
    if (state_ == State::kGreeting) return greet_deadline_ns_;
    return under_way_.empty() ? UINT64_MAX : under_way_.begin()->second.deadline_ns;
}

}  // namespace eagre::channel
