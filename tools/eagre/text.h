#pragma once
// Figures as people read them: separators, units, aligned tables, a plot of a distribution. Pure
// functions.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "wire/base/histogram.h"

namespace eagre::cli {

/// 1234567 -> "1,234,567".
std::string grouped(uint64_t value);
/// Rounded to a whole number, grouped.
std::string grouped(double value);
/// Decimal units, three digits that count: "512 B", "1.23 MB", "4.70 GB".
std::string bytes_text(double bytes);
/// Three digits that count: "850 ns", "163 us", "1.24 ms", "12.3 s".
std::string duration_text(uint64_t ns);
/// Seconds as "1:02:03", "4:05" or "7.3 s".
std::string clock_text(double seconds);

/// Width on a terminal of UTF-8 text that has no wide or combining characters.
size_t text_width(std::string_view text);

/// True when standard output understands UTF-8 (then plots use block characters, else '#').
bool terminal_is_utf8();

/// A table with a heading and columns as wide as their widest cell. Cells that look like figures
/// stand at the right.
class Table {
  public:
    explicit Table(std::vector<std::string> heading) : heading_(std::move(heading)) {}
    void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
    bool empty() const { return rows_.empty(); }
    const std::vector<std::string>& heading() const { return heading_; }
    const std::vector<std::vector<std::string>>& rows() const { return rows_; }
    /// `indent` spaces in front of every line.
    std::string text(size_t indent = 0) const;

  private:
    std::vector<std::string> heading_;
    std::vector<std::vector<std::string>> rows_;
};

/// One row per range of values (six ranges a decade), a bar for the share of each, its count. Empty
/// for an empty histogram. Values are in ns.
std::string latency_plot(const Histogram& histogram, size_t indent, bool utf8);

/// "p50 163 us  p99 272 us  p99.9 1.28 ms  p99.99 1.90 ms  max 2.10 ms  (200,000)".
std::string percentile_line(const Histogram& histogram);

}  // namespace eagre::cli
