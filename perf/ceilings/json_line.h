#pragma once
// One JSON object on one line, built key by key: what every measuring program prints last.

#include <cstdint>
#include <string>
#include <string_view>

#include "wire/base/histogram.h"

namespace eagre::perf {

class JsonLine {
  public:
    JsonLine& add(std::string_view key, uint64_t value);
    /// Six significant digits; infinities and NaN become null.
    JsonLine& add(std::string_view key, double value);
    JsonLine& add(std::string_view key, bool value);
    /// `value` is escaped.
    JsonLine& add(std::string_view key, std::string_view value);
    JsonLine& add(std::string_view key, const char* value) {
        return add(key, std::string_view(value));
    }
    /// An object {count, min, p50, p99, p999, p9999, max} in us, of a histogram of ns.
    JsonLine& add_us(std::string_view key, const Histogram& ns);
    JsonLine& add(std::string_view key, const JsonLine& object);

    std::string text() const { return "{" + body_ + "}"; }

  private:
    void begin(std::string_view key);
    std::string body_;
};

}  // namespace eagre::perf
