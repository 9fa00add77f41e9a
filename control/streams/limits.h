#pragma once
// What a stream's limits and tags may be, and what to tell people who ask for more.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "control/catalog/catalog.h"
#include "wire/base/result.h"

namespace eagre::streams {

inline constexpr uint64_t kRetentionMsDefault = 24ULL * 3600 * 1000;  // Kinesis: 24 hours.
inline constexpr uint64_t kRetentionMsMax =
    10ULL * 365 * 24 * 3600 * 1000;  // Ten years; Kinesis stops at one.

struct Limits {
    uint64_t retention_ms = 0;
    uint64_t retention_bytes = 0;      // 0: no limit.
    uint64_t record_bytes_max = 0;
    uint64_t quota_bytes_per_s = 0;    // Of each shard; 0: none.
    uint64_t quota_records_per_s = 0;  // The same.
    friend bool operator==(const Limits&, const Limits&) = default;
};

Limits limits_of(const catalog::StreamRow& row);
void put_limits(catalog::StreamRow& row, const Limits& limits);

/// Bits of wire::StreamField: the limits that a request changes.
struct LimitsChange {
    uint32_t fields = 0;
    Limits values;
    /// `base` with what is to be changed.
    Limits applied_to(const Limits& base) const;
};

/// What is wrong, as an error and as a sentence that says what to do.
struct Complaint {
    Error error;
    std::string text;
};

/// kBadArgument (detail = the limit that was passed), or nothing.
std::optional<Complaint> find_fault(const Limits& limits);
/// kBadArgument (a key or value that is none; detail = most characters), kLimitExceeded (detail =
/// most tags), or nothing.
std::optional<Complaint> find_fault(const catalog::Tags& tags);

}  // namespace eagre::streams
