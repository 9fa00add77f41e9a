#include "control/admin/admin_server.h"

#include <algorithm>

#include "control/admin/admin_codec.h"
#include "control/log/log.h"
#include "wire/base/assert.h"
#include "wire/schema/request_generated.h"

namespace eagre::admin {

void AdminServer::poll() {
    const uint64_t now = transport_.monotonic_ns();
    for (auto it = connections_.begin(); it != connections_.end();) {
        it = serve(it->first, it->second, now) ? std::next(it) : connections_.erase(it);
    }
    accept_all(now);  // Behind those who left, whose places are free.
}

void AdminServer::accept_all(uint64_t now_ns) {
    while (const auto accepted = listener_.accept()) {
        Connection connection;
        connection.pipe =
            std::make_unique<frames::FramePipe>(transport_, *accepted, frames::PipeLimits{});
        connection.last_request_ns = now_ns;
        const bool full = connections_.size() >= kConnectionCountMax;
        if (full) {
            log::warning("admin", "connection turned away connections={} most={}",
                         connections_.size(), kConnectionCountMax);
            refusals_.count("Connection", Errc::kBusy);
            send_error(connection, error_of(Errc::kBusy), now_ns);
            // What the socket takes at once is all it gets.
            [[maybe_unused]] const auto flushed = connection.pipe->flush();
            continue;
        }
        connections_.emplace(++last_connection_, std::move(connection));
    }
}

bool AdminServer::serve(uint64_t id, Connection& connection, uint64_t now_ns) {
    if (connection.close_at_ns == 0) {
        const auto received = receive_all(id, connection, now_ns);
        if (!received && received.error().code == Errc::kDisconnected) return false;
        if (!received) {
            log::warning("admin",
                         "connection closed: it misbehaved connection={} reason={} detail={}", id,
                         errc_name(received.error().code), received.error().detail);
            refusals_.count("Connection", received.error().code);
            send_error(connection, received.error(), now_ns);
        }
    }
    if (!connection.pipe->flush()) return false;
    if (connection.close_at_ns == 0) return true;
    return connection.pipe->discard().has_value() && !connection.pipe->all_sent() &&
           now_ns < connection.close_at_ns;
}

Status AdminServer::receive_all(uint64_t id, Connection& connection, uint64_t now_ns) {
    // At most as many frames a turn as may be unanswered: one connection cannot keep the others
    // waiting.
    for (uint32_t i = 0; i < kRequestsPerConnectionMax; ++i) {
        const auto frame = connection.pipe->receive();
        if (!frame) return frame.error();
        if (!*frame) break;
        connection.frame_began_ns = 0;
        connection.last_request_ns = now_ns;
        if (const auto taken = take_frame(id, connection, **frame); !taken) return taken;
    }
    if (!connection.pipe->in_frame()) {
        connection.frame_began_ns = 0;
    } else if (connection.frame_began_ns == 0) {
        connection.frame_began_ns = now_ns;
    } else if (now_ns - connection.frame_began_ns >= kFrameTimeoutNs) {
        return Errc::kTimeout;
    }
    const bool idle =
        connection.unanswered_count == 0 && now_ns - connection.last_request_ns >= kIdleTimeoutNs;
    if (idle) return Errc::kTimeout;
    return {};
}

Status AdminServer::take_frame(uint64_t id, Connection& connection, const frames::Frame& frame) {
    if (frame.header.kind == frame::FrameKind::kHello) {
        flatbuffers::FlatBufferBuilder builder;
        builder.Finish(wire::HelloReplyBuilder(builder).Finish());
        const std::span bytes(reinterpret_cast<const std::byte*>(builder.GetBufferPointer()),
                              builder.GetSize());
        return connection.pipe->send(frame::reply_to(frame.header, frame::FrameKind::kHelloReply),
                                     bytes);
    }
    if (frame.header.kind != frame::FrameKind::kCommand) {
        return error_of(Errc::kBadKind, static_cast<uint64_t>(frame.header.kind));
    }
    auto request = decode_request(frame.payload);
    if (!request) return request.error();
    request->caller = {id, frame.header.correlation};
    if (connection.unanswered_count >= kRequestsPerConnectionMax) {
        Answer busy;
        busy.error = error_of(Errc::kBusy, kRequestsPerConnectionMax);
        busy.message =
            "Too many requests are waiting on this connection; read their answers first.";
        refusals_.count(wire::EnumNameAdminOp(request->op), Errc::kBusy);
        send_answer(connection, frame.header.correlation, busy);
        return {};
    }
    ++connection.unanswered_count;
    requests_.push_back(std::move(*request));
    return {};
}

void AdminServer::send_error(Connection& connection, Error error, uint64_t now_ns) {
    frame::FrameHeader header;
    header.kind = frame::FrameKind::kError;
    header.flags = static_cast<uint16_t>(error.code);
    header.detail = error.detail;
    // A pipe too full even for this is closed without a word.
    [[maybe_unused]] const auto sent = connection.pipe->send(header);
    connection.close_at_ns = now_ns + kCloseTimeoutNs;
}

void AdminServer::send_answer(Connection& connection, uint64_t correlation, const Answer& answer) {
    frame::FrameHeader header;
    header.kind = frame::FrameKind::kCommandReply;
    header.flags = static_cast<uint16_t>(answer.error.code);
    header.correlation = correlation;
    header.detail = answer.error.detail;
    if (const auto sent = connection.pipe->send(header, encode_answer(answer)); sent) return;
    // It does not read what it asked for, or asked for more than a frame holds: a header alone
    // always fits, or the pipe is dead.
    header.flags = static_cast<uint16_t>(Errc::kBusy);
    [[maybe_unused]] const auto sent = connection.pipe->send(header);
}

std::optional<Request> AdminServer::next_request() {
    if (requests_.empty()) return std::nullopt;
    Request request = std::move(requests_.front());
    requests_.pop_front();
    return request;
}

void AdminServer::answer(const Caller& caller, const Answer& answer) {
    const auto found = connections_.find(caller.connection);
    if (found == connections_.end()) return;
    Connection& connection = found->second;
    EAGRE_ASSERT_GT(connection.unanswered_count, 0U);
    --connection.unanswered_count;
    if (connection.close_at_ns != 0) return;
    send_answer(connection, caller.correlation, answer);
    // What the socket takes now needs no other turn; a broken pipe shows in the next.
    [[maybe_unused]] const auto flushed = connection.pipe->flush();
}

bool AdminServer::sending() const {
    return std::any_of(connections_.begin(), connections_.end(),
                       [](const auto& entry) { return !entry.second.pipe->all_sent(); });
}

}  // namespace eagre::admin
