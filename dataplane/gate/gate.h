#pragma once
// A core's gate: the keys it honours, nonces that are never used twice, and the log of whom it refused. Owned by one core.

#include <cstdint>
#include <string_view>

#include "dataplane/gate/grant.h"
#include "dataplane/io/address.h"
#include "wire/base/result.h"
#include "wire/identity/key_set.h"

namespace eagre::gate {

/// Refusals beyond this many lines a second and core are counted in the next line only.
inline constexpr uint32_t kLinesPerSecondMax = 10;

struct Refusal {
    Errc code = Errc::kAccessDenied;
    std::string_view what;     // An action, or what was wrong.
    std::string_view subject;  // Name of a stream, or empty.
    std::string_view key_id;   // As it was given, where nothing was proved.
    io::Address peer;
};

class Gate {
  public:
    /// `nonce_seed`: 32 bytes that only this start of this box has. `box_key`: the box's own, honoured whatever `keys` says.
    Gate(bool demanded, uint32_t core, const identity::Bytes32& nonce_seed, identity::KeySetPointer keys, identity::KeyPointer box_key);

    /// True when nobody may come in without a key.
    bool demanded() const { return demanded_; }
    /// 0: there never was a set of keys.
    uint64_t keys_number() const { return keys_->number; }
    /// Null when there is none of that id.
    identity::KeyPointer find_key(std::string_view id) const;
    void put_keys(identity::KeySetPointer keys) { keys_ = std::move(keys); }
    /// 32 bytes that nobody can foresee and that never come again.
    identity::Bytes32 draw();

    /// True when what this grant rests on is gone: its key was revoked, has a new secret, or has expired.
    bool is_void(const Grant& grant, uint64_t wall_ns) const;
    /// What `grant` may do on `stream`, remembered under `subject` (a shard's id, or a stream's with kStreamMark).
    static uint8_t actions_on(Grant& grant, uint64_t subject, std::string_view stream);

    /// A line in the log: who was refused what.
    void report(const Refusal& refusal, const Grant& grant, uint64_t now_ns);

  private:
    bool demanded_;
    uint32_t core_;
    identity::Bytes32 nonce_seed_;
    uint64_t nonce_count_ = 0;
    identity::KeySetPointer keys_;
    identity::KeyPointer box_key_;
    uint64_t second_ns_ = 0;
    uint32_t lines_ = 0;
    uint64_t suppressed_ = 0;
};

/// `text` as it may stand in a log: printable ASCII, at most `bytes_max`.
std::string printable(std::string_view text, size_t bytes_max);

}  // namespace eagre::gate
