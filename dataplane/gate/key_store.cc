#include "dataplane/gate/key_store.h"

#include <algorithm>

namespace eagre::gate {
namespace {

constexpr std::string_view kFile = "keys.sealed";

}  // namespace

Result<identity::KeySetPointer> load_keys(io::Files& files, const identity::Bytes32& master, uint64_t box_id_high,
                                          uint64_t box_id_low) {
    if (!files.exists(kFile)) return identity::KeySetPointer(std::make_shared<identity::KeySet>());
    const auto bytes = files.read_all(kFile);
    if (!bytes) return bytes.error();
    return identity::open_key_set(*bytes, master, box_id_high, box_id_low);
}

Status store_keys(io::Files& files, const identity::KeySet& keys, const identity::Bytes32& master, uint64_t box_id_high,
                  uint64_t box_id_low, const identity::Bytes32& nonce) {
    identity::SealNonce seal_nonce;
    std::copy_n(nonce.begin(), seal_nonce.size(), seal_nonce.begin());
    return files.replace(kFile, identity::seal_key_set(keys, master, box_id_high, box_id_low, seal_nonce));
}

}  // namespace eagre::gate
