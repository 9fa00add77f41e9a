#pragma once
// Split, merge and scale as changes of the catalogue. Pure functions, like streams.h.
//
// A reshard is written down as kResharding and the planned children: rows with first_sequence 0, whose parents are named in
// them. Everything else of the intention follows from these. When the dataplane has done it, its facts take their place.
// A child has at most two parents; scaling takes as many steps as that needs, one reshard each, and StreamRow::scale_target
// says that there is more to come.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/catalog/catalog.h"
#include "control/streams/facts.h"
#include "control/streams/placement.h"
#include "control/streams/stream_table.h"
#include "wire/base/result.h"

namespace eagre::streams {

/// One child to be opened, and where its keys are now.
struct PlannedChild {
    HashKeyRange range;
    ShardId parent;
    ShardId adjacent_parent;  // 0: has one parent.
    std::optional<JournalId> journal = {};  // Where it must go; by placement when not said.
};

inline bool is_planned(const catalog::ShardRow& row) {
    return row.first_sequence.value == 0;
}
/// Closed or open, not planned.
uint32_t shard_count(const Stream& stream);

/// Divides `shard` in two; `at`: first hash key of the upper child, the middle by default. Errors: kUnknownStream, kBusy
/// (another change of this stream is under way), kUnknownShard, kShardClosed (both: detail = the shard), kBadArgument (`at`
/// is not above the first key of the range or is above its last, or the range has one key), kLimitExceeded, kUnavailable
/// (no journal to place a child on; or `shard` is in a journal that is missing, detail = the shard).
Result<catalog::Change> plan_split(const StreamTable& table, const Facts& facts, std::string_view name, ShardId shard,
                                   std::optional<HashKey> at);
/// Makes one of two neighbours. Errors: as plan_split, and kBadArgument (they are not neighbours, or one and the same).
Result<catalog::Change> plan_merge(const StreamTable& table, const Facts& facts, std::string_view name, ShardId one,
                                   ShardId other);
/// Where an open shard is to go on.
struct MoveTo {
    ShardId shard;
    JournalId journal;
};
/// Each of these shards goes on as a child with the same hash keys in another journal. Errors: kUnknownStream, kBusy,
/// kUnknownShard, kShardClosed (both: detail = the shard), kBadArgument (detail = the shard: it lies there already, or is named
/// twice), kUnavailable (detail = the journal, which is missing, or the shard's), kLimitExceeded.
Result<catalog::Change> plan_moves(const StreamTable& table, const Facts& facts, std::string_view name,
                                   const std::vector<MoveTo>& moves);
/// The first step to `count` shards of equal width; an empty change when the stream has them. Errors: kUnknownStream, kBusy,
/// kBadArgument (count 0), kLimitExceeded (detail = most shards of a stream or of the box, closed ones included),
/// kUnavailable.
Result<catalog::Change> plan_scale(const StreamTable& table, const Facts& facts, std::string_view name, uint32_t count);
/// For an active stream with a scale_target: the next step, or the end of scaling. Errors: as plan_scale.
Result<catalog::Change> plan_next_step(const StreamTable& table, const Facts& facts, const Stream& stream);
/// Scaling is given up where it is.
catalog::Change plan_stop_scaling(const Stream& stream);

/// The dataplane has done it: `fact` is the stream as it is now.
catalog::Change plan_resharded(const Stream& stream, const StreamFact& fact);

/// The children of one step from ranges `held` (open shards, rising, without holes) towards `targets` (the same); none for
/// ranges that stay. After at most log2 of the most shards that make one of `targets`, there is nothing left to do.
std::vector<PlannedChild> step_towards(const std::vector<catalog::ShardRow>& held, const std::vector<HashKeyRange>& targets);

/// The open shards, by range.
std::vector<catalog::ShardRow> open_shards(const Stream& stream);
/// True when the open shards are `count` of equal width.
bool is_uniform(const Stream& stream, uint32_t count);

/// A sentence for people: why a split or merge of these shards is refused with `error`. Empty: errc_advice says it.
/// `stream` may be null: not there.
std::string explain_reshard(const Stream* stream, const std::vector<ShardId>& shards, Error error);

}  // namespace eagre::streams
