#pragma once
// The challenge of a hello: both sides show that they have the secret, neither sends it. wire/FORMAT.md has the exchange and every
// byte that is proved.

#include <cstdint>
#include <string_view>

#include "wire/identity/crypto.h"

namespace eagre::identity {

/// What a connection is for. A proof for one is worth nothing for another.
enum class Purpose : uint32_t { kNative = 1 };

/// What both sides know when they prove. Both nonces are new for each connection, so no proof is ever right twice.
struct Challenge {
    uint64_t box_id_high = 0;
    uint64_t box_id_low = 0;
    uint64_t incarnation = 0;
    uint32_t core = 0;
    Purpose purpose = Purpose::kNative;
    Bytes32 client_nonce{};
    Bytes32 server_nonce{};
    std::string_view key_id;  // At most kKeyIdBytes.
};

/// HMAC-SHA-256 under the verifier of the key's secret. The two differ in one byte, so that neither side can send the other's back.
Bytes32 client_proof(const Bytes32& verifier, const Challenge& challenge);
Bytes32 server_proof(const Bytes32& verifier, const Challenge& challenge);

}  // namespace eagre::identity
