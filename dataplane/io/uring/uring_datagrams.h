#pragma once

#include <array>
#include <memory>
#include <vector>

#include <sys/socket.h>

#include "dataplane/io/datagrams.h"
#include "dataplane/io/memory.h"
#include "dataplane/io/uring/ring.h"

namespace eagre::io {

class InletArea;

/// UDP sockets: readiness by multishot poll, datagrams by recvmmsg and sendmmsg in bursts of up
/// to 64. perf/ceilings/udp_sink measures this against multishot recvmsg; see README.md. Inlets
/// share one area to receive into, made with the first of them, and have their packets stamped by
/// the kernel, or by the NIC where it can (SO_TIMESTAMPING).
class UringDatagrams final : public Datagrams, public CompletionSink {
  public:
    explicit UringDatagrams(Ring& ring);
    ~UringDatagrams() override;
    UringDatagrams(const UringDatagrams&) = delete;
    UringDatagrams& operator=(const UringDatagrams&) = delete;

    Result<uint16_t> open(std::string_view address, uint16_t port) override;
    size_t rx_burst(std::span<RxPacket> packets) override;
    void release(std::span<const RxPacket> packets) override;
    size_t tx_burst(std::span<const TxPacket> packets) override;
    uint64_t dropped() const override;

    Result<InletId> open_inlet(const InletOptions& options) override;
    void close_inlet(InletId inlet) override;
    size_t rx_inlet(InletId inlet, std::span<RxPacket> packets) override;
    uint64_t inlet_dropped(InletId inlet) const override;

    void on_completion(uint64_t value, int32_t result, bool more) override;

  private:
    struct Inlet {
        uint32_t id = 0;
        int fd = -1;
        bool readable = false;
        uint64_t oversized = 0;
    };
    void arm_poll(int fd, uint64_t value);
    void prepare_receive();
    Inlet* find(uint64_t id);
    const Inlet* find(uint64_t id) const;

    Ring& ring_;
    int fd_ = -1;
    bool readable_ = false;
    size_t lent_ = 0;  // Packets that the caller has not yet given back.
    uint64_t oversized_ = 0;
    AlignedBuffer buffer_;
    std::array<mmsghdr, kDatagramBurstMax> received_{};
    std::array<iovec, kDatagramBurstMax> places_{};
    std::array<sockaddr_storage, kDatagramBurstMax> sources_{};
    std::vector<Inlet> inlets_;
    std::unique_ptr<InletArea> inlet_area_;
    uint32_t next_inlet_ = 1;
};

}  // namespace eagre::io
