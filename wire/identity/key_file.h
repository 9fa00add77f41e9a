#pragma once
// The key file of a data directory, DATA/master.key: 32 random bytes that only the service user reads. What is stored of keys'
// secrets is sealed under it. Both eagred and eagre-control open it at their start, whoever comes first makes it. Blocking.

#include <string>

#include "wire/identity/crypto.h"

namespace eagre::identity {

inline constexpr const char* kKeyFileName = "master.key";

/// Reads DATA/master.key, or makes it from `random` (32 bytes of the kernel's randomness) when there is none: mode 0600, synced, and
/// never half there, whoever else looks.
/// Errors: kKeyFileUnsafe (others may read or write it, or it belongs to another user; detail = its mode), kCorruptDirectory (not a
/// file of 32 bytes), kIo.
Result<Bytes32> open_key_file(const std::string& data_directory, const Bytes32& random);

}  // namespace eagre::identity
