#pragma once
// What a session has proved and what follows from it. Plain data of one session on one core.

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>

#include "wire/identity/key_set.h"
#include "wire/identity/proof.h"

namespace eagre::gate {

/// Shards (and streams, for batches that the box routes) of which a session remembers what it may do there. Beyond: forgotten, and
/// worked out anew.
inline constexpr size_t kKnownShardsMax = 4096;

/// A hello that named a key and has been answered with a challenge.
struct Unproven {
    std::string key_id;
    identity::Purpose purpose = identity::Purpose::kNative;
    identity::Bytes32 client_nonce{};
    identity::Bytes32 server_nonce{};
};

struct Grant {
    identity::KeyPointer key;            // Null: nobody has proved one here.
    uint8_t everywhere = 0;              // Actions allowed on every stream.
    std::string client_name;             // As it calls itself; printable.
    std::unique_ptr<Unproven> unproven;  // Between challenge and proof.
    std::unordered_map<uint64_t, uint8_t> known;  // Actions allowed, by shard id, or stream id with kStreamMark.

    /// True when it is remembered that `action` is allowed on `subject`.
    bool remembers(uint64_t subject, uint8_t action) const {
        const auto found = known.find(subject);
        return found != known.end() && (found->second & action) != 0;
    }
};
inline constexpr uint64_t kStreamMark = 1ULL << 63U;

}  // namespace eagre::gate
