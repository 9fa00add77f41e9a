#pragma once
// What may be done to keys: each request becomes one Change of the catalogue, or a typed error. Pure
// functions over rows: no sockets, no clock, no randomness.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "control/catalog/catalog.h"
#include "wire/base/result.h"
#include "wire/identity/crypto.h"
#include "wire/identity/key_set.h"

namespace eagre::access {

/// Drawn anew for every request.
struct Randomness {
    uint64_t id = 0;
    identity::Bytes32 secret{};
    identity::SealNonce nonce{};
};

struct CreateRequest {
    std::string name;
    std::string allow;        // identity::Policy as text; empty: nothing is allowed.
    uint64_t expires_ns = 0;  // 0: never.
};

struct PlannedKey {
    catalog::Change change;
    std::string id;
    std::string secret;  // As text, for whoever asked. Empty where none was made.
};

/// `rows`: all of the catalogue; `master`: of the key file. Errors: kBadArgument (name, or an end in
/// the past), kBadPolicy (detail = index of the rule), kKeyExists, kLimitExceeded (detail = the
/// limit).
Result<PlannedKey> plan_create(const std::vector<catalog::KeyRow>& rows,
                               const catalog::MetaRow& meta, const CreateRequest& request,
                               const identity::Bytes32& master, const Randomness& random,
                               uint64_t now_ns);
/// `name`: of a key in use, or its id. Errors: kUnknownKey.
Result<PlannedKey> plan_revoke(const std::vector<catalog::KeyRow>& rows,
                               const catalog::MetaRow& meta, std::string_view name,
                               uint64_t now_ns);
/// A new secret; the old one is worth nothing from then on. Errors: kUnknownKey.
Result<PlannedKey> plan_rotate(const std::vector<catalog::KeyRow>& rows,
                               const catalog::MetaRow& meta, std::string_view name,
                               const identity::Bytes32& master, const Randomness& random);

/// A row's secret, in the clear, for whoever holds the key file. Errors: kCorruptDirectory (another key file, or another row's).
Result<identity::Bytes32> open_secret(const std::string& id, uint64_t generation, const std::vector<std::byte>& sealed,
                                      const identity::Bytes32& master);

/// The keys in use, as the dataplane is to have them. A row whose secret does not open (another key
/// file than the one it was sealed under) is left out and named in `unreadable`.
identity::KeySet key_set_of(const std::vector<catalog::KeyRow>& rows, uint64_t number,
                            const identity::Bytes32& master, std::vector<std::string>& unreadable);

}  // namespace eagre::access
