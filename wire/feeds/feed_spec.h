#pragma once
// What a feed is: the addresses where datagrams of others come in, how records are found in them, and which stream gets these. Control keeps it in
// the catalogue, the dataplane on disk so that it serves alone. A set is never changed, only replaced by one with a higher number.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <flatbuffers/flatbuffers.h>

#include "wire/base/limits.h"
#include "wire/base/result.h"
#include "wire/base/types.h"
#include "wire/schema/feed_generated.h"

namespace eagre::feeds {

inline constexpr uint32_t kFeedCountMax = 32;            // Of a box.
inline constexpr size_t kFeedNameBytesMax = 48;          // As a stream's, but shorter.
inline constexpr size_t kFeedKeyBytesMax = 256;
inline constexpr uint32_t kFeedWindowMsMax = 60'000;
inline constexpr uint32_t kFeedWindowMsDefault = 50;
inline constexpr size_t kFeedLineCountMax = 2;

enum class Framing : uint8_t {
    kRaw = 1,        // A datagram, a record.
    kMoldUdp64 = 2,  // A message, a record, with its sequence number.
    kLines = 3,      // A line, a record, without what ends it.
};
std::string_view framing_name(Framing framing);
/// "raw", "moldudp64", "lines". Errors: kBadArgument.
Result<Framing> framing_of(std::string_view name);

struct FeedLine {
    std::string address;
    uint16_t port = 0;
    std::string interface;
    std::string source;
    friend bool operator==(const FeedLine&, const FeedLine&) = default;
};

struct FeedSpec {
    uint32_t id = 0;
    std::string name;
    StreamId stream;
    std::string stream_name;
    std::vector<FeedLine> lines;
    Framing framing = Framing::kRaw;
    std::string key = "source";  // key_rule.h
    uint32_t window_ms = kFeedWindowMsDefault;
    bool paused = false;
    uint64_t created_ns = 0;
    friend bool operator==(const FeedSpec&, const FeedSpec&) = default;
};

struct FeedSet {
    uint64_t number = 0;          // 0: there never was one.
    std::vector<FeedSpec> feeds;  // By id.
};
using FeedSetPointer = std::shared_ptr<const FeedSet>;

/// Whether it can be served: a name, one or two lines with numeric addresses and ports, of one IP version each with its source, groups only where
/// there is a source, two lines only where messages are numbered, a key rule that can be read. Returns what is wrong, for people; empty: nothing.
std::string check(const FeedSpec& spec);

/// A verified table. Errors: kBadArgument (no feed that check() takes; detail = its id), kLimitExceeded.
Result<FeedSpec> feed_spec_from(const wire::FeedInfo& table);
flatbuffers::Offset<wire::FeedInfo> pack_feed(flatbuffers::FlatBufferBuilder& builder, const FeedSpec& spec);
/// Null is an empty set. Errors as above.
Result<FeedSetPointer> feed_set_from(const wire::FeedSet* table);
flatbuffers::Offset<wire::FeedSet> pack_feed_set(flatbuffers::FlatBufferBuilder& builder, const FeedSet& set);

/// The file DATA/feeds.set: 8 bytes "EAGRFEED", CRC-32C (u32) and length (u32) of the table, then the table.
std::vector<std::byte> encode_feed_file(const FeedSet& set);
/// Errors: kCorruptDirectory.
Result<FeedSetPointer> decode_feed_file(std::span<const std::byte> file);

}  // namespace eagre::feeds
