#include "dataplane/ingress/session.h"

#include <algorithm>

#include "wire/base/assert.h"

namespace eagre::ingress {

using frame::FrameHeader;
using frame::FrameKind;

Result<std::unique_ptr<Sessions>> Sessions::create(io::Connections& connections, FrameHandler& handler,
                                                   shm::CoreStats& stats) {
    auto scratch = io::AlignedBuffer::create(kHugeRestBytes + kReceiveBytes);
    if (!scratch) return scratch.error();
    std::unique_ptr<Sessions> sessions(new Sessions(connections, handler, stats));
    sessions->scratch_ = std::move(*scratch);
    sessions->table_.reserve(kSessionCountMax);
    sessions->free_.reserve(kSessionCountMax);
    sessions->by_connection_.reserve(kSessionCountMax);
    for (auto* list : {&sessions->readable_, &sessions->blocked_, &sessions->dirty_, &sessions->working_}) {
        list->reserve(kSessionCountMax);
    }
    return sessions;
}

void Sessions::accept(io::ConnectionId connection, bool control, uint64_t now_ns) {
    ++stats_.connections_accepted;
    if (free_.empty()) {
        if (table_.size() == kSessionCountMax) {
            ++stats_.errors[static_cast<size_t>(Errc::kLimitExceeded)];
            connections_.close(connection);
            return;
        }
        free_.push_back(static_cast<uint32_t>(table_.size()));
        table_.push_back(std::make_unique<Session>());
    }
    const uint32_t slot = free_.back();
    free_.pop_back();
    Session& session = *table_[slot];
    EAGRE_ASSERT(!session.used);
    const uint32_t generation = session.id.generation + 1;
    session.used = true;
    session.connection = connection;
    session.id = {slot, generation};
    session.control = control;
    session.greeted = false;
    session.readable = session.blocked = session.dirty = false;
    session.unanswered = 0;
    session.relayed = 0;
    session.progress_ns = now_ns;
    session.rest.clear();
    session.grant = {};
    session.outlet.open(connection);
    const auto at = std::lower_bound(by_connection_.begin(), by_connection_.end(), std::pair{connection.value, uint32_t{0}});
    by_connection_.insert(at, {connection.value, slot});
    stats_.connection_count = ++count_;
    mark_readable(session);  // Bytes may have come with the connection.
}

Session* Sessions::find(io::ConnectionId connection) {
    const auto at = std::lower_bound(by_connection_.begin(), by_connection_.end(), std::pair{connection.value, uint32_t{0}});
    if (at == by_connection_.end() || at->first != connection.value) return nullptr;
    return table_[at->second].get();
}

Session* Sessions::find(reactor::OutletId id) {
    if (id.slot >= table_.size()) return nullptr;
    Session& session = *table_[id.slot];
    return session.used && session.id == id ? &session : nullptr;
}

void Sessions::mark_readable(Session& session) {
    if (session.readable) return;
    session.readable = true;
    readable_.push_back(session.id);
}

void Sessions::mark_dirty(Session& session) {
    if (session.dirty) return;
    session.dirty = true;
    dirty_.push_back(session.id);
}

size_t Sessions::receive(uint64_t now_ns, bool may_receive) {
    frames_handled_ = 0;
    working_.swap(blocked_);
    for (const reactor::OutletId id : working_) {
        Session* session = find(id);
        if (session == nullptr || !session->blocked) continue;
        session->blocked = false;
        // The rest moves to scratch, is handled there, and what is still left is kept again.
        const size_t bytes = session->rest.size();
        std::copy(session->rest.begin(), session->rest.end(), scratch_.data());
        session->rest.clear();
        handle_frames(*session, scratch_.span().first(bytes), now_ns);
    }
    working_.clear();
    if (!may_receive) return frames_handled_;

    working_.swap(readable_);
    for (const reactor::OutletId id : working_) {
        Session* session = find(id);
        if (session == nullptr || !session->readable) continue;
        session->readable = false;
        const bool more = receive_one(*session, now_ns);
        session = find(id);
        if (session != nullptr && more) mark_readable(*session);
    }
    working_.clear();
    return frames_handled_;
}

// Returns true when there may be more to receive in the next turn.
bool Sessions::receive_one(Session& session, uint64_t now_ns) {
    // A client that doesn't read its answers, or has thousands of batches on the way, is not read from.
    if (session.blocked || session.unanswered >= kUnansweredMax ||
        session.outlet.queued_bytes() > reactor::kOutletQueueBytesSoft) {
        return true;
    }
    const size_t allowed = receive_bytes_allowed(session);
    if (allowed == 0) return true;  // Waits for a place in the pool.
    const size_t rest = session.rest.size();
    EAGRE_ASSERT_LE(rest + allowed, scratch_.bytes());
    std::copy(session.rest.begin(), session.rest.end(), scratch_.data());
    const auto got = connections_.receive(session.connection, scratch_.span().subspan(rest, allowed));
    if (!got) {
        close(session);
        return false;
    }
    if (*got == 0) {
        if (rest <= kSmallRestBytes) set_rest_class(session, Session::RestClass::kSmall);
        return false;
    }
    stats_.bytes_in += *got;
    ++frames_handled_;  // Work was done, even if no frame is whole yet.
    session.rest.clear();
    const reactor::OutletId id = session.id;
    handle_frames(session, scratch_.span().first(rest + *got), now_ns);
    return find(id) != nullptr;
}

void Sessions::handle_frames(Session& session, std::span<std::byte> bytes, uint64_t now_ns) {
    const reactor::OutletId id = session.id;
    size_t at = 0;
    while (bytes.size() - at >= frame::kHeaderBytes) {
        const auto header = frame::decode_header(bytes.subspan(at));
        if (!header) {
            close_bad(session, FrameHeader{}, header.error());
            return;
        }
        if (header->kind != FrameKind::kAppend && header->payload_bytes > kControlPayloadBytesMax) {
            close_bad(session, *header, error_of(Errc::kBadLength, kControlPayloadBytesMax));
            return;
        }
        const size_t whole = frame::kHeaderBytes + header->payload_bytes;
        if (bytes.size() - at < whole) break;
        const auto payload = bytes.subspan(at + frame::kHeaderBytes, header->payload_bytes);
        if (header->kind != FrameKind::kAppend && !frame::payload_matches(*header, payload)) {
            close_bad(session, *header, error_of(Errc::kBadCrc));
            return;
        }
        if (!session.greeted && header->kind != FrameKind::kHello && header->kind != FrameKind::kProof) {
            close_bad(session, *header, error_of(Errc::kBadKind, static_cast<uint64_t>(header->kind)));
            return;
        }
        const Handled handled = session.unanswered < kUnansweredMax ? handler_.on_frame(session, *header, payload)
                                                                    : Handled::kBlocked;
        if (find(id) == nullptr) return;
        if (handled == Handled::kClose) {
            (void)session.outlet.flush(connections_);  // The handler's last words go out first.
            close(session);
            return;
        }
        if (handled == Handled::kBlocked) {
            session.blocked = true;
            blocked_.push_back(id);
            break;
        }
        ++frames_handled_;
        ++stats_.frames_in;
        session.progress_ns = now_ns;
        at += whole;
    }
    keep_rest(session, bytes.subspan(at));
}

// What must be kept can't be more than was allowed in: see receive_bytes_allowed.
void Sessions::keep_rest(Session& session, std::span<const std::byte> rest) {
    session.rest.assign(rest.begin(), rest.end());
    // While others wait for a place, it is given back as soon as it can be.
    const bool scarce = large_in_use_ == kLargeRestCountMax || session.rest_class == Session::RestClass::kHuge;
    if (scarce && rest.size() <= kSmallRestBytes) set_rest_class(session, Session::RestClass::kSmall);
}

size_t Sessions::receive_bytes_allowed(Session& session) {
    const size_t rest = session.rest.size();
    size_t frame_bytes = 0;  // Of the frame that the rest begins, if known.
    if (rest >= frame::kHeaderBytes) {
        const auto header = frame::decode_header(session.rest);
        if (header) frame_bytes = frame::kHeaderBytes + header->payload_bytes;
    }
    if (frame_bytes > kLargeRestBytes - kReceiveBytes) {
        if (session.rest_class != Session::RestClass::kHuge) {
            if (huge_in_use_ > 0) {
                return rest < kSmallRestBytes ? kSmallRestBytes - rest : 0;
            }
            set_rest_class(session, Session::RestClass::kHuge);
        }
        return std::min(kReceiveBytes, frame_bytes - rest);
    }
    if (session.rest_class == Session::RestClass::kSmall) {
        if (large_in_use_ == kLargeRestCountMax) return rest < kSmallRestBytes ? kSmallRestBytes - rest : 0;
        set_rest_class(session, Session::RestClass::kLarge);
    }
    return std::min(kReceiveBytes, kLargeRestBytes - rest);
}

// The class is a permit, not a buffer: a rest grows only as far as it must, and gives the memory back with the permit.
void Sessions::set_rest_class(Session& session, Session::RestClass rest_class) {
    using RestClass = Session::RestClass;
    if (session.rest_class == rest_class) return;
    if (session.rest_class == RestClass::kLarge) --large_in_use_;
    if (session.rest_class == RestClass::kHuge) --huge_in_use_;
    if (rest_class == RestClass::kLarge) ++large_in_use_;
    if (rest_class == RestClass::kHuge) ++huge_in_use_;
    session.rest_class = rest_class;
    if (rest_class == RestClass::kSmall && session.rest.capacity() > 2 * kSmallRestBytes) {
        session.rest = std::vector<std::byte>(session.rest);
    }
}

void Sessions::flush() {
    working_.swap(dirty_);
    for (const reactor::OutletId id : working_) {
        Session* session = find(id);
        if (session == nullptr || !session->dirty) continue;
        session->dirty = false;
        const size_t before = session->outlet.queued_bytes();
        const auto flushed = session->outlet.flush(connections_);
        if (!flushed) {
            close(*session);
            continue;
        }
        stats_.bytes_out += before - session->outlet.queued_bytes();
        if (!*flushed) mark_dirty(*session);
    }
    working_.clear();
}

void Sessions::expire(uint64_t now_ns) {
    for (const auto& session : table_) {
        if (!session->used || session->blocked) continue;
        const bool mid_frame = !session->rest.empty() || !session->greeted;
        if (mid_frame && now_ns > session->progress_ns + kStalledNsMax) {
            close_bad(*session, FrameHeader{}, error_of(Errc::kTimeout));
        }
    }
}

void Sessions::close_bad(Session& session, const FrameHeader& request, Error error) {
    ++stats_.connections_closed_bad;
    ++stats_.errors[static_cast<size_t>(error.code) % shm::kErrcSlots];
    session.outlet.push(frame::reply_to(request, FrameKind::kError, error));
    (void)session.outlet.flush(connections_);
    close(session);
}

void Sessions::close(Session& session) {
    EAGRE_ASSERT(session.used);
    handler_.on_closed(session);
    connections_.close(session.connection);
    set_rest_class(session, Session::RestClass::kSmall);
    const auto at = std::lower_bound(by_connection_.begin(), by_connection_.end(), std::pair{session.connection.value, uint32_t{0}});
    EAGRE_ASSERT(at != by_connection_.end() && at->first == session.connection.value);
    by_connection_.erase(at);
    session.used = false;
    session.rest.clear();
    free_.push_back(session.id.slot);
    stats_.connection_count = --count_;
}

void Sessions::close_all() {
    for (const auto& session : table_) {
        if (session->used) close(*session);
    }
}

}  // namespace eagre::ingress
