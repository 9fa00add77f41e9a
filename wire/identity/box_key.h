#pragma once
// The box's own key: what serves beside eagred on one data directory (eagre-gateway) proves it, whatever keys an administrator makes. Nobody
// creates, lists or revokes it: it follows from the key file, which only the service user reads.

#include "wire/identity/key_set.h"

namespace eagre::identity {

inline constexpr std::string_view kBoxKeyId = "ek-0000000000000000";

/// `master`: of the key file.
Bytes32 box_secret(const Bytes32& master);
/// It may do everything and never expires.
KeyPointer box_key(const Bytes32& master);

}  // namespace eagre::identity
