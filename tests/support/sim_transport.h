#pragma once
// The client library on the simulated network: byte pipes of a SimWorld. wait() lets the rest of
// the world take its turns, so that a client's waiting calls (connect, describe, drain) work in the
// one thread in which everything lives.

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string_view>
#include <vector>

#include "dataplane/io/sim/sim_network.h"
#include "dataplane/io/sim/sim_world.h"
#include "wire/base/prng.h"
#include "wire/client/transport.h"

namespace eagre::test {

class SimTransport final : public client::Transport, public io::sim::SimPipeOwner {
  public:
    explicit SimTransport(io::sim::SimWorld& world, uint8_t host = io::sim::kSimServerHost)
        : world_(world), prng_(world.prng().next()), host_(host) {}
    ~SimTransport() override;
    SimTransport(const SimTransport&) = delete;
    SimTransport& operator=(const SimTransport&) = delete;

    Result<client::PipeId> connect(std::string_view address, uint16_t port) override;
    Result<size_t> send(client::PipeId pipe, std::span<const client::Slice> slices) override;
    Result<size_t> receive(client::PipeId pipe, std::span<std::byte> target) override;
    void close(client::PipeId pipe) override;
    Result<client::PipeId> open_datagrams(std::string_view address, uint16_t port) override;
    uint32_t datagram_bytes(client::PipeId) override { return path_bytes; }
    Result<size_t> send_datagrams(client::PipeId pipe, std::span<const client::DatagramSlices> datagrams) override;
    Result<size_t> receive_datagrams(client::PipeId pipe, std::span<std::byte> area, std::span<uint32_t> lengths) override;
    /// 0: one turn of the world. Inside a turn of the world (a client that is an actor) it returns
    /// at once.
    void wait(uint64_t timeout_ns) override;
    uint64_t monotonic_ns() override { return world_.now_ns(); }
    uint64_t wall_ns() override { return world_.wall_start_ns() + world_.now_ns(); }
    uint64_t random() override { return prng_.next(); }

    /// Others may connect to "unix:PATH" from now on; accept() gives their pipes.
    void listen_unix(std::string_view path) { world_.network().listen_unix(*this, 1, path); }
    std::optional<client::PipeId> accept();

    uint8_t host() const override { return host_; }
    /// What the path takes; a test may make it shrink. Larger datagrams are refused, not lost.
    uint32_t path_bytes = 1472;
    /// The last datagram sent, for tests that replay it.
    std::vector<std::byte> last_datagram;

    void pipe_accepted(uint32_t /*listener*/, uint64_t end) override { waiting_.push_back(end); }
    void pipe_readable(uint64_t end) override { ready_.insert(end); }
    void pipe_writable(uint64_t) override { progress_ = true; }

  private:
    struct DatagramPipe final : io::sim::SimDatagramOwner {
        void datagram_arrived(const io::Address&, std::span<const std::byte> bytes) override {
            arrived.emplace_back(bytes.begin(), bytes.end());
            owner->ready_.insert(id);
        }
        SimTransport* owner = nullptr;
        uint64_t id = 0;
        io::Address here;
        io::Address there;
        std::deque<std::vector<std::byte>> arrived;
    };
    // Names of datagram pipes, apart from those of the network's ends.
    static constexpr uint64_t kDatagramPipe = uint64_t{1} << 63U;

    io::sim::SimWorld& world_;
    Prng prng_;
    uint8_t host_;
    std::map<uint64_t, std::unique_ptr<DatagramPipe>> datagram_pipes_;
    uint64_t next_datagram_pipe_ = kDatagramPipe;
    std::set<uint64_t>
        ready_;  // Pipes with something that receive() has not yet come to the end of.
    std::deque<uint64_t> waiting_;  // Accepted by the network, not yet by us.
    bool progress_ = false;
};

}  // namespace eagre::test
