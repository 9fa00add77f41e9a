#pragma once
// Where hot keys go: MD5 costs 0.1 us a key, a look-up here a twentieth. Two slots per key,
// bounded, no allocation after creation. Long keys are not kept.

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "wire/frame/batch.h"

namespace eagre::client {

template <class Target>
class HashCache {
  public:
    /// `count`: keys to remember, rounded up to a power of two; 0 counts as 1.
    explicit HashCache(uint32_t count)
        : slots_(2 * std::bit_ceil(size_t{count == 0 ? 1 : count})) {}

    /// Null when unknown.
    Target* find(std::string_view key) {
        if (key.size() - 1 >= kKeyBytesMax) return nullptr;
        Slot* pair = pair_of(key);
        if (pair[0].holds(key)) return pair[0].target;
        if (!pair[1].holds(key)) return nullptr;
        // The one that was used last survives the next insertion.
        std::swap(pair[0], pair[1]);
        return pair[0].target;
    }
    void insert(std::string_view key, Target* target) {
        if (key.size() - 1 >= kKeyBytesMax) return;
        Slot* pair = pair_of(key);
        pair[1] = pair[0];
        pair[0].target = target;
        pair[0].key_bytes = static_cast<uint8_t>(key.size());
        std::memcpy(pair[0].key, key.data(), key.size());
    }
    /// Forgets all: the map changed.
    void clear() {
        for (Slot& slot : slots_) slot.key_bytes = 0;
    }

  private:
    static constexpr size_t kKeyBytesMax = 55;
    struct alignas(64) Slot {
        Target* target = nullptr;
        uint8_t key_bytes = 0;  // 0: empty.
        char key[kKeyBytesMax] = {};
        bool holds(std::string_view other) const {
            return key_bytes == other.size() && std::memcmp(key, other.data(), other.size()) == 0;
        }
    };
    static_assert(sizeof(Slot) == 64);

    static uint64_t load(const char* from, size_t bytes) {
        uint64_t word = 0;
        std::memcpy(&word, from, bytes);
        return word;
    }
    Slot* pair_of(std::string_view key) {
        constexpr uint64_t kMultiplier = 0x9E3779B97F4A7C15ULL;
        uint64_t hash = key.size();
        const char* at = key.data();
        size_t left = key.size();
        for (; left >= 8; at += 8, left -= 8)
            hash = std::rotl((hash ^ load(at, 8)) * kMultiplier, 29);
        if (left >= 4) {
            hash = std::rotl((hash ^ load(at, 4)) * kMultiplier, 29);
            at += 4;
            left -= 4;
        }
        for (; left > 0; ++at, --left)
            hash = std::rotl((hash ^ static_cast<uint8_t>(*at)) * kMultiplier, 29);
        hash *= kMultiplier;
        return &slots_[((hash >> 32U) & (slots_.size() / 2 - 1)) * 2];
    }

    std::vector<Slot> slots_;
};

}  // namespace eagre::client
