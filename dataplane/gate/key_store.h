#pragma once
// DATA/keys.sealed: the keys this box honours, so that it serves alone after a restart. Sealed under the key file. Blocking: used at
// start and when an administrator changes a key.

#include "dataplane/io/files.h"
#include "wire/identity/key_set.h"

namespace eagre::gate {

/// An empty set when there is no file yet. Errors: kCorruptDirectory (rot, another box's, another key file), kIo.
Result<identity::KeySetPointer> load_keys(io::Files& files, const identity::Bytes32& master, uint64_t box_id_high, uint64_t box_id_low);
/// Durable when it returns. `nonce`: new. Errors: kDiskFull, kIo.
Status store_keys(io::Files& files, const identity::KeySet& keys, const identity::Bytes32& master, uint64_t box_id_high,
                  uint64_t box_id_low, const identity::Bytes32& nonce);

}  // namespace eagre::gate
