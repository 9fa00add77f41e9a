#pragma once
// Byte pipes of the simulated world: one host, ports and Unix paths shared by all nodes and
// clients. Pieces arrive in order after a latency drawn from the seed; a direction holds at most
// SimFaults::pipe_bytes_max.
//
// Both ends belong to a SimPipeOwner: a core's connections, or a client's transport
// (tests/support/sim_transport.h).

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/io/address.h"
#include "wire/base/result.h"

namespace eagre::io::sim {

class SimWorld;

/// Boxes and, unless they say otherwise, clients live on this host: 10.0.0.1.
inline constexpr uint8_t kSimServerHost = 1;

/// Told what happens at its ends of pipes.
class SimPipeOwner {
  public:
    virtual ~SimPipeOwner() = default;
    /// Last byte of the IPv4 address that others see it at.
    virtual uint8_t host() const { return kSimServerHost; }
    virtual void pipe_accepted(uint32_t listener, uint64_t end) = 0;
    /// Bytes, the end, or a reset have arrived.
    virtual void pipe_readable(uint64_t end) = 0;
    /// The pipe is connected, or has room again.
    virtual void pipe_writable(uint64_t end) = 0;
};

/// Gets the datagrams of the port that it has bound.
class SimDatagramOwner {
  public:
    virtual ~SimDatagramOwner() = default;
    virtual void datagram_arrived(const Address& from, std::span<const std::byte> bytes) = 0;
};

class SimNetwork {
  public:
    explicit SimNetwork(SimWorld& world) : world_(world) {}

    /// `port` 0: any. Errors: kPortInUse.
    Result<uint16_t> listen(SimPipeOwner& owner, uint32_t listener, uint16_t port);
    /// An old listener at `path` is replaced, as bind after unlink does.
    void listen_unix(SimPipeOwner& owner, uint32_t listener, std::string_view path);
    /// "unix:PATH", or any other address with `port`. Returns this side's end; a failure shows as
    /// kDisconnected later.
    uint64_t connect(SimPipeOwner& owner, std::string_view address, uint16_t port);

    /// Bytes taken; 0 when full or not yet connected (pipe_writable follows). Errors:
    /// kDisconnected.
    Result<size_t> send(uint64_t end, std::span<const std::byte> bytes);
    /// Bytes received; 0 when there are none. Errors: kDisconnected.
    Result<size_t> receive(uint64_t end, std::span<std::byte> target);
    /// The other side still gets what is on its way, then the end.
    void close(uint64_t end);
    /// Both sides see kDisconnected after a latency; what is on its way is lost.
    void reset(uint64_t end);
    /// Everything of `owner` goes: listeners, and its ends by close (`abrupt`: reset).
    void drop_owner(SimPipeOwner& owner, bool abrupt);
    /// Resets every connection of the world: a switch that restarts.
    void reset_all();
    size_t end_count() const { return ends_.size(); }
    /// Of the other side of `end`; family 0 when it is gone.
    Address peer_of(uint64_t end) const;

    // -- Datagrams. Ports are the world's, whatever the host.
    /// `port` 0: any. Errors: kPortInUse.
    Result<uint16_t> bind_datagrams(SimDatagramOwner& owner, uint16_t port);
    void unbind_datagrams(SimDatagramOwner& owner);
    /// May be lost, repeated, late and corrupted on the way, as SimFaults says. `from` is believed:
    /// senders can lie.
    void send_datagram(const Address& from, const Address& to, std::span<const std::byte> bytes);
    static Address address_of_host(uint8_t host, uint16_t port);

  private:
    struct Listener {
        SimPipeOwner* owner = nullptr;
        uint32_t id = 0;
    };
    struct End {
        SimPipeOwner* owner =
            nullptr;        // Null: closed by its owner, kept until the other side is gone.
        uint64_t peer = 0;  // 0: gone.
        bool connected = false;
        bool broken = false;  // Reset.
        bool ended = false;   // The other side's end of stream has arrived.
        bool wants_room = false;
        std::vector<std::byte> unread;
        size_t unread_begin = 0;
        uint64_t on_the_way_bytes = 0;  // Sent by the other side, not yet arrived.
        uint64_t last_arrival_ns = 0;   // Pieces never overtake.
    };
    End* find(uint64_t end);
    uint64_t arrival_delay_ns(End& target);
    void arrive(uint64_t end, std::vector<std::byte> bytes);
    void break_end(uint64_t end);
    void offer_room(uint64_t sender);
    std::string key_of(std::string_view address, uint16_t port) const;
    void establish(uint64_t client, const std::string& key);

    SimWorld& world_;
    std::map<std::string, Listener> listeners_;
    std::map<uint64_t, End> ends_;
    std::map<uint16_t, SimDatagramOwner*> datagram_ports_;
    uint64_t next_end_ = 1;
    uint16_t next_port_ = 20000;
    uint16_t next_datagram_port_ = 40000;
};

}  // namespace eagre::io::sim
