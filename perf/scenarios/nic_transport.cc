#include "perf/scenarios/nic_transport.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "dataplane/io/dpdk/dpdk_nic.h"
#include "wire/base/limits.h"

namespace eagre::perf {
namespace {

using client::PipeId;

constexpr PipeId kNicPipe{UINT64_MAX};
constexpr uint32_t kPathBytes = 1472;  // Of 1,500, less the headers of IP and UDP.
constexpr size_t kPlaceBytes = 2048;

class NicTransport final : public client::Transport {
  public:
    NicTransport(std::unique_ptr<io::Nic> nic, std::unique_ptr<io::Datagrams> device, std::string address)
        : below_(client::make_tcp_transport()), nic_(std::move(nic)), device_(std::move(device)), address_(std::move(address)), area_(io::kDatagramBurstMax * kPlaceBytes) {}

    Result<PipeId> connect(std::string_view address, uint16_t port) override { return below_->connect(address, port); }
    Result<size_t> send(PipeId pipe, std::span<const client::Slice> slices) override { return below_->send(pipe, slices); }
    Result<size_t> receive(PipeId pipe, std::span<std::byte> target) override { return below_->receive(pipe, target); }
    void close(PipeId pipe) override {
        if (pipe != kNicPipe) below_->close(pipe);
    }
    Result<PipeId> open_datagrams(std::string_view address, uint16_t port) override {
        peer_ = io::parse_address(address, port);
        if (peer_.family != 4) return Errc::kBadArgument;
        return kNicPipe;
    }
    std::string local_address(PipeId) override { return address_; }
    uint32_t datagram_bytes(PipeId) override { return kPathBytes; }
    Result<size_t> send_datagrams(PipeId, std::span<const client::DatagramSlices> datagrams) override {
        std::array<io::TxPacket, io::kDatagramBurstMax> packets;
        size_t total = 0;
        while (total < datagrams.size()) {
            const size_t count = std::min(datagrams.size() - total, packets.size());
            for (size_t i = 0; i < count; ++i) {
                const client::DatagramSlices& each = datagrams[total + i];
                std::byte* place = area_.data() + i * kPlaceBytes;
                if (each.envelope.bytes + each.frame.bytes > kPathBytes) return error_of(Errc::kBadLength, kPathBytes);
                std::memcpy(place, each.envelope.data, each.envelope.bytes);
                if (each.frame.bytes > 0) std::memcpy(place + each.envelope.bytes, each.frame.data, each.frame.bytes);
                packets[i] = {{place, each.envelope.bytes + each.frame.bytes}, peer_};
            }
            const size_t sent = device_->tx_burst(std::span(packets).first(count));
            total += sent;
            if (sent < count) break;
        }
        return total;
    }
    Result<size_t> receive_datagrams(PipeId, std::span<std::byte> area, std::span<uint32_t> lengths) override {
        std::array<io::RxPacket, io::kDatagramBurstMax> packets;
        const size_t part = area.size() / lengths.size();
        const size_t count = device_->rx_burst(std::span(packets).first(std::min(lengths.size(), packets.size())));
        for (size_t i = 0; i < count; ++i) {
            const size_t bytes = std::min(packets[i].bytes.size(), part);
            if (bytes > 0) std::memcpy(area.data() + i * part, packets[i].bytes.data(), bytes);
            lengths[i] = static_cast<uint32_t>(bytes);
        }
        device_->release(std::span(packets).first(count));
        return count;
    }
    void wait(uint64_t) override { below_->wait(0); }
    uint64_t monotonic_ns() override { return below_->monotonic_ns(); }
    uint64_t wall_ns() override { return below_->wall_ns(); }
    uint64_t random() override { return below_->random(); }

  private:
    std::unique_ptr<client::Transport> below_;
    std::unique_ptr<io::Nic> nic_;
    std::unique_ptr<io::Datagrams> device_;  // Goes before its device.
    std::string address_;
    io::Address peer_;
    std::vector<std::byte> area_;
};

}  // namespace

std::unique_ptr<client::Transport> make_nic_transport(const std::string& device, const std::string& address, uint32_t cpu, std::string& why) {
    io::NicOptions options;
    options.devices = {device};
    options.address = io::parse_address(address, 0);
    options.huge_pages = false;
    options.cpus = {cpu};
    options.seed = cpu + 7;
    auto nic = io::DpdkNic::start(options, why);
    if (nic == nullptr) return nullptr;
    auto datagrams = nic->datagrams(0);
    if (datagrams == nullptr || !datagrams->open(address, 0)) {
        why = "no port of our own";
        return nullptr;
    }
    return std::make_unique<NicTransport>(std::move(nic), std::move(datagrams), address);
}

}  // namespace eagre::perf
