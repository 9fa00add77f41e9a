#pragma once
// Hashes of hot keys: MD5 costs 0.1 us a key, a look-up here a tenth. Direct-mapped, bounded, no
// allocation after creation.

#include <cstring>
#include <string_view>
#include <vector>

#include "wire/base/types.h"
#include "wire/frame/batch.h"

namespace eagre::client {

class HashCache {
  public:
    /// `count`: rounded up to a power of two; 0 keeps one slot.
    explicit HashCache(uint32_t count) {
        size_t slots = 1;
        while (slots < count) slots *= 2;
        slots_.resize(slots);
    }

    struct Found {
        HashKey hash;
        uint32_t* lane;  // The caller's: where the key was routed. Valid while `*lane_version` is
                         // the caller's version.
        uint32_t* lane_version;
    };
    Found find(std::string_view key) {
        Slot& slot = slots_[mix(key) & (slots_.size() - 1)];
        const bool small = key.size() <= sizeof(slot.key);
        if (!small || slot.key_bytes != key.size() ||
            std::memcmp(slot.key, key.data(), key.size()) != 0) {
            slot.hash = frame::hash_partition_key(key);
            slot.lane_version = 0;
            slot.key_bytes = small ? static_cast<uint32_t>(key.size()) : 0;
            if (small) std::memcpy(slot.key, key.data(), key.size());
        }
        return {slot.hash, &slot.lane, &slot.lane_version};
    }

  private:
    // Any spread will do: two keys in one slot cost an MD5, nothing else. Inline, because it runs
    // once per record.
    static size_t mix(std::string_view key) {
        constexpr uint64_t kOdd = 0x9E3779B97F4A7C15ULL;
        uint64_t mixed = key.size();
        size_t at = 0;
        uint64_t word = 0;
        for (; at + 8 <= key.size(); at += 8) {
            std::memcpy(&word, key.data() + at, 8);
            mixed = (mixed ^ word) * kOdd;
            mixed ^= mixed >> 32U;
        }
        for (; at < key.size(); ++at) mixed = (mixed ^ static_cast<unsigned char>(key[at])) * kOdd;
        return static_cast<size_t>(mixed ^ (mixed >> 32U));
    }

    struct alignas(64) Slot {
        HashKey hash;
        uint32_t key_bytes = 0;
        uint32_t lane = 0;
        uint32_t lane_version = 0;
        char key[36] = {};
    };
    static_assert(sizeof(Slot) == 64);
    std::vector<Slot> slots_;
};

}  // namespace eagre::client
