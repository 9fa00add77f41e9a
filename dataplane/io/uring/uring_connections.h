#pragma once

#include <string>
#include <vector>

#include <sys/socket.h>

#include "dataplane/io/connections.h"
#include "dataplane/io/uring/drain_queue.h"
#include "dataplane/io/uring/ring.h"

namespace eagre::io {

/// Sockets: readiness by multishot accept and multishot poll, bytes by recv and sendmsg.
class UringConnections final : public Connections {
  public:
    explicit UringConnections(Ring& ring) : ring_(ring), accept_sink_(*this), poll_sink_(*this) {}
    ~UringConnections() override;

    Result<ListenerId> listen(std::string_view address, uint16_t port) override;
    Result<ListenerId> listen_unix(std::string_view path) override;
    uint16_t port_of(ListenerId listener) const override;
    Address peer_of(ConnectionId connection) const override;
    size_t events(std::span<ConnectionEvent> events) override;
    Result<size_t> receive(ConnectionId connection, std::span<std::byte> target) override;
    Result<size_t> send(ConnectionId connection, std::span<const ByteSlice> slices) override;
    void close(ConnectionId connection) override;

    CompletionSink* accept_sink() { return &accept_sink_; }
    CompletionSink* poll_sink() { return &poll_sink_; }

  private:
    struct Listener {
        int fd = -1;
        uint16_t port = 0;
        bool unix_socket = false;
        bool rearm = false;
    };
    struct Peer {
        int fd = -1;
        uint32_t generation = 0;
        bool wants_read = true;  // Tell the owner when there is something again.
        bool wants_write = false;
    };
    struct AcceptSink final : CompletionSink {
        explicit AcceptSink(UringConnections& o) : owner(o) {}
        void on_completion(uint64_t value, int32_t result, bool more) override {
            owner.on_accept(value, result, more);
        }
        UringConnections& owner;
    };
    struct PollSink final : CompletionSink {
        explicit PollSink(UringConnections& o) : owner(o) {}
        void on_completion(uint64_t value, int32_t result, bool more) override {
            owner.on_ready(value, result, more);
        }
        UringConnections& owner;
    };

    Result<ListenerId> listen_at(const sockaddr* address, socklen_t length, bool unix_socket);
    void on_accept(uint64_t value, int32_t result, bool more);
    void on_ready(uint64_t value, int32_t result, bool more);
    void arm_accept(uint32_t listener);
    void arm_poll(uint32_t slot);
    Peer* find(ConnectionId connection);
    const Peer* find(ConnectionId connection) const {
        return const_cast<UringConnections*>(this)->find(connection);
    }
    static ConnectionId id_of(uint32_t slot, uint32_t generation) {
        return ConnectionId{(uint64_t{generation} << 32U) | slot};
    }

    Ring& ring_;
    AcceptSink accept_sink_;
    PollSink poll_sink_;
    std::vector<Listener> listeners_;
    std::vector<Peer> peers_;
    std::vector<uint32_t> free_;
    DrainQueue<ConnectionEvent> events_{4096};
};

}  // namespace eagre::io
