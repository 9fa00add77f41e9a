#pragma once
// Which slots of a directory are segments of the journal, in which order, and where they end, from
// their headers and trailers alone. Pure functions, shared by recovery and by the tools that look
// at a directory from outside.

#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/journal/segment_format.h"

namespace eagre::journal {

/// True for "segment-NNNNNN.eagre", whose number goes to `index`.
bool parse_slot_name(const char* name, uint32_t& index);

/// True for a trailer that verifies, is of this life of the segment, and describes a footer that
/// fits.
bool trailer_belongs(const Trailer& trailer, const SegmentHeader& header);

/// True when `header` is a relocated segment that stands for `other`, too.
bool replaces(const SegmentHeader& header, const SegmentHeader& other);

/// The segments that count, oldest first, as indices into `headers` (all verified, none ready).
/// Numbers rise with incarnations: one whose number a later incarnation has used, or gone below,
/// was cut off and is not among them. Nor is one that a relocated segment replaces; of two of those
/// that stand for the same, the later one counts.
std::vector<size_t> order_segments(std::span<const SegmentHeader> headers);

/// Where the commits of `segment` end, by its own word (relocated) or by that of `next`, the one
/// behind it; 0: it can't know. A cut that recovery recorded is exact. One recorded by the same
/// process is only as good as its last sync.
uint64_t recorded_cut(const SegmentHeader& segment, const SegmentHeader& next);

}  // namespace eagre::journal
