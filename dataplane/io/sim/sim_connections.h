#pragma once
// Connections of one simulated core on the world's network.

#include <cstdint>
#include <deque>
#include <map>
#include <string_view>

#include "dataplane/io/connections.h"
#include "dataplane/io/sim/sim_network.h"

namespace eagre::io::sim {

class SimNode;

class SimConnections final : public Connections, public SimPipeOwner {
  public:
    explicit SimConnections(SimNode& node) : node_(node) {}

    Result<ListenerId> listen(std::string_view address, uint16_t port) override;
    Result<ListenerId> listen_unix(std::string_view path) override;
    uint16_t port_of(ListenerId listener) const override;
    Address peer_of(ConnectionId connection) const override;
    size_t events(std::span<ConnectionEvent> events) override;
    Result<size_t> receive(ConnectionId connection, std::span<std::byte> target) override;
    Result<size_t> send(ConnectionId connection, std::span<const ByteSlice> slices) override;
    void close(ConnectionId connection) override;

    void pipe_accepted(uint32_t listener, uint64_t end) override;
    void pipe_readable(uint64_t end) override;
    void pipe_writable(uint64_t end) override;

    /// Events::poll: what has arrived can be seen by events().
    void poll();
    bool has_arrived() const { return !arrived_.empty(); }
    void die(bool power_lost);

  private:
    struct State {
        bool tell_readable = true;   // receive() has returned 0 since the last kReadable.
        bool tell_writable = false;  // send() has taken less than it was offered.
    };
    SimNode& node_;
    std::map<uint32_t, uint16_t> ports_;  // By listener; 0: Unix.
    uint32_t next_listener_ = 1;
    std::map<uint64_t, State> open_;
    std::deque<ConnectionEvent> arrived_;
    std::deque<ConnectionEvent> ready_;
};

}  // namespace eagre::io::sim
