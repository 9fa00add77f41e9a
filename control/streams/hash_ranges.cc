#include "control/streams/hash_ranges.h"

#include <algorithm>

#include "wire/base/assert.h"
#include "wire/base/limits.h"
#include "wire/base/prng.h"

namespace eagre::streams {
namespace {

HashKey key_of(Uint128 value) {
    return {static_cast<uint64_t>(value >> 64U), static_cast<uint64_t>(value)};
}
Uint128 value_of(const HashKey& key) {
    return static_cast<Uint128>(key.high) << 64U | key.low;
}

}  // namespace

std::vector<HashKeyRange> divide_hash_keys(uint32_t count) {
    EAGRE_ASSERT_GE(count, 1U);
    EAGRE_ASSERT_LE(count, kStreamShardCountMax);
    const Uint128 max = ~Uint128{0};
    // 2^128 itself does not fit: floor(2^128 / n) is one more than floor((2^128 - 1) / n) only when
    // n divides 2^128.
    const Uint128 width = max / count + (max % count == count - 1 ? 1 : 0);
    std::vector<HashKeyRange> ranges;
    ranges.reserve(count);
    for (uint32_t i = 0; i < count; ++i) {
        // For count == 1 width has wrapped to 0, and is not used.
        const Uint128 starting = width * i;
        const Uint128 ending = i + 1 == count ? max : starting + width - 1;
        ranges.push_back({key_of(starting), key_of(ending)});
    }
    return ranges;
}

HashKey middle_of(const HashKeyRange& range) {
    const Uint128 starting = value_of(range.starting);
    const Uint128 last = value_of(range.ending) - starting;
    return key_of(starting + last / 2 + last % 2);
}

std::vector<HashKeyRange> find_holes(std::vector<HashKeyRange> ranges) {
    std::sort(ranges.begin(), ranges.end(),
              [](const auto& a, const auto& b) { return a.starting < b.starting; });
    std::vector<HashKeyRange> holes;
    Uint128 next = 0;  // Lowest key not known to be covered.
    for (const HashKeyRange& range : ranges) {
        const Uint128 starting = value_of(range.starting);
        if (starting > next) holes.push_back({key_of(next), key_of(starting - 1)});
        if (range.ending == kHashKeyMax) return holes;
        next = std::max(next, value_of(range.ending) + 1);
    }
    holes.push_back({key_of(next), kHashKeyMax});
    return holes;
}

}  // namespace eagre::streams
