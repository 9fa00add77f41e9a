#pragma once
// Seeded randomness: SplitMix64 (Steele, Lea, Flood 2014). The seed replays everything; no other source is allowed
// outside io/.

#include <cstdint>

namespace eagre {

__extension__ using Uint128 = unsigned __int128;

class Prng {
  public:
    explicit constexpr Prng(uint64_t seed) : state_(seed) {}
    constexpr uint64_t next() {
        state_ += 0x9E3779B97F4A7C15ULL;
        uint64_t z = state_;
        z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9ULL;
        z = (z ^ (z >> 27U)) * 0x94D049BB133111EBULL;
        return z ^ (z >> 31U);
    }
    /// Uniform in 0..bound-1; bound >= 1. Bias below 2^-32 for bounds below 2^32.
    constexpr uint64_t below(uint64_t bound) {
        return static_cast<uint64_t>((static_cast<Uint128>(next()) * bound) >> 64U);
    }
    /// True with probability `per_million` / 1,000,000.
    constexpr bool chance(uint32_t per_million) { return below(1'000'000) < per_million; }

  private:
    uint64_t state_;
};

}  // namespace eagre
