#pragma once
// Latency by tenths of a second, so that a figure can be told of a typical tenth.
//
// Why: a virtual machine loses 1 to 8 ms several times a second to its host and to kernel threads that scan memory, whoever is
// measured. Of 50,000 records/s that is 0.5 to 2 % of all: the 99th percentile of a whole second tells how often that happened. Most
// tenths of a second are free of it. The whole sample is told beside it, and its p99.9 holds what the slices leave out.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "wire/base/histogram.h"

namespace eagre::perf {

class Slices {
  public:
    static constexpr uint64_t kSliceNs = 100'000'000ULL;
    static constexpr size_t kSliceCountMax = 600;
    /// Below it a slice has no 99th percentile to speak of: a slow generator, or the last, cut one.
    static constexpr uint64_t kSliceRecordsMin = 1000;

    /// `begin_ns`: when the first slice begins.
    explicit Slices(uint64_t begin_ns = 0) : begin_ns_(begin_ns) {}
    /// `intended_ns`: when the record should have gone out, not before begin_ns.
    void record(uint64_t intended_ns, uint64_t latency_ns) {
        const uint64_t index = (intended_ns - begin_ns_) / kSliceNs;
        if (index >= kSliceCountMax) return;
        if (index >= slices_.size()) slices_.resize(index + 1);
        if (slices_[index] == nullptr) slices_[index] = std::make_unique<Histogram>();
        slices_[index]->record(latency_ns);
    }
    /// The median, over slices, of each one's percentile; 0 when there is none.
    uint64_t typical(double percent) const {
        std::vector<uint64_t> found;
        for (const auto& slice : slices_) {
            if (slice != nullptr && slice->count() >= kSliceRecordsMin) found.push_back(slice->percentile(percent));
        }
        if (found.empty()) return 0;
        std::nth_element(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(found.size() / 2), found.end());
        return found[found.size() / 2];
    }

  private:
    uint64_t begin_ns_;
    std::vector<std::unique_ptr<Histogram>> slices_;
};

}  // namespace eagre::perf
