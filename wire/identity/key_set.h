#pragma once
// The keys that a box honours: control makes the set from the catalogue, the dataplane checks proofs and policies with it and
// keeps it sealed on disk, so that it serves alone. A set is never changed, only replaced by one with a higher number.

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <flatbuffers/flatbuffers.h>

#include "wire/identity/crypto.h"
#include "wire/identity/policy.h"
#include "wire/identity/secret.h"
#include "wire/schema/control_generated.h"

namespace eagre::identity {

struct Key {
    std::string id;
    std::string name;
    uint64_t generation = 0;  // Grows with every new secret: connections that proved an older one end.
    uint64_t expires_ns = 0;  // Wall clock, ns since 1970; 0: never.
    Bytes32 verifier{};
    Policy policy;
    bool expired(uint64_t wall_ns) const { return expires_ns != 0 && wall_ns >= expires_ns; }
};
using KeyPointer = std::shared_ptr<const Key>;

struct KeySet {
    uint64_t number = 0;  // Grows with every change in the catalogue; 0: there never was one.
    std::map<std::string, KeyPointer, std::less<>> keys;  // By id.
    /// Null when there is none.
    const KeyPointer* find(std::string_view id) const;
};
using KeySetPointer = std::shared_ptr<const KeySet>;

/// A verified table (wire/schema/control.fbs). Null is an empty set. Errors: kBadArgument, kBadPolicy, kLimitExceeded.
Result<KeySetPointer> key_set_from(const wire::KeySet* table);
/// The same the other way.
flatbuffers::Offset<wire::KeySet> pack_key_set(flatbuffers::FlatBufferBuilder& builder, const KeySet& set);

/// The file DATA/keys.sealed: 8 bytes "EAGRKEYS", then AES-256-GCM of the table under a key derived from `master`, bound to the
/// 8 bytes and the box id. `nonce` must be new.
std::vector<std::byte> seal_key_set(const KeySet& set, const Bytes32& master, uint64_t box_id_high, uint64_t box_id_low,
                                    const SealNonce& nonce);
/// Errors: kCorruptDirectory (another key file, another box, or rot).
Result<KeySetPointer> open_key_set(std::span<const std::byte> file, const Bytes32& master, uint64_t box_id_high, uint64_t box_id_low);

}  // namespace eagre::identity
