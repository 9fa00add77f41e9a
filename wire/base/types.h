#pragma once
// Strong types for everything that crosses a folder: two integers that mean different things cannot be swapped.

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace eagre {

template <class Tag, class Rep>
struct Strong {
    Rep value{};
    constexpr Strong() = default;
    constexpr explicit Strong(Rep v) : value(v) {}
    friend constexpr auto operator<=>(Strong, Strong) = default;
};

/// A shard of any stream of this box; never used twice, never 0.
using ShardId = Strong<struct ShardIdTag, uint64_t>;
/// A stream of this box; never used twice, never 0.
using StreamId = Strong<struct StreamIdTag, uint64_t>;
/// A record's order in its shard: dense, starts above the parents' last. 0 is never a record.
using SequenceNumber = Strong<struct SequenceNumberTag, uint64_t>;
/// Chosen at random by a producer, 0 = not idempotent.
using ProducerId = Strong<struct ProducerIdTag, uint64_t>;
/// Per (producer, shard), dense from 0.
using BatchNumber = Strong<struct BatchNumberTag, uint64_t>;
/// Ids that begin with these 12 bits are feeds of the box (dataplane/feed/); no client takes one.
inline constexpr uint64_t kFeedProducerMark = 0xFED;
inline constexpr bool is_feed_producer(ProducerId id) { return id.value >> 52U == kFeedProducerMark; }
/// Grows whenever the set of open shards of a stream changes.
using MapVersion = Strong<struct MapVersionTag, uint64_t>;
/// A reactor of this eagred, 0-based.
using CoreIndex = Strong<struct CoreIndexTag, uint32_t>;
/// A journal of this box, 0-based; durable, unlike the core that serves it.
using JournalId = Strong<struct JournalIdTag, uint32_t>;
/// Of a control process; grows with each start. Commands from an older one are refused.
using Epoch = Strong<struct EpochTag, uint64_t>;

/// The 128-bit MD5 of a partition key, or what the producer gave instead. Compared as one unsigned number.
struct HashKey {
    uint64_t high = 0;
    uint64_t low = 0;
    friend constexpr auto operator<=>(const HashKey&, const HashKey&) = default;
};
inline constexpr HashKey kHashKeyMax{UINT64_MAX, UINT64_MAX};

/// Inclusive at both ends, as in the Kinesis API (StartingHashKey, EndingHashKey).
struct HashKeyRange {
    HashKey starting;
    HashKey ending;
    constexpr bool contains(const HashKey& key) const { return starting <= key && key <= ending; }
    friend constexpr bool operator==(const HashKeyRange&, const HashKeyRange&) = default;
};

}  // namespace eagre

template <class Tag, class Rep>
struct std::hash<eagre::Strong<Tag, Rep>> {
    size_t operator()(eagre::Strong<Tag, Rep> v) const noexcept {
        // Fibonacci hashing: ids are dense, tables are powers of two.
        return static_cast<size_t>(static_cast<uint64_t>(v.value) * 0x9E3779B97F4A7C15ULL);
    }
};
