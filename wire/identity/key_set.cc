#include "wire/identity/key_set.h"

#include <algorithm>
#include <cstring>

#include "wire/base/assert.h"

namespace eagre::identity {
namespace {

constexpr std::string_view kMagic = "EAGRKEYS";
constexpr std::string_view kFileLabel = "eagre keys of the dataplane 1";
constexpr flatbuffers::uoffset_t kDepthMax = 4;
constexpr flatbuffers::uoffset_t kTableMax = kKeyCountMax + 1;

std::vector<std::byte> bound_bytes(uint64_t box_id_high, uint64_t box_id_low) {
    std::vector<std::byte> bound(kMagic.size() + 16);
    std::memcpy(bound.data(), kMagic.data(), kMagic.size());
    std::memcpy(bound.data() + kMagic.size(), &box_id_high, 8);
    std::memcpy(bound.data() + kMagic.size() + 8, &box_id_low, 8);
    return bound;
}

Result<KeyPointer> key_from(const wire::KeyInfo& info) {
    auto key = std::make_shared<Key>();
    const auto* const verifier = info.secret_verifier();
    if (info.id() == nullptr || info.name() == nullptr || verifier == nullptr) return Errc::kBadArgument;
    if (!valid_key_id(info.id()->string_view()) || !valid_key_name(info.name()->string_view()) ||
        verifier->size() != key->verifier.size()) {
        return Errc::kBadArgument;
    }
    key->id = info.id()->str();
    key->name = info.name()->str();
    key->generation = info.generation();
    key->expires_ns = info.expires_ns();
    std::memcpy(key->verifier.data(), verifier->data(), key->verifier.size());
    if (info.allow() != nullptr) {
        auto policy = Policy::parse(info.allow()->string_view());
        if (!policy) return policy.error();
        key->policy = std::move(*policy);
    }
    return KeyPointer(std::move(key));
}

}  // namespace

const KeyPointer* KeySet::find(std::string_view id) const {
    const auto found = keys.find(id);
    return found == keys.end() ? nullptr : &found->second;
}

Result<KeySetPointer> key_set_from(const wire::KeySet* table) {
    auto set = std::make_shared<KeySet>();
    if (table == nullptr) return KeySetPointer(std::move(set));
    set->number = table->number();
    if (table->keys() != nullptr) {
        if (table->keys()->size() > kKeyCountMax) return error_of(Errc::kLimitExceeded, kKeyCountMax);
        for (const wire::KeyInfo* info : *table->keys()) {
            auto key = key_from(*info);
            if (!key) return key.error();
            const std::string id = (*key)->id;
            if (!set->keys.emplace(id, std::move(*key)).second) return Errc::kBadArgument;
        }
    }
    return KeySetPointer(std::move(set));
}

flatbuffers::Offset<wire::KeySet> pack_key_set(flatbuffers::FlatBufferBuilder& builder, const KeySet& set) {
    std::vector<flatbuffers::Offset<wire::KeyInfo>> infos;
    for (const auto& [id, key] : set.keys) {
        const auto id_text = builder.CreateString(key->id);
        const auto name = builder.CreateString(key->name);
        const auto verifier = builder.CreateVector(reinterpret_cast<const uint8_t*>(key->verifier.data()), key->verifier.size());
        const auto allow = builder.CreateString(key->policy.text());
        infos.push_back(wire::CreateKeyInfo(builder, id_text, name, key->generation, key->expires_ns, verifier, allow));
    }
    return wire::CreateKeySet(builder, set.number, builder.CreateVector(infos));
}

std::vector<std::byte> seal_key_set(const KeySet& set, const Bytes32& master, uint64_t box_id_high, uint64_t box_id_low,
                                    const SealNonce& nonce) {
    flatbuffers::FlatBufferBuilder builder;
    builder.Finish(pack_key_set(builder, set));
    const auto plain = std::as_writable_bytes(std::span(builder.GetBufferPointer(), builder.GetSize()));
    const auto sealed = seal(derive(master, kFileLabel), nonce, bound_bytes(box_id_high, box_id_low), plain);
    wipe(plain);
    std::vector<std::byte> file(kMagic.size() + sealed.size());
    std::memcpy(file.data(), kMagic.data(), kMagic.size());
    std::memcpy(file.data() + kMagic.size(), sealed.data(), sealed.size());
    return file;
}

Result<KeySetPointer> open_key_set(std::span<const std::byte> file, const Bytes32& master, uint64_t box_id_high,
                                   uint64_t box_id_low) {
    if (file.size() < kMagic.size() || std::memcmp(file.data(), kMagic.data(), kMagic.size()) != 0) return Errc::kCorruptDirectory;
    const auto plain =
        open(derive(master, kFileLabel), bound_bytes(box_id_high, box_id_low), file.subspan(kMagic.size()));
    if (!plain) return plain.error();
    const auto* bytes = reinterpret_cast<const uint8_t*>(plain->data());
    flatbuffers::Verifier verifier(bytes, plain->size(), kDepthMax, kTableMax);
    if (!verifier.VerifyBuffer<wire::KeySet>(nullptr)) return Errc::kCorruptDirectory;
    auto set = key_set_from(flatbuffers::GetRoot<wire::KeySet>(bytes));
    if (!set) return Errc::kCorruptDirectory;
    return set;
}

}  // namespace eagre::identity
