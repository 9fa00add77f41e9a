#pragma once
// Which segments the cleaner moves next. Pure: from what is known of each segment to a choice.
//
// A relocated segment stands for whole segments that lie one behind the other, so that the search by sequence number stays
// the search in a sorted chain, and for the beginning of the one behind them when that fills it up.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "dataplane/journal/segment_pool.h"

namespace eagre::journal {

/// Segments with more than this part of alive bytes, of hundred, over all that can be moved, are let alone. Below the bound
/// that is promised (1.3 x what is alive), for what is found out late.
inline constexpr uint64_t kCleanUsedPercent = 118;
/// What will be dead as a whole so soon is not worth moving.
inline constexpr uint64_t kWorthMovingNs = 60'000'000'000;
/// Sources of one relocated segment, at most.
inline constexpr size_t kCleanSourcesMax = 64;

struct SpaceUsed {
    uint64_t alive_bytes = 0;    // Above a horizon. A segment that has not been looked at yet counts whole.
    uint64_t used_bytes = 0;     // Of all segments with runs, free room in them included.
    uint64_t damaged_count = 0;  // Segments that are kept as they are because of damage.
};

struct CleanPlan {
    size_t first = 0;  // Index in the chain.
    size_t count = 0;  // Sources; the last may be moved in part. 0: nothing is worth it.
};

struct CleanView {
    const std::vector<Segment*>& segments;  // The chain.
    size_t movable_end = 0;                 // From this index on segments are kept for recovery, or live.
    bool gaps_allowed = true;               // False: a number that is missing may be of a file that can't be read now.
    uint64_t now_ns = 0;                    // Retention's clock.
};

SpaceUsed measure_space(const CleanView& view);
CleanPlan choose_sources(const CleanView& view);
/// True when the cleaner may move it. `now_ns`: retention's clock.
bool movable(const Segment& segment, uint64_t now_ns);

}  // namespace eagre::journal
