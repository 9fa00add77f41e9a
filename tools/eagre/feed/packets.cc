// Packets of a capture file, by libpcap; what is inside them, by hand.
#include <stdexcept>

#include <fmt/format.h>
#include <pcap/pcap.h>

#include "tools/eagre/feed/capture.h"

namespace eagre::cli {
namespace {

constexpr uint32_t kIpv4 = 0x0800;
constexpr uint32_t kIpv6 = 0x86dd;
constexpr uint8_t kUdp = 17;
constexpr size_t kVlanTagsMax = 4;
constexpr size_t kUdpHeaderBytes = 8;

using Bytes = std::span<const std::byte>;

uint32_t big(Bytes bytes, size_t at, size_t count) {
    uint32_t value = 0;
    for (size_t i = 0; i < count; ++i) value = value << 8U | std::to_integer<uint32_t>(bytes[at + i]);
    return value;
}

enum class Found : uint8_t { kPayload, kOther, kFragment, kCut };

/// `length`: of the IP packet as it was, of which `packet` may be the beginning.
Found udp_of(Bytes packet, Bytes& payload) {
    if (packet.size() < 20) return Found::kOther;
    size_t header = 0;
    size_t whole = 0;
    uint8_t protocol = 0;
    if (big(packet, 0, 1) >> 4U == 4) {
        header = (big(packet, 0, 1) & 15U) * 4;
        whole = big(packet, 2, 2);
        protocol = static_cast<uint8_t>(big(packet, 9, 1));
        if (header < 20) return Found::kOther;
        if (protocol == kUdp && (big(packet, 6, 2) & 0x3fffU) != 0) return Found::kFragment;
    } else if (big(packet, 0, 1) >> 4U == 6) {
        if (packet.size() < 40) return Found::kOther;
        header = 40;
        whole = 40 + big(packet, 4, 2);
        protocol = static_cast<uint8_t>(big(packet, 6, 1));
        if (protocol == 44) return Found::kFragment;
    }
    if (protocol != kUdp) return Found::kOther;
    if (packet.size() < header + kUdpHeaderBytes) return Found::kCut;
    const size_t udp = big(packet, header + 4, 2);
    if (udp < kUdpHeaderBytes || header + udp > whole) return Found::kOther;
    if (header + udp > packet.size()) return Found::kCut;
    payload = packet.subspan(header + kUdpHeaderBytes, udp - kUdpHeaderBytes);
    return Found::kPayload;
}

class Packets final : public CaptureSource {
  public:
    Packets(const std::string& path, const std::string& filter) : path_(path) {
        char why[PCAP_ERRBUF_SIZE] = {};
        pcap_ = pcap_open_offline_with_tstamp_precision(path.c_str(), PCAP_TSTAMP_PRECISION_NANO, why);
        if (pcap_ == nullptr) throw std::runtime_error(fmt::format("{}: {}", path, why));
        link_ = pcap_datalink(pcap_);
        std::string wrong;
        if (link_ != DLT_EN10MB && link_ != DLT_RAW && link_ != DLT_LINUX_SLL && link_ != DLT_LINUX_SLL2 && link_ != DLT_NULL && link_ != DLT_LOOP)
            wrong = fmt::format("{}: captured on a kind of link that is not known here ({})", path, pcap_datalink_val_to_name(link_));
        bpf_program program{};
        if (wrong.empty() && !filter.empty()) {
            if (pcap_compile(pcap_, &program, filter.c_str(), 1, PCAP_NETMASK_UNKNOWN) != 0) wrong = fmt::format("filter '{}': {}", filter, pcap_geterr(pcap_));
            else if (pcap_setfilter(pcap_, &program) != 0) wrong = fmt::format("filter '{}': {}", filter, pcap_geterr(pcap_));
            pcap_freecode(&program);
        }
        if (wrong.empty()) return;
        pcap_close(pcap_);
        throw std::runtime_error(wrong);
    }
    ~Packets() override { pcap_close(pcap_); }
    Packets(const Packets&) = delete;
    Packets& operator=(const Packets&) = delete;

    std::optional<Captured> next() override {
        for (;;) {
            pcap_pkthdr* header = nullptr;
            const u_char* data = nullptr;
            const int got = pcap_next_ex(pcap_, &header, &data);
            if (got == PCAP_ERROR_BREAK) return std::nullopt;
            if (got != 1) throw std::runtime_error(fmt::format("{}: {}", path_, pcap_geterr(pcap_)));
            const Bytes frame(reinterpret_cast<const std::byte*>(data), header->caplen);
            Bytes payload;
            switch (find(frame, payload)) {
                case Found::kPayload:
                    ++stats_.taken;
                    // The field that is named for microseconds holds nanoseconds, as was asked for.
                    return Captured{static_cast<uint64_t>(header->ts.tv_sec) * 1'000'000'000ULL + static_cast<uint64_t>(header->ts.tv_usec), payload};
                case Found::kFragment: ++stats_.fragments; break;
                case Found::kCut: ++stats_.cut; break;
                case Found::kOther: ++stats_.others; break;
            }
        }
    }

  private:
    Found find(Bytes frame, Bytes& payload) const {
        size_t at = 0;
        uint32_t kind = 0;
        switch (link_) {
            case DLT_RAW: return udp_of(frame, payload);
            case DLT_NULL:
            case DLT_LOOP: return frame.size() < 4 ? Found::kOther : udp_of(frame.subspan(4), payload);
            case DLT_EN10MB: at = 12; break;
            case DLT_LINUX_SLL: at = 14; break;
            default:
                if (frame.size() < 20) return Found::kOther;
                kind = big(frame, 0, 2);
                return kind == kIpv4 || kind == kIpv6 ? udp_of(frame.subspan(20), payload) : Found::kOther;
        }
        for (size_t tags = 0; tags <= kVlanTagsMax && frame.size() >= at + 2; ++tags, at += 4) {
            kind = big(frame, at, 2);
            if (kind == kIpv4 || kind == kIpv6) return udp_of(frame.subspan(at + 2), payload);
            if (kind != 0x8100 && kind != 0x88a8 && kind != 0x9100) break;
        }
        return Found::kOther;
    }

    std::string path_;
    pcap_t* pcap_ = nullptr;
    int link_ = 0;
};

}  // namespace

std::unique_ptr<CaptureSource> open_packets(const std::string& path, const std::string& filter) { return std::make_unique<Packets>(path, filter); }

}  // namespace eagre::cli
