#pragma once
// What a feed is: the addresses where datagrams of others come in, how records are found in them, and which stream gets these. Control keeps it in
// the catalogue, the dataplane on disk so that it serves alone. A set is never changed, only replaced by one with a higher number.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "wire/base/result.h"
#include "wire/base/types.h"

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

}  // namespace eagre::feeds
