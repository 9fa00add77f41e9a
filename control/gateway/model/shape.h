#pragma once
// The shapes of requests, as the service's model has them, and the two checks that stand before all meaning: types
// (SerializationException) and constraints (ValidationException), with the service's own words: SDK users match on them.

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "control/gateway/document/document.h"
#include "control/gateway/model/api_error.h"

namespace eagre::gateway {

enum class Type : uint8_t { kText, kInteger, kBoolean, kBlob, kTime, kList, kStructure, kTextMap };

enum class Pattern : uint8_t { kNone, kName, kStreamArn, kConsumerArn, kArn, kSequenceNumber, kHashKey, kStreamId };

struct Shape;

struct Member {
    std::string_view name;
    Type type = Type::kText;
    bool required = false;
    int64_t min = 0;               // Least value, or length in characters (blobs: bytes), elements, entries.
    int64_t max = INT64_MAX;
    Pattern pattern = Pattern::kNone;
    std::string_view values = {};  // "A, B": an enumeration.
    const Shape* shape = nullptr;  // kStructure; kList of structures.
    const Member* element = nullptr;  // kList of others; kTextMap: of its keys (values have 0..256 characters).
};

struct Shape {
    std::span<const Member> members;
};

/// Nothing: `input` may be read by the names of the shape, and each member that is there has its type. Times may be decimals or integers
/// (seconds) or kTime; blobs text (base64, checked) or kBlob.
std::optional<ApiError> check(const Shape& shape, const Node& input, Encoding encoding);

}  // namespace eagre::gateway
