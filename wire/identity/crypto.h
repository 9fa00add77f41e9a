#pragma once
// What identity is made of: HMAC-SHA-256, AES-256-GCM, comparison in constant time. OpenSSL's, behind four functions.
// Pure: callers bring keys and nonces.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "wire/base/result.h"

namespace eagre::identity {

/// A key, a nonce, a digest: 256 bits.
using Bytes32 = std::array<std::byte, 32>;
inline constexpr size_t kSealNonceBytes = 12;  // NIST SP 800-38D: the length that GCM needs no hashing for.
inline constexpr size_t kSealTagBytes = 16;
inline constexpr size_t kSealOverheadBytes = kSealNonceBytes + kSealTagBytes;
using SealNonce = std::array<std::byte, kSealNonceBytes>;

/// RFC 2104 with SHA-256. Any lengths.
Bytes32 hmac_sha256(std::span<const std::byte> key, std::span<const std::byte> data);
/// A key of its own for each purpose: HMAC of the label under `key`.
Bytes32 derive(const Bytes32& key, std::string_view label);

/// Time depends on the lengths only.
bool equal_constant_time(std::span<const std::byte> a, std::span<const std::byte> b);

/// AES-256-GCM. Returns nonce, ciphertext, tag. A nonce must never be used twice with one key. `bound` is authenticated, not
/// stored: opening needs the same bytes.
std::vector<std::byte> seal(const Bytes32& key, const SealNonce& nonce, std::span<const std::byte> bound,
                            std::span<const std::byte> plain);
/// Errors: kCorruptDirectory (too short, other key, other `bound`, or a bit has changed: nobody can tell which).
Result<std::vector<std::byte>> open(const Bytes32& key, std::span<const std::byte> bound, std::span<const std::byte> sealed);

/// Overwrites what is no longer needed, in a way that no compiler leaves out.
void wipe(std::span<std::byte> bytes);

inline std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }

}  // namespace eagre::identity
