#pragma once
// What control has refused, by what was asked and why: for metrics. Bounded by the names there are, not by who asks.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "wire/base/errc.h"

namespace eagre {

class Refusals {
  public:
    /// `request`: an operation's name, from a fixed set.
    void count(std::string_view request, Errc why) { ++counts_[{std::string(request), why}]; }
    void add(const Refusals& other) {
        for (const auto& [what, count] : other.counts_) counts_[what] += count;
    }
    const std::map<std::pair<std::string, Errc>, uint64_t>& counts() const { return counts_; }

  private:
    std::map<std::pair<std::string, Errc>, uint64_t> counts_;
};

}  // namespace eagre
