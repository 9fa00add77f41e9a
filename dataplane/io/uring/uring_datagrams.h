#pragma once

#include <array>
#include <vector>

#include <sys/socket.h>

#include "dataplane/io/datagrams.h"
#include "dataplane/io/memory.h"
#include "dataplane/io/uring/ring.h"

namespace eagre::io {

/// A UDP socket: readiness by multishot poll, datagrams by recvmmsg and sendmmsg in bursts of up
/// to 64. perf/ceilings/udp_sink measures this against multishot recvmsg; see README.md.
class UringDatagrams final : public Datagrams, public CompletionSink {
  public:
    explicit UringDatagrams(Ring& ring) : ring_(ring) {}
    ~UringDatagrams() override;
    UringDatagrams(const UringDatagrams&) = delete;
    UringDatagrams& operator=(const UringDatagrams&) = delete;

    Result<uint16_t> open(std::string_view address, uint16_t port) override;
    size_t rx_burst(std::span<RxPacket> packets) override;
    void release(std::span<const RxPacket> packets) override;
    size_t tx_burst(std::span<const TxPacket> packets) override;
    uint64_t dropped() const override;

    void on_completion(uint64_t value, int32_t result, bool more) override;

  private:
    void arm_poll();
    void prepare_receive();

    Ring& ring_;
    int fd_ = -1;
    bool readable_ = false;
    size_t lent_ = 0;  // Packets that the caller has not yet given back.
    uint64_t oversized_ = 0;
    AlignedBuffer buffer_;
    std::array<mmsghdr, kDatagramBurstMax> received_{};
    std::array<iovec, kDatagramBurstMax> places_{};
    std::array<sockaddr_storage, kDatagramBurstMax> sources_{};
};

}  // namespace eagre::io
