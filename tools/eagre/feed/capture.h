#pragma once
// What was captured, with when: packets of a capture file, or lines of a text file with a column of times.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

namespace eagre::cli {

struct Captured {
    uint64_t time_ns = 0;  // Only differences count.
    std::span<const std::byte> payload;  // Until the next one.
};

struct CaptureStats {
    uint64_t taken = 0;
    uint64_t others = 0;     // No UDP, or not of the filter.
    uint64_t fragments = 0;  // Of larger datagrams: left out.
    uint64_t cut = 0;        // Captured in part: left out.
};

class CaptureSource {
  public:
    virtual ~CaptureSource() = default;
    /// Nothing at the end. Throws std::runtime_error when the file is damaged.
    virtual std::optional<Captured> next() = 0;
    const CaptureStats& stats() const { return stats_; }

  protected:
    CaptureStats stats_;
};

/// .pcap and .pcapng: payloads of UDP over IPv4 and IPv6, behind VLAN tags too. `filter`: pcap-filter(7). Throws std::runtime_error.
std::unique_ptr<CaptureSource> open_packets(const std::string& path, const std::string& filter);

struct LineTimes {
    uint32_t column = 1;      // From 1.
    uint64_t unit_ns = 1'000'000;
};
/// Lines of a .csv (also .gz, or a .zip of one): each a payload, its time a number in a column. Throws std::runtime_error.
std::unique_ptr<CaptureSource> open_lines(const std::string& path, const LineTimes& times);

}  // namespace eagre::cli
