#pragma once
// The page that a scraper gets: the dataplane's statistics and control's own tables as metric
// families. Pure: from one reading to text. README.md lists the families and their bounds.

#include <cstdint>
#include <string>

#include "control/consumers/lag.h"
#include "control/frames/refusals.h"
#include "control/metrics/stream_totals.h"
#include "control/streams/stream_table.h"
#include "wire/shm/stats_snapshot.h"

namespace eagre::metrics {

/// Series of their own for so many shards and streams; the rest is counted
/// (eagre_metrics_left_out).
inline constexpr uint32_t kShardSeriesDefault = 1000;
inline constexpr uint32_t kStreamSeriesMax = 1000;
inline constexpr uint32_t kGroupSeriesMax = 1000;
/// Of all groups together.
inline constexpr uint32_t kGroupShardSeriesMax = 1000;

/// A consumer group as control has it.
struct GroupView {
    std::string stream;
    std::string group;
    uint64_t member_count = 0;
    consumers::GroupLag lag;
};

struct PageSource {
    const shm::StatsSnapshot* snapshot = nullptr;          // Null: the dataplane is not there.
    const std::vector<shm::ShardStats>* shards = nullptr;  // Of that snapshot, each once.
    const StreamTotals* totals = nullptr;                  // Up to that snapshot.
    const streams::StreamTable* table = nullptr;
    bool control_ready = false;  // Control has agreed with the dataplane on what there is.
    uint32_t shard_series_max = kShardSeriesDefault;
    uint64_t connections_cut = 0;  // Scrapers that were too slow.
    const std::vector<GroupView>* groups = nullptr;
    uint64_t wall_ns = 0;  // Now, since 1970.
    const Refusals* refusals = nullptr;  // Of control; null: none.
};

/// `source.table` and `groups` are never null, `shards` and `totals` are not when `snapshot` is
/// not.
std::string metrics_page(const PageSource& source);

}  // namespace eagre::metrics
