#include "wire/identity/proof.h"

#include <cstring>

#include "wire/base/assert.h"
#include "wire/identity/secret.h"

namespace eagre::identity {
namespace {

constexpr char kLabel[16] = "eagre proof 1";  // NULs behind it; the last byte says who proves.
constexpr uint8_t kClient = 1;
constexpr uint8_t kServer = 2;

struct Proved {
    char label[15];
    uint8_t side;
    uint64_t box_id_high;
    uint64_t box_id_low;
    uint64_t incarnation;
    uint32_t core;
    uint32_t purpose;
    std::byte client_nonce[32];
    std::byte server_nonce[32];
    uint32_t key_id_bytes;
    char key_id[20];
};
static_assert(sizeof(Proved) == 136);
static_assert(offsetof(Proved, box_id_high) == 16);
static_assert(offsetof(Proved, client_nonce) == 48);
static_assert(offsetof(Proved, key_id_bytes) == 112);
static_assert(kKeyIdBytes <= sizeof(Proved::key_id));

Bytes32 proof(const Bytes32& verifier, const Challenge& challenge, uint8_t side) {
    EAGRE_ASSERT_LE(challenge.key_id.size(), kKeyIdBytes);
    Proved proved{};
    std::memcpy(proved.label, kLabel, sizeof(proved.label));
    proved.side = side;
    proved.box_id_high = challenge.box_id_high;
    proved.box_id_low = challenge.box_id_low;
    proved.incarnation = challenge.incarnation;
    proved.core = challenge.core;
    proved.purpose = static_cast<uint32_t>(challenge.purpose);
    std::memcpy(proved.client_nonce, challenge.client_nonce.data(), sizeof(proved.client_nonce));
    std::memcpy(proved.server_nonce, challenge.server_nonce.data(), sizeof(proved.server_nonce));
    proved.key_id_bytes = static_cast<uint32_t>(challenge.key_id.size());
    std::memcpy(proved.key_id, challenge.key_id.data(), challenge.key_id.size());
    return hmac_sha256(verifier, std::as_bytes(std::span(&proved, 1)));
}

}  // namespace

Bytes32 client_proof(const Bytes32& verifier, const Challenge& challenge) { return proof(verifier, challenge, kClient); }
Bytes32 server_proof(const Bytes32& verifier, const Challenge& challenge) { return proof(verifier, challenge, kServer); }

}  // namespace eagre::identity
