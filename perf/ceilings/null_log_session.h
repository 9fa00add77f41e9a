#pragma once
// One connection of the null log server: cuts the bytes that arrived into frames and makes the
// answers. It speaks just enough of wire/frame for the client library: Hello and Metadata at once,
// Append once its commit is durable. It looks at a header's magic and length and trusts the rest:
// the baseline pays for nothing but bytes in, bytes down, answer out.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "wire/base/limits.h"
#include "wire/base/result.h"
#include "wire/frame/frame.h"

namespace eagre::perf {

/// The made-up box that Hello and Metadata describe: one stream of equal hash key ranges, all on
/// one core.
struct NullBox {
    uint16_t port = 0;
    uint32_t shard_count = 4;
    /// Next sequence number of shard i + 1. One table for all connections.
    std::vector<uint64_t> next_sequence;
    uint64_t append_count = 0;
    uint64_t record_count = 0;
};

class NullLogSession {
  public:
    explicit NullLogSession(NullBox& box) : box_(box) {}

    /// Cuts whole frames off the front of `bytes` and prepares their answers. Returns the bytes of
    /// whole frames; what is left is the beginning of a frame and must come again with more behind
    /// it. Errors: kBadMagic, kBadLength (a frame over kFrameBytesMax), kBadKind, kUnknownShard.
    /// Close the connection then.
    Result<size_t> take(std::span<const std::byte> bytes);

    /// Answers that wait for nothing (Hello, Metadata). Send and clear.
    std::vector<std::byte>& replies_now() { return now_; }
    /// Answers to appends, to be sent once the bytes that take() accepted are durable. Send and
    /// clear.
    std::vector<std::byte>& replies_durable() { return durable_; }

    /// Header and payload of the largest frame that is taken.
    static constexpr size_t kFrameBytesMax = frame::kHeaderBytes + kBatchBytesMax;

  private:
    Status answer(const frame::FrameHeader& header, std::span<const std::byte> payload);
    Status answer_append(const frame::FrameHeader& header);
    void answer_hello(const frame::FrameHeader& header);
    void answer_metadata(const frame::FrameHeader& header, std::span<const std::byte> payload);

    NullBox& box_;
    std::vector<std::byte> now_;
    std::vector<std::byte> durable_;
};

}  // namespace eagre::perf
