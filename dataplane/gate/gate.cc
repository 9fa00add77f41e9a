#include "dataplane/gate/gate.h"

#include <cinttypes>
#include <cstdio>
#include <cstring>

#include "wire/base/assert.h"

namespace eagre::gate {
namespace {

constexpr uint64_t kSecondNs = 1'000'000'000ULL;

std::string text_of(const io::Address& address) {
    if (address.family == 0) return "a Unix socket";
    char text[64];
    const auto& ip = address.ip;
    const auto at = [&ip](size_t i) { return std::to_integer<unsigned>(ip[i]); };
    if (address.family == 4) {
        std::snprintf(text, sizeof(text), "%u.%u.%u.%u:%u", at(0), at(1), at(2), at(3), address.port);
        return text;
    }
    std::string groups = "[";
    for (size_t i = 0; i < 16; i += 2) {
        std::snprintf(text, sizeof(text), "%s%x", i == 0 ? "" : ":", at(i) << 8U | at(i + 1));
        groups += text;
    }
    return groups + "]:" + std::to_string(address.port);
}

struct NonceInput {
    uint64_t core;
    uint64_t count;
};

}  // namespace

std::string printable(std::string_view text, size_t bytes_max) {
    std::string clean(text.substr(0, bytes_max));
    for (char& c : clean) {
        if (c < ' ' || c > '~') c = '?';
    }
    return clean;
}

Gate::Gate(bool demanded, uint32_t core, const identity::Bytes32& nonce_seed, identity::KeySetPointer keys, identity::KeyPointer box_key)
    : demanded_(demanded), core_(core), nonce_seed_(nonce_seed), keys_(std::move(keys)), box_key_(std::move(box_key)) {
    if (keys_ == nullptr) keys_ = std::make_shared<identity::KeySet>();
}

identity::KeyPointer Gate::find_key(std::string_view id) const {
    if (box_key_ != nullptr && id == box_key_->id) return box_key_;
    const identity::KeyPointer* key = keys_->find(id);
    return key == nullptr ? nullptr : *key;
}

identity::Bytes32 Gate::draw() {
    const NonceInput input{core_, nonce_count_++};
    return identity::hmac_sha256(nonce_seed_, std::as_bytes(std::span(&input, 1)));
}

bool Gate::is_void(const Grant& grant, uint64_t wall_ns) const {
    if (grant.key == nullptr) return false;
    const identity::KeyPointer current = find_key(grant.key->id);
    return current == nullptr || current->generation != grant.key->generation || current->expired(wall_ns);
}

uint8_t Gate::actions_on(Grant& grant, uint64_t subject, std::string_view stream) {
    const auto found = grant.known.find(subject);
    if (found != grant.known.end()) return found->second;
    uint8_t actions = grant.everywhere;
    if (grant.key != nullptr) actions |= grant.key->policy.actions_on(stream);
    if (grant.known.size() >= kKnownShardsMax) grant.known.clear();
    grant.known.emplace(subject, actions);
    return actions;
}

void Gate::report(const Refusal& refusal, const Grant& grant, uint64_t now_ns) {
    if (now_ns - second_ns_ >= kSecondNs) {
        second_ns_ = now_ns;
        lines_ = 0;
    }
    if (lines_ == kLinesPerSecondMax) {
        ++suppressed_;
        return;
    }
    ++lines_;
    std::string name =
        grant.key != nullptr ? grant.key->id + " (" + grant.key->name + ")" : printable(refusal.key_id, identity::kKeyIdBytes);
    if (name.empty()) name = "none";
    const std::string_view error = errc_name(refusal.code);
    const std::string what(refusal.what);
    const std::string on = printable(refusal.subject, 128);
    std::fprintf(stderr, "eagred: core %u: refused: %.*s: %s%s%s, key %s, client '%s' at %s", core_, static_cast<int>(error.size()),
                 error.data(), what.c_str(), on.empty() ? "" : " ", on.c_str(), name.c_str(), grant.client_name.c_str(),
                 text_of(refusal.peer).c_str());
    if (suppressed_ > 0) std::fprintf(stderr, " [%" PRIu64 " more before it]", suppressed_);
    std::fputc('\n', stderr);
    suppressed_ = 0;
}

}  // namespace eagre::gate
