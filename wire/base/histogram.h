#pragma once
// Log-linear histogram, HDR-style: 64 linear steps per power of two, so a value is known to 1.6 %. Fixed size
// (29.5 KiB), no allocation, plain uint64_t counters, so that it can lie in shared memory and be read while it is written
// (a reader may see a count that is a few records old, never a torn one on x86-64).

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace eagre {

class Histogram {
  public:
    static constexpr uint32_t kStepBits = 6;
    static constexpr uint32_t kStepCount = 1U << kStepBits;
    static constexpr uint32_t kBucketCount = (64 - kStepBits + 1) * kStepCount;

    /// Values are in whatever unit the caller chose (ns as a rule).
    void record(uint64_t value, uint64_t count = 1) {
        counts_[index_of(value)] += count;
        total_ += count;
        sum_ += value * count;
        if (value > max_) max_ = value;
        if (value < min_) min_ = value;
    }
    void merge(const Histogram& other);
    void reset() { *this = Histogram{}; }

    uint64_t count() const { return total_; }
    /// Of all values; a uint64_t of ns holds 584 years.
    uint64_t sum() const { return sum_; }
    uint64_t max() const { return max_; }
    uint64_t min() const { return total_ == 0 ? 0 : min_; }
    double mean() const { return total_ == 0 ? 0.0 : static_cast<double>(sum_) / static_cast<double>(total_); }
    /// Smallest recorded bucket's upper value such that at least `percent` (0..100) of all values are at or below it;
    /// never above max(). 0 when empty.
    uint64_t percentile(double percent) const;

    /// For plots: visits non-empty buckets in rising order with (upper value, count).
    template <class Visit>
    void for_each(Visit visit) const {
        for (uint32_t i = 0; i < kBucketCount; ++i) {
            if (counts_[i] != 0) visit(upper_of(i), counts_[i]);
        }
    }

    static constexpr uint32_t index_of(uint64_t value) {
        if (value < kStepCount) return static_cast<uint32_t>(value);
        const auto exponent = static_cast<uint32_t>(std::bit_width(value)) - 1 - kStepBits;
        const auto mantissa = static_cast<uint32_t>(value >> exponent) - kStepCount;
        return (exponent + 1) * kStepCount + mantissa;
    }
    /// Largest value that falls in bucket `index`.
    static constexpr uint64_t upper_of(uint32_t index) {
        if (index < kStepCount) return index;
        const uint32_t exponent = index / kStepCount - 1;
        const uint64_t base = (uint64_t{kStepCount} + index % kStepCount) << exponent;
        return base + ((uint64_t{1} << exponent) - 1);
    }

  private:
    std::array<uint64_t, kBucketCount> counts_{};
    uint64_t total_ = 0;
    uint64_t sum_ = 0;
    uint64_t max_ = 0;
    uint64_t min_ = UINT64_MAX;
};

}  // namespace eagre
