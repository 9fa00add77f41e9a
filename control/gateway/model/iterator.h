#pragma once
// Shard iterators: a position and when it was asked for, signed with a key that all gateways of a box derive from its key file. No
// gateway keeps anything of them: they may be used again, and by whichever gateway.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "control/gateway/model/api_error.h"
#include "wire/base/types.h"
#include "wire/identity/crypto.h"

namespace eagre::gateway {

inline constexpr uint64_t kIteratorMs = 300'000;

struct Iterator {
    StreamId stream;
    ShardId shard;
    SequenceNumber next;
    uint64_t created_ms = 0;  // Since 1970.
    std::string stream_name;
};

class IteratorSigner {
  public:
    explicit IteratorSigner(const identity::Bytes32& key) : key_(key) {}
    std::string sign(const Iterator& iterator) const;
    /// InvalidArgumentException, ExpiredIteratorException.
    std::variant<Iterator, ApiError> open(std::string_view text, uint64_t now_ms) const;

  private:
    identity::Bytes32 key_;
};

}  // namespace eagre::gateway
