#pragma once
// What may be done to streams: each request becomes one Change of the catalogue, or a typed error.
// Pure functions over the table and the facts: no sockets, no clock, no randomness.
//
// A stream's life:  create -> kCreating -(journals know it)-> kActive -> delete -> kDeleting
// -(journals forgot it)-> gone. A change of limits passes through kChanging. A create that failed for
// good goes from kCreating to kDeleting: it is undone. Splitting and merging pass through kResharding (reshard.h).

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "control/catalog/catalog.h"
#include "control/streams/facts.h"
#include "control/streams/limits.h"
#include "control/streams/stream_table.h"
#include "wire/base/result.h"

namespace eagre::streams {

struct CreateRequest {
    std::string name;
    uint32_t shard_count = 1;
    Limits limits = {};  // retention_ms 0: kRetentionMsDefault; record_bytes_max 0: kRecordDataBytesDefault.
    catalog::Tags tags = {};
};

/// [a-zA-Z0-9_.-]{1,128}, and neither "." nor "..", which would be a trap wherever a name becomes a
/// path.
bool valid_name(std::string_view name);

/// What is wrong with the request whatever there is already: kBadArgument (name, shard count; one of
/// find_fault's), kLimitExceeded (detail = most shards of a stream, or tags).
std::optional<Complaint> find_fault(const CreateRequest& request);

/// A new stream in kCreating with its shards divided evenly and placed. Ids are the next ones above
/// the maxima of catalogue and `facts`. Errors: those of find_fault, kStreamExists,
/// kLimitExceeded (detail = most shards or streams of a box), kUnavailable (no journal to place
/// on).
Result<catalog::Change> plan_create(const StreamTable& table, const Facts& facts,
                                    const CreateRequest& request, uint64_t now_ns);

/// True when `stream` is still being created with just what `request` asks: a repeated create waits
/// for it.
bool is_repeat_of(const Stream& stream, const CreateRequest& request);

/// To kDeleting; an empty change when it is there already. Errors: kUnknownStream.
Result<catalog::Change> plan_delete(const StreamTable& table, std::string_view name);

/// To kChanging with the new limits; another record limit is a new version of the map, so that
/// connected producers learn it. Errors: kUnknownStream (also while deleting), kBusy (still
/// creating, or resharding), kBadArgument.
Result<catalog::Change> plan_set(const StreamTable& table, std::string_view name,
                                 const LimitsChange& wanted);

/// Puts `tags` on the stream, over those with the same keys. Errors: kUnknownStream, and those of
/// find_fault for what it would have then.
Result<catalog::Change> plan_tag(const StreamTable& table, std::string_view name,
                                 const catalog::Tags& tags);
/// Takes the tags with these keys off, if they are there. Errors: kUnknownStream.
Result<catalog::Change> plan_untag(const StreamTable& table, std::string_view name,
                                   const catalog::Tags& keys);

/// The journals have done what the state asks: kCreating and kChanging become kActive, kDeleting
/// ends.
catalog::Change plan_done(const Stream& stream);
/// A create that cannot be finished: to kDeleting.
catalog::Change plan_undo(const Stream& stream);

}  // namespace eagre::streams
