#pragma once
// Key ids and secrets as people carry them about, and what the dataplane keeps of a secret.

#include <cstdint>
#include <string>
#include <string_view>

#include "wire/identity/crypto.h"

namespace eagre::identity {

inline constexpr std::string_view kKeyIdPrefix = "ek-";
inline constexpr std::string_view kSecretPrefix = "es-";
inline constexpr size_t kKeyIdBytes = 19;        // Prefix and 16 hex digits.
inline constexpr size_t kKeyNameBytesMax = 64;
inline constexpr uint32_t kKeyCountMax = 1024;   // Of a box, the revoked ones that are still listed included.

/// "ek-0123456789abcdef".
std::string key_id_text(uint64_t random);
bool valid_key_id(std::string_view text);
/// [a-zA-Z0-9_.-]{1,64}.
bool valid_key_name(std::string_view name);
/// "es-" and 64 hex digits.
std::string secret_text(const Bytes32& secret);
/// Blanks and line ends around it are no part of it (files end in a newline). Errors: kBadArgument.
Result<Bytes32> parse_secret(std::string_view text);

/// What proves and checks that somebody has the secret: HMAC of a fixed label under it.
Bytes32 verifier_of(const Bytes32& secret);

}  // namespace eagre::identity
