#pragma once
// io::Connections that speak TLS 1.3 over others that move the bytes. What listens on TCP is encrypted, Unix sockets are not.

#include <array>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "dataplane/io/connections.h"
#include "wire/shm/stats.h"
#include "wire/tls/tls.h"

namespace eagre::io {

inline constexpr uint32_t kHandshakeCountMax = 256;  // Under way at once. Beyond: closed at once.
inline constexpr uint32_t kHandshakesPerTurn = 8;    // Steps; each takes 0.1 to 1 ms, which batches of others wait for.

class TlsConnections final : public Connections {
  public:
    /// All must outlive it.
    TlsConnections(Connections& below, const tls::TlsContext& context, shm::CoreStats& stats)
        : below_(below), context_(context), stats_(stats), plain_(tls::kChunkBytes) {}

    Result<ListenerId> listen(std::string_view address, uint16_t port) override;
    Result<ListenerId> listen_unix(std::string_view path) override { return below_.listen_unix(path); }
    uint16_t port_of(ListenerId listener) const override { return below_.port_of(listener); }
    Address peer_of(ConnectionId connection) const override { return below_.peer_of(connection); }
    size_t events(std::span<ConnectionEvent> events) override;
    Result<size_t> receive(ConnectionId connection, std::span<std::byte> target) override;
    Result<size_t> send(ConnectionId connection, std::span<const ByteSlice> slices) override;
    void close(ConnectionId connection) override;

  private:
    struct Peer {
        std::unique_ptr<tls::TlsPipe> pipe;
    };
    Peer* find(ConnectionId connection);
    /// True when nothing is left to hand on. Errors: kDisconnected.
    Result<bool> flush(ConnectionId connection, tls::TlsPipe& pipe);
    Result<bool> shake_hands(ConnectionId connection, Peer& peer);
    /// False: it was turned away.
    bool accept(ConnectionId connection);
    void say_tls_required(ConnectionId connection);

    Connections& below_;
    const tls::TlsContext& context_;
    shm::CoreStats& stats_;
    std::vector<ListenerId> encrypted_;
    std::unordered_map<uint64_t, Peer> peers_;
    std::vector<ConnectionId> deferred_;  // Told to be readable once more, whatever the socket says.
    uint32_t handshake_count_ = 0;
    uint32_t steps_left_ = kHandshakesPerTurn;
    std::vector<std::byte> plain_;        // A chunk being gathered.
};

}  // namespace eagre::io
