#pragma once
// Counts what a thread allocates with operator new while its trap is armed, and keeps the call stack of the first time.
// The operators themselves are in allocation_test.cc: they hold for its whole test program.

#include <array>
#include <cstddef>

#include "dataplane/io/io.h"

namespace eagre::test {

struct AllocationTrap {
    static constexpr int kFrameCountMax = 32;
    bool armed = false;
    size_t count = 0;
    int frame_count = 0;  // Of the first allocation.
    std::array<void*, kFrameCountMax> frames{};
};
/// Of this thread.
AllocationTrap& allocation_trap();

/// Sets the trap of this thread for as long as it lives; the one before stands again afterwards.
class TrapState {
  public:
    explicit TrapState(bool armed) : before_(allocation_trap().armed) { allocation_trap().armed = armed; }
    ~TrapState() { allocation_trap().armed = before_; }
    TrapState(const TrapState&) = delete;
    TrapState& operator=(const TrapState&) = delete;

  private:
    bool before_;
};

/// The same I/O with the trap off inside: a simulated disk allocates, and is not what is tested.
class UntrappedIo final : io::Events, io::Connections, io::Datagrams, io::Storage, io::Clock {
  public:
    explicit UntrappedIo(io::Io io) : io_(io) {}
    /// Files are left as they are: whoever uses them on the path of a record is to be caught.
    io::Io io() { return {*this, *this, *this, *this, io_.files, *this, io_.seed}; }

  private:
    template <class Call>
    auto off(Call call) {
        const TrapState state(false);
        return call();
    }
    void poll() override {
        off([&] { io_.events.poll(); });
    }
    void wait(uint64_t timeout_ns) override {
        off([&] { io_.events.wait(timeout_ns); });
    }
    void yield() override { io_.events.yield(); }
    void wake() override {
        off([&] { io_.events.wake(); });
    }
    Result<io::ListenerId> listen(std::string_view address, uint16_t port) override {
        return io_.connections.listen(address, port);
    }
    Result<io::ListenerId> listen_unix(std::string_view path) override { return io_.connections.listen_unix(path); }
    uint16_t port_of(io::ListenerId listener) const override { return io_.connections.port_of(listener); }
    io::Address peer_of(io::ConnectionId connection) const override { return io_.connections.peer_of(connection); }
    size_t events(std::span<io::ConnectionEvent> events) override {
        return off([&] { return io_.connections.events(events); });
    }
    Result<size_t> receive(io::ConnectionId connection, std::span<std::byte> target) override {
        return off([&] { return io_.connections.receive(connection, target); });
    }
    Result<size_t> send(io::ConnectionId connection, std::span<const io::ByteSlice> slices) override {
        return off([&] { return io_.connections.send(connection, slices); });
    }
    void close(io::ConnectionId connection) override { io_.connections.close(connection); }
    Result<uint16_t> open(std::string_view address, uint16_t port) override { return io_.datagrams.open(address, port); }
    size_t rx_burst(std::span<io::RxPacket> packets) override {
        return off([&] { return io_.datagrams.rx_burst(packets); });
    }
    void release(std::span<const io::RxPacket> packets) override {
        off([&] { io_.datagrams.release(packets); });
    }
    size_t tx_burst(std::span<const io::TxPacket> packets) override {
        return off([&] { return io_.datagrams.tx_burst(packets); });
    }
    uint64_t dropped() const override { return io_.datagrams.dropped(); }
    Result<io::InletId> open_inlet(const io::InletOptions& options) override {
        return off([&] { return io_.datagrams.open_inlet(options); });
    }
    void close_inlet(io::InletId inlet) override {
        off([&] { io_.datagrams.close_inlet(inlet); });
    }
    size_t rx_inlet(io::InletId inlet, std::span<io::RxPacket> packets) override {
        return off([&] { return io_.datagrams.rx_inlet(inlet, packets); });
    }
    uint64_t inlet_dropped(io::InletId inlet) const override { return io_.datagrams.inlet_dropped(inlet); }
    size_t submit(std::span<io::StorageOp* const> ops) override {
        return off([&] { return io_.storage.submit(ops); });
    }
    size_t reap(std::span<io::StorageOp*> done) override {
        return off([&] { return io_.storage.reap(done); });
    }
    size_t in_flight() const override { return io_.storage.in_flight(); }
    uint64_t monotonic_ns() override { return io_.clock.monotonic_ns(); }
    uint64_t wall_ns() override { return io_.clock.wall_ns(); }
    uint64_t thread_cpu_ns() override { return io_.clock.thread_cpu_ns(); }

    io::Io io_;
};

}  // namespace eagre::test
