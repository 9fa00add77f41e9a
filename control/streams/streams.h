#pragma once
// What may be done to streams: each request becomes one Change of the catalogue, or a typed error.
// Pure functions over the table and the facts: no sockets, no clock, no randomness.
//
// A stream's life:  create -> kCreating -(journals know it)-> kActive -> delete -> kDeleting
// -(journals forgot it)-> gone. set_retention passes through kChanging. A create that failed for
// good goes from kCreating to kDeleting: it is undone.

#include <cstdint>
#include <string>
#include <string_view>

#include "control/catalog/catalog.h"
#include "control/streams/facts.h"
#include "control/streams/stream_table.h"
#include "wire/base/result.h"

namespace eagre::streams {

inline constexpr uint64_t kRetentionMsDefault = 24ULL * 3600 * 1000;  // Kinesis: 24 hours.
inline constexpr uint64_t kRetentionMsMax =
    10ULL * 365 * 24 * 3600 * 1000;  // Ten years; Kinesis stops at one.

struct CreateRequest {
    std::string name;
    uint32_t shard_count = 1;
    uint64_t retention_ms = 0;      // 0: kRetentionMsDefault.
    uint64_t record_bytes_max = 0;  // 0: kRecordDataBytesDefault.
};

/// [a-zA-Z0-9_.-]{1,128}, and neither "." nor "..", which would be a trap wherever a name becomes a
/// path.
bool valid_name(std::string_view name);

/// What is wrong with the request whatever there is already. Errors: kBadArgument (name, shard
/// count 0; detail = the limit of retention or record size), kLimitExceeded (detail = most shards
/// of a stream).
Status check_arguments(const CreateRequest& request);

/// A new stream in kCreating with its shards divided evenly and placed. Ids are the next ones above
/// the maxima of catalogue and `facts`. Errors: those of check_arguments, kStreamExists,
/// kLimitExceeded (detail = most shards or streams of a box), kUnavailable (no journal to place
/// on).
Result<catalog::Change> plan_create(const StreamTable& table, const Facts& facts,
                                    const CreateRequest& request, uint64_t now_ns);

/// True when `stream` is still being created with just what `request` asks: a repeated create waits
/// for it.
bool is_repeat_of(const Stream& stream, const CreateRequest& request);

/// To kDeleting; an empty change when it is there already. Errors: kUnknownStream.
Result<catalog::Change> plan_delete(const StreamTable& table, std::string_view name);

/// To kChanging with the new retention. Errors: kUnknownStream (also while deleting), kBusy (still
/// creating), kBadArgument.
Result<catalog::Change> plan_set_retention(const StreamTable& table, std::string_view name,
                                           uint64_t retention_ms);

/// The journals have done what the state asks: kCreating and kChanging become kActive, kDeleting
/// ends.
catalog::Change plan_done(const Stream& stream);
/// A create that cannot be finished: to kDeleting.
catalog::Change plan_undo(const Stream& stream);

}  // namespace eagre::streams
