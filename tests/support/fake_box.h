#pragma once
// A box in memory behind the client's Transport: speaks the protocol, keeps records per shard, remembers producers, and does to
// the client whatever a test asks for: errors, lost answers, broken connections, bytes in odd pieces. Time stands still but
// for wait(), which moves it on.

#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "wire/base/prng.h"
#include "wire/client/client.h"
#include "wire/frame/batch.h"
#include "wire/frame/frame.h"

namespace eagre::test {

class FakeBox {
  public:
    struct Run {
        uint64_t first_sequence = 0;
        uint32_t record_count = 0;
        std::vector<uint64_t> payload;  // 8-byte aligned.
        size_t payload_bytes = 0;
        std::span<const std::byte> bytes() const { return std::as_bytes(std::span(payload)).first(payload_bytes); }
    };
    struct Shard {
        HashKeyRange range;
        bool open = true;
        uint64_t next = 1;
        uint64_t horizon = 1;
        std::vector<Run> runs;
        // producer -> (last number, answers)
        struct Memory {
            uint64_t last = 0;
            std::map<uint64_t, std::pair<uint64_t, uint32_t>> answers;  // number -> first sequence, crc
        };
        std::map<uint64_t, Memory> producers;
        ShardId parent;
        ShardId adjacent_parent;
    };
    explicit FakeBox(uint32_t shard_count, uint64_t seed = 1);

    std::unique_ptr<client::Transport> transport();

    std::map<uint64_t, Shard> shards;  // Erase one: retention took it. Clear: the stream was deleted.
    uint64_t map_version = 1;
    uint64_t record_bytes_max = kRecordDataBytesDefault;
    uint64_t now_ns = 1'000'000'000'000ULL;
    /// Called for each append before it is looked at: an error (not kOk) is the answer; the batch is not stored.
    std::function<Error(const frame::FrameHeader&)> refuse;
    /// Called for each append that was stored: true swallows the answer.
    std::function<bool(const frame::FrameHeader&)> lose_answer;
    /// Per million and append: the connection breaks, before or after the batch was stored.
    uint32_t break_per_million = 0;
    /// Bytes are given and taken in pieces of at most this size, drawn at random; 0: whole.
    size_t piece_bytes_max = 0;
    /// Changes frames on their way to the client.
    std::function<void(std::vector<std::byte>&)> tamper;
    uint64_t append_count = 0;
    uint64_t connection_count = 0;

    void break_connections();
    /// Splits: the parent closes, two children open.
    void split(uint64_t shard);
    /// Merges `lower` and its neighbour above it.
    void merge(uint64_t lower, uint64_t upper);
    /// All records of a shard, "key=data", in order.
    std::vector<std::string> records(uint64_t shard) const;
    std::vector<std::string> all_records() const;

  private:
    friend class FakeTransport;
    struct Pipe {
        std::vector<std::byte> in;   // From the client, not yet a whole frame.
        std::deque<std::byte> out;   // To the client.
        bool broken = false;
        struct Subscription {
            uint64_t shard = 0;
            uint64_t next = 0;
            int64_t credit = 0;
        };
        std::map<uint64_t, Subscription> subscriptions;
    };
    void on_bytes(Pipe& pipe);
    void on_frame(Pipe& pipe, const frame::FrameHeader& header, std::span<const std::byte> payload);
    void on_append(Pipe& pipe, const frame::FrameHeader& header, std::span<const std::byte> payload);
    void serve(Pipe& pipe);
    size_t deliver(Pipe& pipe, uint64_t correlation, uint64_t shard, uint64_t& next, int64_t& credit);
    /// Of a closed shard, as the frames at its end tell them.
    std::vector<uint64_t> children(uint64_t shard) const;
    void send(Pipe& pipe, frame::FrameHeader header, std::span<const std::byte> payload = {});
    size_t piece(size_t bytes) { return piece_bytes_max == 0 ? bytes : std::min<size_t>(bytes, 1 + prng_.below(piece_bytes_max)); }

    Prng prng_;
    std::map<uint64_t, Pipe> pipes_;
};

}  // namespace eagre::test
