#pragma once
// Single questions and their answers, for programs that keep no subscription and may not wait: gateways. Made by
// Client::make_fetcher(); everything happens in Client::poll(). Each question is answered by exactly one call of `done`, within
// ClientOptions::request_timeout_ns; questions of one shard that come to the wrong core are asked again at the right one.

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "wire/base/result.h"
#include "wire/client/client.h"

namespace eagre::client {

struct Located {
    SequenceNumber next;  // The first record wanted, or where it will be.
    SequenceNumber tail;  // Durable.
};

/// How a read ended.
struct ReadEnd {
    /// kOk: the bounds of the read, or the tail. kShardClosed: the shard's end was reached; `children` follow it. kSequenceTrimmed,
    /// kDamaged (detail = where reading can go on), kSequenceInFuture, kUnknownShard, kUnavailable, kTimeout, kDisconnected.
    Error error;
    SequenceNumber tail;  // Durable tail of the shard; 0 when it was not said.
    std::vector<ShardId> children = {};
};

class Fetcher {
  public:
    /// Unanswered questions get no answer.
    virtual ~Fetcher() = default;

    /// Errors: kUnknownStream, kTimeout, kDisconnected.
    virtual void describe(std::string_view stream, std::function<void(Result<StreamDescription>)> done) = 0;
    /// Errors: kUnknownShard, kSequenceTrimmed (detail = horizon), kSequenceInFuture (detail = tail), kUnavailable, kTimeout, kDisconnected.
    virtual void locate(const ShardDescription& shard, frame::Position position, uint64_t value, std::function<void(Result<Located>)> done) = 0;
    /// Runs from `from` on, about `bytes` of them and one at least if there is any: `delivery` for each, then `done`.
    virtual void read(const ShardDescription& shard, SequenceNumber from, uint64_t bytes, std::function<void(const Delivery&)> delivery,
                      std::function<void(const ReadEnd&)> done) = 0;
};

}  // namespace eagre::client
