#pragma once
// The client library on the simulated network: byte pipes of a SimWorld. wait() lets the rest of
// the world take its turns, so that a client's waiting calls (connect, describe, drain) work in the
// one thread in which everything lives.

#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <string_view>

#include "dataplane/io/sim/sim_network.h"
#include "dataplane/io/sim/sim_world.h"
#include "wire/base/prng.h"
#include "wire/client/transport.h"

namespace eagre::test {

class SimTransport final : public client::Transport, public io::sim::SimPipeOwner {
  public:
    explicit SimTransport(io::sim::SimWorld& world) : world_(world), prng_(world.prng().next()) {}
    ~SimTransport() override { world_.network().drop_owner(*this, false); }
    SimTransport(const SimTransport&) = delete;
    SimTransport& operator=(const SimTransport&) = delete;

    Result<client::PipeId> connect(std::string_view address, uint16_t port) override;
    Result<size_t> send(client::PipeId pipe, std::span<const client::Slice> slices) override;
    Result<size_t> receive(client::PipeId pipe, std::span<std::byte> target) override;
    void close(client::PipeId pipe) override;
    /// 0: one turn of the world. Inside a turn of the world (a client that is an actor) it returns
    /// at once.
    void wait(uint64_t timeout_ns) override;
    uint64_t monotonic_ns() override { return world_.now_ns(); }
    uint64_t wall_ns() override { return world_.wall_start_ns() + world_.now_ns(); }
    uint64_t random() override { return prng_.next(); }

    /// Others may connect to "unix:PATH" from now on; accept() gives their pipes.
    void listen_unix(std::string_view path) { world_.network().listen_unix(*this, 1, path); }
    std::optional<client::PipeId> accept();

    void pipe_accepted(uint32_t /*listener*/, uint64_t end) override { waiting_.push_back(end); }
    void pipe_readable(uint64_t end) override { ready_.insert(end); }
    void pipe_writable(uint64_t) override { progress_ = true; }

  private:
    io::sim::SimWorld& world_;
    Prng prng_;
    std::set<uint64_t>
        ready_;  // Pipes with something that receive() has not yet come to the end of.
    std::deque<uint64_t> waiting_;  // Accepted by the network, not yet by us.
    bool progress_ = false;
};

}  // namespace eagre::test
