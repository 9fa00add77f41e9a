#pragma once
// The contents of a simulated file: sparse, so that a zero-filled segment costs nothing.

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>

namespace eagre::io::sim {

class SimBytes {
  public:
    /// Bytes never written are zero.
    void read(uint64_t offset_bytes, std::span<std::byte> target) const;
    void write(uint64_t offset_bytes, std::span<const std::byte> source);

  private:
    static constexpr uint64_t kPageBytes = 4096;
    using Page = std::array<std::byte, kPageBytes>;
    std::map<uint64_t, Page> pages_;  // By page number; an absent page is all zero.
};

}  // namespace eagre::io::sim
