// Consumer groups: what members ask is passed on to control, if they may read the stream, and the answer back. How much of a shard is
// unread.
#include <flatbuffers/flatbuffers.h>

#include <algorithm>

#include "dataplane/core.h"
#include "wire/base/assert.h"
#include "wire/schema/groups_generated.h"

namespace eagre {

using frame::FrameHeader;
using frame::FrameKind;
using ingress::Handled;
using ingress::Session;

namespace {

constexpr flatbuffers::uoffset_t kGroupDepthMax = 4;
constexpr flatbuffers::uoffset_t kGroupTableMax = 2;

}  // namespace

Handled Core::on_group(Session& session, const FrameHeader& header, std::span<const std::byte> payload) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(payload.data());
    flatbuffers::Verifier verifier(bytes, payload.size(), kGroupDepthMax, kGroupTableMax);
    if (payload.size() < 16 || !verifier.VerifyBuffer<wire::GroupRequest>(nullptr)) {
        sessions_->close_bad(session, header, error_of(Errc::kBadSchema));
        return Handled::kClose;
    }
    const auto* name = flatbuffers::GetRoot<wire::GroupRequest>(bytes)->stream();
    const std::string_view stream = name != nullptr ? name->string_view() : std::string_view{};
    const gate::Grant& grant = session.grant;
    const bool allowed = (grant.everywhere & identity::kGet) != 0 ||
                         (grant.key != nullptr && (grant.key->policy.actions_on(stream) & identity::kGet) != 0);
    Error refused;
    if (!allowed) {
        report_denied(session, "group", stream);
        refused = error_of(Errc::kAccessDenied, identity::kGet);
    } else if (directory_.find(stream) == nullptr) {
        refused = error_of(Errc::kUnknownStream);
    } else if (payload.size() > relay::kRelayPayloadBytesMax) {
        refused = error_of(Errc::kBadLength, relay::kRelayPayloadBytesMax);
    } else if (session.relayed >= relay::kRelayPerSessionMax) {
        refused = error_of(Errc::kBusy, relay::kRelayPerSessionMax);
    }
    if (refused.code != Errc::kOk) {
        reply_error(session, header, FrameKind::kGroupReply, refused);
        return Handled::kDone;
    }
    ++session.relayed;
    ColdMessage message;
    message.kind = ColdMessage::Kind::kRelay;
    message.outlet = session.id;
    message.token = header.correlation;
    message.payload.assign(payload.begin(), payload.end());
    send_cold(CoreIndex{0}, std::make_unique<ColdMessage>(std::move(message)));
    return Handled::kDone;
}

// On core 0, which has control's connection.
void Core::relay_request(CoreIndex from, const ColdMessage& message) {
    const relay::Asker asker{from, message.outlet, message.token, now_ns_ + relay::kRelayNsMax};
    Session* control = sessions_->find(control_outlet_);
    if (control == nullptr) return relay_answer(asker, error_of(Errc::kUnavailable), {});
    if (relay_.full() || control->outlet.queued_bytes() > relay::kRelayQueueBytesMax) {
        return relay_answer(asker, error_of(Errc::kBusy), {});
    }
    FrameHeader header;
    header.kind = FrameKind::kGroup;
    header.correlation = relay_.add(asker);
    control->outlet.push(header, message.payload);
    sessions_->mark_dirty(*control);
}

Handled Core::on_group_reply(Session& session, const FrameHeader& header, std::span<const std::byte> payload) {
    // An answer of a control that has been superseded, or one that comes too late, is nobody's.
    if (session.id != control_outlet_) return Handled::kDone;
    const auto asker = relay_.take(header.correlation);
    if (asker) relay_answer(*asker, error_of(frame::errc_of(header), header.detail), payload);
    return Handled::kDone;
}

void Core::relay_answer(const relay::Asker& asker, Error error, std::span<const std::byte> payload) {
    auto message = std::make_unique<ColdMessage>();
    message->kind = ColdMessage::Kind::kRelayed;
    message->outlet = asker.outlet;
    message->token = asker.correlation;
    message->error = error;
    message->payload.assign(payload.begin(), payload.end());
    send_cold(asker.core, std::move(message));
}

// On the core that took the request in.
void Core::finish_relayed(const ColdMessage& message) {
    if (message.error.code != Errc::kOk) count_error(message.error.code);
    Session* session = sessions_->find(message.outlet);
    if (session == nullptr) return;
    EAGRE_ASSERT_GT(session->relayed, 0U);
    --session->relayed;
    FrameHeader request;
    request.correlation = message.token;
    session->outlet.push(frame::reply_to(request, FrameKind::kGroupReply, message.error), message.payload);
    sessions_->mark_dirty(*session);
}

// The connection over which control has taken an epoch is the one that requests go to.
void Core::attach_control(const Session& session) {
    if (session.id == control_outlet_) return;
    detach_control();
    control_outlet_ = session.id;
}

void Core::detach_control() {
    control_outlet_ = {};
    for (const relay::Asker& asker : relay_.take_all()) relay_answer(asker, error_of(Errc::kUnavailable), {});
}

void Core::expire_relayed() {
    for (const relay::Asker& asker : relay_.take_overdue(now_ns_)) relay_answer(asker, error_of(Errc::kTimeout), {});
}

void Core::on_measure(Session& session, const FrameHeader& header) {
    const auto place = directory_.find_shard(ShardId{header.shard});
    if (!may(session, identity::kGet, ShardId{header.shard})) {
        reply_error(session, header, FrameKind::kMeasureReply, error_of(Errc::kAccessDenied, identity::kGet));
    } else if (place.shard == nullptr || place.shard->core == index_) {
        measure(header, {ack::ReplyTo::Kind::kConnection, index_, session.id});
    } else if (!hand_over(place.shard->core, session.id, header, {})) {
        reply_error(session, header, FrameKind::kMeasureReply, error_of(Errc::kBusy));
    }
}

void Core::measure(const FrameHeader& header, const ack::ReplyTo& to) {
    const shard::Shard* shard = this->shard(ShardId{header.shard});
    Result<journal::Unread> unread = Errc::kUnknownShard;
    uint64_t tail = 0;
    if (shard != nullptr) {
        tail = shard->journal->durable_tail(shard->facts.shard).value;
        unread = shard->journal->measure(shard->facts.shard, SequenceNumber{header.sequence});
    } else {
        const auto place = directory_.find_shard(ShardId{header.shard});
        if (place.shard != nullptr && !place.shard->available) unread = Errc::kUnavailable;
    }
    if (!unread && unread.error().code == Errc::kBusy && locates_.size() < kLocatePendingMax) {
        locates_.push_back({to, header.correlation, ShardId{header.shard}, header.sequence, FrameKind::kMeasure});
        return;
    }
    const Error error = unread ? Error{} : unread.error();
    if (error.code != Errc::kOk) count_error(error.code);
    FrameHeader answer = frame::reply_to(header, FrameKind::kMeasureReply, error);
    answer.number = tail;
    if (unread) {
        answer.detail = unread->arrival_ns;
        answer.sequence = unread->bytes;
    }
    reply(to, answer);
}

}  // namespace eagre
