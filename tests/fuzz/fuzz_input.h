#pragma once
// What the fuzzers share: aligned copies of an input, as the receive buffers of a box are aligned,
// and reading all of a view so that AddressSanitizer sees every byte that a verifier vouched for.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>

namespace eagre::fuzz {

/// An exact-size heap copy, 8-byte aligned: a read past its end is a finding.
class AlignedInput {
  public:
    explicit AlignedInput(std::span<const uint8_t> bytes)
        : memory_(new (std::align_val_t{8}) std::byte[bytes.size() + (bytes.empty() ? 1 : 0)]),
          count_(bytes.size()) {
        if (!bytes.empty()) std::memcpy(memory_, bytes.data(), bytes.size());
    }
    ~AlignedInput() { ::operator delete[](memory_, std::align_val_t{8}); }
    AlignedInput(const AlignedInput&) = delete;
    AlignedInput& operator=(const AlignedInput&) = delete;
    std::span<const std::byte> bytes() const { return {memory_, count_}; }
    std::span<std::byte> writable() { return {memory_, count_}; }

  private:
    std::byte* memory_;
    size_t count_;
};

/// Reads every byte.
inline uint64_t touch(std::span<const std::byte> bytes) {
    uint64_t sum = 0;
    for (const std::byte b : bytes) sum += static_cast<uint64_t>(b);
    return sum;
}

/// Keeps a result alive.
inline void keep(uint64_t value) {
    static volatile uint64_t sink = 0;
    sink = sink + value;
}

}  // namespace eagre::fuzz
