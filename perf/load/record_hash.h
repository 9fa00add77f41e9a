#pragma once
// A 64-bit hash of one record (partition key and data), with which the ledger compares what was
// acknowledged with what was read. Not a checksum of the wire (that is CRC-32C): it only has to
// make two different records look different.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "wire/base/prng.h"
#include "wire/frame/batch.h"

namespace eagre::load {

/// Folds the 128-bit product of the running hash and each 8-byte word; about 1 ns per 8 bytes.
inline uint64_t hash_bytes(std::span<const std::byte> bytes, uint64_t seed) {
    // Odd constants from the golden ratio and from sqrt(2): any with about half of their bits set
    // would do.
    constexpr uint64_t kMultiplier = 0x9E3779B97F4A7C15ULL;
    constexpr uint64_t kTail = 0x6A09E667F3BCC909ULL;
    const auto fold = [](uint64_t a, uint64_t b) {
        const Uint128 product = static_cast<Uint128>(a) * b;
        return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64U);
    };
    uint64_t hash = seed ^ (bytes.size() * kTail);
    while (bytes.size() >= 8) {
        uint64_t word = 0;
        std::memcpy(&word, bytes.data(), 8);
        // The addition keeps a run of zero words from leaving the hash at zero for good.
        hash = fold(hash ^ word, kMultiplier) + kTail;
        bytes = bytes.subspan(8);
    }
    uint64_t word = 0;
    if (!bytes.empty()) std::memcpy(&word, bytes.data(), bytes.size());
    return fold(hash ^ word, kMultiplier ^ kTail) + kMultiplier;
}

/// Never 0: the ledger keeps 0 for "not seen".
inline uint64_t hash_record(const frame::RecordView& record) {
    const auto key =
        std::as_bytes(std::span(record.partition_key.data(), record.partition_key.size()));
    const uint64_t hash = hash_bytes(record.data, hash_bytes(key, 0x5851F42D4C957F2DULL));
    return hash == 0 ? 1 : hash;
}

}  // namespace eagre::load
