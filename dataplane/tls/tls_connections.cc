#include "dataplane/tls/tls_connections.h"

#include <algorithm>
#include <cstring>

#include "wire/base/assert.h"
#include "wire/frame/frame.h"

namespace eagre::io {

Result<ListenerId> TlsConnections::listen(std::string_view address, uint16_t port) {
    const auto listener = below_.listen(address, port);
    if (listener) encrypted_.push_back(*listener);
    return listener;
}

TlsConnections::Peer* TlsConnections::find(ConnectionId connection) {
    const auto found = peers_.find(connection.value);
    return found == peers_.end() ? nullptr : &found->second;
}

size_t TlsConnections::events(std::span<ConnectionEvent> events) {
    steps_left_ = kHandshakesPerTurn;
    const size_t again = std::min(events.size(), deferred_.size());
    for (size_t i = 0; i < again; ++i) events[i] = {ConnectionEvent::Kind::kReadable, deferred_[i], {}};
    deferred_.erase(deferred_.begin(), deferred_.begin() + static_cast<ptrdiff_t>(again));
    size_t kept = again;
    const size_t count = again == events.size() ? 0 : below_.events(events.subspan(again));
    for (size_t i = again; i < again + count; ++i) {
        ConnectionEvent event = events[i];
        if (event.kind == ConnectionEvent::Kind::kAccepted) {
            const bool encrypted = std::find(encrypted_.begin(), encrypted_.end(), event.listener) != encrypted_.end();
            if (encrypted && !accept(event.connection)) continue;
        } else if (event.kind == ConnectionEvent::Kind::kWritable) {
            Peer* peer = find(event.connection);
            if (peer != nullptr) {
                // Errors show to whoever receives next.
                const auto flushed = flush(event.connection, *peer->pipe);
                if (flushed && !*flushed) continue;  // Still full: the socket will say when it isn't.
            }
        }
        events[kept++] = event;
    }
    // A batch of events that were all ours says "there may be more", not "that was all".
    if (kept == 0 && count > 0) return this->events(events);
    return kept;
}

bool TlsConnections::accept(ConnectionId connection) {
    if (handshake_count_ < kHandshakeCountMax) {
        auto pipe = tls::TlsPipe::create(context_);
        if (pipe) {
            peers_[connection.value].pipe = std::move(*pipe);
            ++handshake_count_;
            return true;
        }
    }
    ++stats_.errors[static_cast<size_t>(Errc::kBusy)];
    below_.close(connection);
    return false;
}

Result<bool> TlsConnections::flush(ConnectionId connection, tls::TlsPipe& pipe) {
    while (!pipe.outgoing().empty()) {
        const ByteSlice slice{pipe.outgoing().data(), pipe.outgoing().size()};
        const auto taken = below_.send(connection, {&slice, 1});
        if (!taken) return taken.error();
        pipe.sent(*taken);
        if (*taken < slice.bytes) return false;
    }
    return true;
}

// True when plaintext may flow.
Result<bool> TlsConnections::shake_hands(ConnectionId connection, Peer& peer) {
    if (peer.pipe->established()) return true;
    if (steps_left_ == 0) {
        // The next turn, although the socket will not ask again: it was not listened to.
        if (std::find(deferred_.begin(), deferred_.end(), connection) == deferred_.end()) deferred_.push_back(connection);
        return false;
    }
    --steps_left_;
    tls::ReceiveSource source(below_, connection);
    const auto done = peer.pipe->handshake(source);
    const auto flushed = flush(connection, *peer.pipe);  // An alert, too, has to be told.
    if (!done) {
        if (done.error().code == Errc::kTlsFailed) ++stats_.errors[static_cast<size_t>(Errc::kTlsFailed)];
        const auto first = peer.pipe->first_bytes();
        if (first.size() == sizeof(frame::kMagic) && std::memcmp(first.data(), &frame::kMagic, first.size()) == 0) {
            say_tls_required(connection);
        }
        return error_of(Errc::kDisconnected);
    }
    if (!flushed) return flushed.error();
    if (*done) --handshake_count_;
    return *done;
}

// To a client of ours that speaks without TLS, in its own words.
void TlsConnections::say_tls_required(ConnectionId connection) {
    frame::FrameHeader header;
    header.kind = frame::FrameKind::kError;
    header.flags = static_cast<uint16_t>(Errc::kTlsRequired);
    frame::seal_header(header);
    const auto bytes = std::as_bytes(std::span(&header, 1));
    const ByteSlice slice{bytes.data(), bytes.size()};
    (void)below_.send(connection, {&slice, 1});  // Its last words, if the socket takes them.
}

Result<size_t> TlsConnections::receive(ConnectionId connection, std::span<std::byte> target) {
    Peer* peer = find(connection);
    if (peer == nullptr) return below_.receive(connection, target);
    const auto ready = shake_hands(connection, *peer);
    if (!ready) return ready.error();
    if (!*ready) return size_t{0};
    tls::ReceiveSource source(below_, connection);
    const auto got = peer->pipe->receive(source, target);
    // A key update is answered without our doing.
    if (got && !peer->pipe->outgoing().empty()) {
        if (const auto flushed = flush(connection, *peer->pipe); !flushed) return flushed.error();
    }
    return got;
}

Result<size_t> TlsConnections::send(ConnectionId connection, std::span<const ByteSlice> slices) {
    Peer* peer = find(connection);
    if (peer == nullptr) return below_.send(connection, slices);
    if (!peer->pipe->established()) return size_t{0};
    size_t total = 0;
    tls::Pieces<ByteSlice> pieces(slices);
    for (;;) {
        const auto flushed = flush(connection, *peer->pipe);
        if (!flushed) return flushed.error();
        if (!*flushed) return total;  // The socket will say when it takes more.
        const auto plain = pieces.next(plain_);
        if (plain.empty()) return total;
        if (const Status sent = peer->pipe->send(plain); !sent) return sent.error();
        total += plain.size();
    }
}

void TlsConnections::close(ConnectionId connection) {
    if (Peer* peer = find(connection)) {
        if (peer->pipe->established()) {
            peer->pipe->end();
            (void)flush(connection, *peer->pipe);
        } else {
            --handshake_count_;
        }
        peers_.erase(connection.value);
        std::erase(deferred_, connection);
    }
    below_.close(connection);
}

}  // namespace eagre::io
