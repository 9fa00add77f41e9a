#pragma once
// Hashes of hot keys: MD5 costs 0.1 us a key, a look-up here a tenth. Direct-mapped, bounded, no allocation after creation.

#include <cstring>
#include <string_view>
#include <vector>

#include "wire/base/crc32c.h"
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
        uint32_t* lane;  // The caller's: where the key was routed. Valid while `*lane_version` is the caller's version.
        uint32_t* lane_version;
    };
    Found find(std::string_view key) {
        Slot& slot = slots_[crc32c(std::as_bytes(std::span(key.data(), key.size()))) & (slots_.size() - 1)];
        const bool small = key.size() <= sizeof(slot.key);
        if (!small || slot.key_bytes != key.size() || std::memcmp(slot.key, key.data(), key.size()) != 0) {
            slot.hash = frame::hash_partition_key(key);
            slot.lane_version = 0;
            slot.key_bytes = small ? static_cast<uint32_t>(key.size()) : 0;
            if (small) std::memcpy(slot.key, key.data(), key.size());
        }
        return {slot.hash, &slot.lane, &slot.lane_version};
    }

  private:
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
