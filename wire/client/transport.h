#pragma once
// The client library's seam to the world: byte pipes and a clock. Real back end: tcp_transport.h (epoll). The simulator
// has its own (tests/support). One Transport belongs to one Client and one thread.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "wire/base/result.h"
#include "wire/base/types.h"

namespace eagre::client {

using PipeId = Strong<struct PipeIdTag, uint64_t>;

struct Slice {
    const std::byte* data = nullptr;
    size_t bytes = 0;
};

/// One datagram to send, in two pieces.
struct DatagramSlices {
    Slice envelope;
    Slice frame;  // May be empty.
};

class Transport {
  public:
    virtual ~Transport() = default;
    /// Begins to connect; returns at once. A failure shows as kDisconnected from send or receive.
    /// `address`: numeric IPv4/IPv6, or "unix:PATH" (port ignored).
    virtual Result<PipeId> connect(std::string_view address, uint16_t port) = 0;
    /// Bytes taken; 0 when the pipe is full or not yet connected. Errors: kDisconnected.
    virtual Result<size_t> send(PipeId pipe, std::span<const Slice> slices) = 0;
    /// Bytes received; 0 when there are none now. Errors: kDisconnected.
    virtual Result<size_t> receive(PipeId pipe, std::span<std::byte> target) = 0;
    virtual void close(PipeId pipe) = 0;

    // -- Datagrams; a transport need not have them. close() and wait() are for these pipes too.
    /// A socket that exchanges datagrams with one address. Errors: kUnavailable (this transport has none), kBadArgument, kIo.
    virtual Result<PipeId> open_datagrams(std::string_view /*address*/, uint16_t /*port*/) { return Errc::kUnavailable; }
    /// The numeric address that what is sent comes from; empty: not known.
    virtual std::string local_address(PipeId /*pipe*/) { return {}; }
    /// Largest datagram that the path is known to take.
    virtual uint32_t datagram_bytes(PipeId /*pipe*/) { return 0; }
    /// How many from the front were sent; fewer: no room now (wait() does not tell when there is again). Errors: kBadLength (the first is larger than the path takes; detail =
    /// what it takes), kDisconnected.
    virtual Result<size_t> send_datagrams(PipeId /*pipe*/, std::span<const DatagramSlices> /*datagrams*/) { return Errc::kDisconnected; }
    /// Fills as many equal parts of `area` as there are `lengths`; returns how many. Errors: kDisconnected.
    virtual Result<size_t> receive_datagrams(PipeId /*pipe*/, std::span<std::byte> /*area*/, std::span<uint32_t> /*lengths*/) {
        return Errc::kDisconnected;
    }

    /// Waits until some pipe can make progress, at most `timeout_ns` (0: only looks).
    virtual void wait(uint64_t timeout_ns) = 0;
    /// One more descriptor that ends wait() when readable; it stays the caller's. Transports without descriptors ignore it.
    virtual void wake_on(int /*fd*/) {}
    virtual uint64_t monotonic_ns() = 0;
    virtual uint64_t wall_ns() = 0;
    /// Randomness for producer ids and back-off jitter.
    virtual uint64_t random() = 0;
};

/// Sockets (TCP, Unix, UDP), epoll, CLOCK_MONOTONIC, getrandom. `spin`: wait() polls (with sched_yield) instead of blocking, for latency.
std::unique_ptr<Transport> make_tcp_transport(bool spin = false);

struct TlsOptions {
    std::string ca_file = {};  // PEM: whom to trust; empty: those whom the system trusts.
    std::string name = {};     // That the box's certificate must bear; empty: the address connected to.
    std::string certificate_file = {};  // Given: the box must show this very certificate (PEM); the two above don't count.
};
/// TLS 1.3 over another transport, for boxes that have a certificate. Datagrams, if used, go as they are. A certificate that does not
/// fit shows as kTlsFailed from send or receive (detail: X509_V_ERR_*), a CA file that can't be read as kBadCertificate from connect.
std::unique_ptr<Transport> make_tls_transport(std::unique_ptr<Transport> below, const TlsOptions& options);

}  // namespace eagre::client
