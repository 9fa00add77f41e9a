#pragma once
// Messages of application/vnd.amazon.eventstream: how SubscribeToShard's answer is cut into events. Lengths and checksums are big-endian:
// total length, length of the headers, CRC-32 of those 8 bytes; headers (name length u8, name, type u8 = 7 for text, value length u16,
// value); payload; CRC-32 of all before.

#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace eagre::gateway {

inline constexpr size_t kEventPayloadBytesMax = 16 * 1024 * 1024;  // What SDKs take.

using EventHeaders = std::initializer_list<std::pair<std::string_view, std::string_view>>;

/// Names of at most 255 bytes, values of at most 65,535.
void append_event(std::string& out, EventHeaders headers, std::string_view payload);

}  // namespace eagre::gateway
