#pragma once
// How the service names things, from what Eagre numbers: shard ids, sequence numbers of 56 digits, ARNs. Pure functions.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "wire/base/types.h"

namespace eagre::gateway {

/// The number in a shard's name: counted from 0 in its stream. Shards that an older Eagre made have no ordinal and get numbers far beyond.
uint64_t shard_number(ShardId shard, uint32_t ordinal);
/// "shardId-" and at least twelve digits.
std::string shard_name(uint64_t number);
/// Its number; also of "shardId-7" and "7", as the service takes them. Nothing: no shard's name.
std::optional<uint64_t> parse_shard_name(std::string_view text);

/// Sequence numbers in the service's form: 186 bits as 56 decimal digits: 2, 9 hex digits of seconds, one of zero, 16 of the number
/// itself, two of zero, 9 of seconds, 8 of the shard, 2. The seconds are those of the stream's creation, so that numbers grow through
/// splits and merges with Eagre's own, and one of a former stream of the same name is not taken for one of this.
class SequenceNumbers {
  public:
    SequenceNumbers() : SequenceNumbers(0, ShardId{}) {}
    SequenceNumbers(uint64_t stream_created_ns, ShardId shard);
    std::string text(SequenceNumber number) const;
    /// The same into `target`: 56 characters, for the many of one answer.
    std::string_view text(SequenceNumber number, std::array<char, 64>& target) const;
    /// Nothing: not a number of this stream (of another shard of it is fine: readers of a child compare with its parent's).
    std::optional<SequenceNumber> parse(std::string_view text) const;
    /// Where whoever has read all before `next` goes on: behind the last record and before the next, and later with every second, so that
    /// it moves while nothing comes.
    std::string continuation(SequenceNumber next, uint64_t now_ms) const;
    /// The first number that a reader AT `text` wants: that of a record, or what follows a continuation. Nothing: as parse().
    std::optional<SequenceNumber> parse_at(std::string_view text) const;

  private:
    uint64_t seconds_;
    uint32_t shard_;
    /// All but the number itself, in limbs of 19 decimal digits, least first: the number adds multiples of 2^80.
    std::array<uint64_t, 3> base_{};
};

struct Arns {
    std::string region = "us-east-1";
    std::string account = "000000000000";

    std::string stream(std::string_view name) const;
    std::string consumer(std::string_view stream, std::string_view name, uint64_t created_ms) const;
    std::string user(std::string_view name) const;
};
/// The name in a stream's ARN, whichever region and account it says. Nothing: it is none.
std::optional<std::string_view> stream_of_arn(std::string_view arn);

struct ConsumerArn {
    std::string stream;
    std::string consumer;
    uint64_t created_s = 0;
};
std::optional<ConsumerArn> parse_consumer_arn(std::string_view arn);

/// A 128-bit hash key in decimal.
std::string hash_key_text(const HashKey& key);
/// Nothing: not a number below 2^128.
std::optional<HashKey> parse_hash_key(std::string_view text);

}  // namespace eagre::gateway
