#pragma once
// Which stretches of a segment the cleaner has to read: what its extents of living shards cover, in granules, so that memory
// is bounded by the segment's size and nothing is sorted. A stretch begins at a run header; from there on the segment can be
// followed run by run to the stretch's end.

#include <algorithm>
#include <cstdint>
#include <memory>

#include "wire/base/limits.h"

namespace eagre::journal {

class AliveMap {
  public:
    static constexpr uint64_t kGranuleBytes = 64 * kKiB;
    struct Stretch {
        uint64_t begin = 0;
        uint64_t end = 0;
    };

    explicit AliveMap(uint64_t segment_bytes)
        : count_(segment_bytes / kGranuleBytes + 1), granules_(std::make_unique<Granule[]>(count_)) {}

    void reset() { std::fill_n(granules_.get(), count_, Granule{}); }

    /// A run begins at `begin`, another ends at `end`.
    void add(uint64_t begin, uint64_t end) {
        for (uint64_t at = begin; at < end;) {
            const uint64_t base = at / kGranuleBytes * kGranuleBytes;
            const uint64_t stop = std::min(end, base + kGranuleBytes);
            Granule& granule = granules_[base / kGranuleBytes];
            granule.begin = std::min(granule.begin, static_cast<uint32_t>(at - base));
            granule.end = std::max(granule.end, static_cast<uint32_t>(stop - base));
            at = stop;
        }
    }

    /// The first stretch that ends behind `from`, where a run begins or a stretch has ended. False: there is none.
    bool next(uint64_t from, Stretch& stretch) const {
        uint64_t g = from / kGranuleBytes;
        while (g < count_ && (granules_[g].empty() || end_of(g) <= from)) ++g;
        if (g >= count_) return false;
        stretch.begin = std::max(from, g * kGranuleBytes + granules_[g].begin);
        while (granules_[g].end == kGranuleBytes && g + 1 < count_ && granules_[g + 1].begin == 0) ++g;
        stretch.end = end_of(g);
        return true;
    }

  private:
    struct Granule {
        uint32_t begin = UINT32_MAX;  // In the granule.
        uint32_t end = 0;
        bool empty() const { return end == 0; }
    };
    uint64_t end_of(uint64_t g) const { return g * kGranuleBytes + granules_[g].end; }

    size_t count_;
    std::unique_ptr<Granule[]> granules_;
};

}  // namespace eagre::journal
