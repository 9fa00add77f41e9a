#include "wire/identity/box_key.h"

#include "wire/base/assert.h"

namespace eagre::identity {

Bytes32 box_secret(const Bytes32& master) { return derive(master, "eagre box key 1"); }

KeyPointer box_key(const Bytes32& master) {
    auto key = std::make_shared<Key>();
    key->id = kBoxKeyId;
    key->name = "(this box)";
    Bytes32 secret = box_secret(master);
    key->verifier = verifier_of(secret);
    wipe(secret);
    auto policy = Policy::parse("all:*");
    EAGRE_ASSERT(policy.has_value());
    key->policy = std::move(*policy);
    return key;
}

}  // namespace eagre::identity
