#pragma once
// Text in Prometheus' exposition format 0.0.4, written family by family. Pure: no clock, no I/O.
// Names and help come from our source and are trusted; label values come from anywhere and are
// escaped.

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "wire/base/histogram.h"

namespace eagre::metrics {

enum class Kind : uint8_t { kCounter, kGauge, kHistogram };

struct Label {
    std::string_view name;
    std::string_view value;
};
using Labels = std::initializer_list<Label>;

class Exposition {
  public:
    /// Begins a family; its samples follow. `name` with its unit and, for counters, `_total`.
    void family(std::string_view name, Kind kind, std::string_view help);
    /// One sample of the family begun last (not of a histogram).
    void sample(Labels labels, uint64_t value);
    void sample(Labels labels, double value);
    /// One histogram of the family begun last: `values` are ns, the buckets (1, 2 and 5 in each
    /// decade from 1 us to 10 s) seconds. A value is known to 1.6 %; one that may lie above a
    /// bound is counted above it. The count is that of the buckets, so that it agrees with them
    /// even though the core records meanwhile; the sum may be a few records older or younger.
    void histogram(Labels labels, const Histogram& values);

    const std::string& text() const { return text_; }
    std::string take() { return std::move(text_); }

  private:
    void begin(std::string_view suffix, Labels labels, std::string_view bound = {});

    std::string text_;
    std::string family_;
};

}  // namespace eagre::metrics
