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

/// The segments that count, oldest first, as indices into `headers` (all verified, none ready).
/// Numbers rise with incarnations: one whose number a later incarnation has used, or gone below,
/// was cut off and is not among them.
std::vector<size_t> order_segments(std::span<const SegmentHeader> headers);

/// Where `next`, the one behind `segment`, says that its commits end; 0: it can't know. A cut that
/// recovery recorded is exact. One recorded by the same process is only as good as its last sync.
uint64_t recorded_cut(const SegmentHeader& segment, const SegmentHeader& next);

}  // namespace eagre::journal
