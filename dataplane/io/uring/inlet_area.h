#pragma once
// What inlets need of the kernel: a socket bound to an address or joined to a group, and one area
// per core that bursts of all of them are received into, each datagram with the kernel's stamp.

#include <array>
#include <memory>
#include <span>

#include <sys/socket.h>

#include "dataplane/io/datagrams.h"
#include "dataplane/io/memory.h"
#include "wire/base/result.h"

namespace eagre::io {

/// `forced`, `asked`: SO_RCVBUFFORCE and SO_RCVBUF, or their likes; the former needs CAP_NET_ADMIN.
void set_socket_buffer(int fd, int forced, int asked, int bytes);
/// Datagrams that the kernel has dropped because the socket was full.
uint64_t socket_drops(int fd);
/// Errors: as Datagrams::open_inlet.
Result<int> open_inlet_socket(const InletOptions& options, int buffer_bytes);

class InletArea {
  public:
    /// Errors: kIo (no memory). Pages are touched only as far as datagrams reach.
    static Result<std::unique_ptr<InletArea>> create();

    struct Burst {
        size_t taken = 0;  // From the socket.
        size_t kept = 0;   // In `packets`.
        uint64_t cut = 0;  // Larger than kInletBytesMax: left out.
    };
    Burst receive(int fd, std::span<RxPacket> packets);

  private:
    InletArea() = default;
    // One scm_timestamping (three timespecs) and its header.
    static constexpr size_t kControlBytes = 64;
    AlignedBuffer bytes_;
    std::array<mmsghdr, kDatagramBurstMax> received_{};
    std::array<iovec, kDatagramBurstMax> places_{};
    std::array<sockaddr_storage, kDatagramBurstMax> sources_{};
    alignas(8) std::array<std::array<std::byte, kControlBytes>, kDatagramBurstMax> control_{};
};

}  // namespace eagre::io
