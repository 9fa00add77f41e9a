#pragma once
// TCP and Unix byte pipes. Non-blocking; bytes are moved by bursts of up to a MiB straight from and
// to the caller's memory.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "dataplane/io/address.h"
#include "wire/base/result.h"
#include "wire/base/types.h"

namespace eagre::io {

using ListenerId = Strong<struct ListenerIdTag, uint32_t>;
/// Never used twice in the life of a back end, so a stale id is harmless.
using ConnectionId = Strong<struct ConnectionIdTag, uint64_t>;

struct ConnectionEvent {
    enum class Kind : uint8_t {
        kAccepted,  // `connection` is new, from `listener`.
        kReadable,  // receive() may have bytes, or the end. Given again only after receive()
                    // returned 0.
        kWritable,  // send() took fewer bytes than offered before; now it takes some again.
    };
    Kind kind{};
    ConnectionId connection;
    ListenerId listener;
    bool trusted = true;  // kAccepted at a Unix socket: its process runs as our user, or as root.
};

struct ByteSlice {
    const std::byte* data = nullptr;
    size_t bytes = 0;
};

class Connections {
  public:
    virtual ~Connections() = default;
    /// `address`: numeric IPv4 or IPv6. `port` 0 asks for any; see port_of. Errors: kPortInUse,
    /// kBadArgument, kIo.
    virtual Result<ListenerId> listen(std::string_view address, uint16_t port) = 0;
    /// A Unix socket at `path` (as the OS sees it; mode 0600, an old one is replaced). Errors: kIo.
    virtual Result<ListenerId> listen_unix(std::string_view path) = 0;
    virtual uint16_t port_of(ListenerId listener) const = 0;
    /// The other side's address; family 0 for a Unix socket or an unknown id.
    virtual Address peer_of(ConnectionId connection) const = 0;

    /// What happened since the last call. Call after Events::poll().
    virtual size_t events(std::span<ConnectionEvent> events) = 0;

    /// Bytes received into `target`, 0 when there are none now. Errors: kDisconnected (end or
    /// reset): close() it.
    virtual Result<size_t> receive(ConnectionId connection, std::span<std::byte> target) = 0;
    /// Bytes taken from the front of `slices` (at most 64), perhaps 0: then wait for kWritable.
    /// Errors: kDisconnected.
    virtual Result<size_t> send(ConnectionId connection, std::span<const ByteSlice> slices) = 0;
    /// Harmless for an unknown id.
    virtual void close(ConnectionId connection) = 0;
};

}  // namespace eagre::io
