#pragma once
// Where hot keys go: MD5 costs 0.1 us a key, a look-up here a twentieth. Four fingerprints share a cache line, so that
// 16,384 keys lie in 512 KiB and a look-up touches one line, never the key's bytes again: a table that held the keys took
// 4 MiB and, out of cache, 42 % of the producer's time. Bounded, no allocation after creation.
//
// A fingerprint is 64 bits of a hash under a random seed. Two keys of one line share it with a chance of 2^-62, and nobody who
// does not know the seed can look for such a pair. If it happened, the record would be stored in the wrong shard, or its batch be refused
// by the box, which hashes samples.

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <string_view>
#include <vector>

namespace eagre::frame {

template <class Target>
class HashCache {
  public:
    /// `count`: keys to remember, rounded up to a power of two. `seed`: random, kept to ourselves.
    HashCache(uint32_t count, uint64_t seed)
        : seed_(seed),
          // Twice the slots: with as many as keys a third of the lines would hold more than four of them.
          lines_(std::max(size_t{1}, 2 * std::bit_ceil(size_t{count}) / kWays)),
          mask_(lines_.size() - 1) {}

    uint64_t fingerprint_of(std::string_view key) const {
        const uint64_t hash = XXH3_64bits_withSeed(key.data(), key.size(), seed_);
        return hash == kEmpty ? 1 : hash;
    }
    /// Asks the cache for the line that find() will look at.
    [[gnu::always_inline]] void prefetch(uint64_t fingerprint) const { __builtin_prefetch(&lines_[fingerprint & mask_]); }
    /// Null when unknown.
    Target* find(uint64_t fingerprint) const {
        const Line& line = lines_[fingerprint & mask_];
        for (const Slot& slot : line.slots) {
            if (slot.fingerprint == fingerprint) return slot.target;
        }
        return nullptr;
    }
    /// Forgets the oldest of the line's keys when it is full.
    void insert(uint64_t fingerprint, Target* target) {
        Line& line = lines_[fingerprint & mask_];
        for (size_t i = kWays - 1; i > 0; --i) line.slots[i] = line.slots[i - 1];
        line.slots[0] = {fingerprint, target};
    }
    /// Forgets all: the map changed.
    void clear() {
        for (Line& line : lines_) line = Line{};
    }

  private:
    static constexpr uint64_t kEmpty = 0;
    static constexpr size_t kWays = 4;
    struct Slot {
        uint64_t fingerprint = kEmpty;
        Target* target = nullptr;
    };
    struct alignas(64) Line {
        Slot slots[kWays];
    };
    static_assert(sizeof(Line) == 64);

    uint64_t seed_;
    std::vector<Line> lines_;
    uint64_t mask_;
};

}  // namespace eagre::frame
