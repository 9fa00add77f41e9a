#pragma once
// Dividing the 128-bit space of hash keys over shards.

#include <cstdint>
#include <vector>

#include "wire/base/types.h"

namespace eagre::streams {

/// `count` (1..kStreamShardCountMax) ranges of equal width in rising order, inclusive, without
/// holes; the last takes the remainder. As Kinesis divides them: width = floor(2^128 / count).
std::vector<HashKeyRange> divide_hash_keys(uint32_t count);

/// First key of the upper half of `range`; the range's own first key when it has only one.
HashKey middle_of(const HashKeyRange& range);

/// The ranges that `ranges` (any order, may overlap) leave uncovered, rising. Empty when they cover
/// everything.
std::vector<HashKeyRange> find_holes(std::vector<HashKeyRange> ranges);

}  // namespace eagre::streams
