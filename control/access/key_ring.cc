#include "control/access/key_ring.h"

#include <algorithm>

#include "wire/base/assert.h"
#include "wire/identity/policy.h"
#include "wire/identity/secret.h"

namespace eagre::access {
namespace {

using catalog::Change;
using catalog::KeyRow;
using catalog::MetaRow;
using identity::Bytes32;

constexpr std::string_view kSecretLabel = "eagre secrets of the catalogue 1";

/// A sealed secret opens for its own row only.
std::string bound_text(const KeyRow& row) {
    return row.id + ":" + std::to_string(row.generation);
}

void set_secret(KeyRow& row, const Bytes32& master, const Randomness& random) {
    row.sealed_secret = identity::seal(identity::derive(master, kSecretLabel), random.nonce,
                                       identity::bytes_of(bound_text(row)), random.secret);
}

const KeyRow* find_in_use(const std::vector<KeyRow>& rows, std::string_view name) {
    const auto found = std::find_if(rows.begin(), rows.end(), [name](const KeyRow& row) {
        return row.revoked_ns == 0 && (row.name == name || row.id == name);
    });
    return found == rows.end() ? nullptr : &*found;
}

/// The oldest revoked row makes room. Errors: kLimitExceeded.
Status make_room(const std::vector<KeyRow>& rows, Change& change) {
    if (rows.size() < identity::kKeyCountMax) return {};
    const KeyRow* oldest = nullptr;
    for (const KeyRow& row : rows) {
        if (row.revoked_ns == 0) continue;
        if (oldest == nullptr || row.revoked_ns < oldest->revoked_ns) oldest = &row;
    }
    if (oldest == nullptr) return error_of(Errc::kLimitExceeded, identity::kKeyCountMax);
    change.delete_keys.push_back({oldest->id, oldest->revision});
    return {};
}

PlannedKey planned(const MetaRow& meta, KeyRow row, std::string secret) {
    PlannedKey result;
    result.id = row.id;
    result.secret = std::move(secret);
    result.change.put_keys.push_back(std::move(row));
    result.change.put_meta = meta;
    ++result.change.put_meta->key_set_number;
    return result;
}

}  // namespace

Result<PlannedKey> plan_create(const std::vector<KeyRow>& rows, const MetaRow& meta,
                               const CreateRequest& request, const Bytes32& master,
                               const Randomness& random, uint64_t now_ns) {
    if (!identity::valid_key_name(request.name)) return Errc::kBadArgument;
    if (request.expires_ns != 0 && request.expires_ns <= now_ns) return Errc::kBadArgument;
    const auto policy = identity::Policy::parse(request.allow);
    if (!policy) return policy.error();
    if (find_in_use(rows, request.name) != nullptr) return Errc::kKeyExists;
    KeyRow row;
    row.id = identity::key_id_text(random.id);
    row.name = request.name;
    row.allow = policy->text();
    row.created_ns = now_ns;
    row.expires_ns = request.expires_ns;
    // 64 random bits against at most kKeyCountMax others; the catalogue would refuse the same again.
    if (std::any_of(rows.begin(), rows.end(), [&](const KeyRow& each) { return each.id == row.id; }))
        return Errc::kBusy;
    set_secret(row, master, random);
    Change room;
    if (const auto made = make_room(rows, room); !made) return made.error();
    PlannedKey result = planned(meta, std::move(row), identity::secret_text(random.secret));
    result.change.delete_keys = std::move(room.delete_keys);
    return result;
}

Result<PlannedKey> plan_revoke(const std::vector<KeyRow>& rows, const MetaRow& meta,
                               std::string_view name, uint64_t now_ns) {
    const KeyRow* found = find_in_use(rows, name);
    if (found == nullptr) return Errc::kUnknownKey;
    KeyRow row = *found;
    row.revoked_ns = std::max<uint64_t>(1, now_ns);
    row.sealed_secret.clear();  // Nobody needs it again.
    return planned(meta, std::move(row), {});
}

Result<PlannedKey> plan_rotate(const std::vector<KeyRow>& rows, const MetaRow& meta,
                               std::string_view name, const Bytes32& master,
                               const Randomness& random) {
    const KeyRow* found = find_in_use(rows, name);
    if (found == nullptr) return Errc::kUnknownKey;
    KeyRow row = *found;
    ++row.generation;
    set_secret(row, master, random);
    return planned(meta, std::move(row), identity::secret_text(random.secret));
}

Result<Bytes32> open_secret(const std::string& id, uint64_t generation, const std::vector<std::byte>& sealed,
                            const Bytes32& master) {
    KeyRow row;
    row.id = id;
    row.generation = generation;
    auto secret = identity::open(identity::derive(master, kSecretLabel), identity::bytes_of(bound_text(row)), sealed);
    if (!secret) return secret.error();
    if (secret->size() != sizeof(Bytes32)) return Errc::kCorruptDirectory;
    Bytes32 plain;
    std::copy(secret->begin(), secret->end(), plain.begin());
    identity::wipe(*secret);
    return plain;
}

identity::KeySet key_set_of(const std::vector<KeyRow>& rows, uint64_t number,
                            const Bytes32& master, std::vector<std::string>& unreadable) {
    identity::KeySet set;
    set.number = number;
    for (const KeyRow& row : rows) {
        if (row.revoked_ns != 0) continue;
        auto plain = open_secret(row.id, row.generation, row.sealed_secret, master);
        auto policy = identity::Policy::parse(row.allow);
        if (!plain || !policy) {
            unreadable.push_back(row.name);
            continue;
        }
        auto key = std::make_shared<identity::Key>();
        key->id = row.id;
        key->name = row.name;
        key->generation = row.generation;
        key->expires_ns = row.expires_ns;
        key->verifier = identity::verifier_of(*plain);
        identity::wipe(*plain);
        key->policy = std::move(*policy);
        set.keys.emplace(row.id, std::move(key));
    }
    return set;
}

}  // namespace eagre::access
