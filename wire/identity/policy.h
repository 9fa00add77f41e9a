#pragma once
// What a key may do: rules "ACTION:PATTERN" over names of streams. What no rule allows is denied.
//
//   put:ticks-*    append to streams whose names begin with ticks-
//   get:*          read, subscribe and locate in any stream
//   manage:a?      what changes streams; over the native port it shows their metadata
//   all:test-*     all three
//
// In a pattern * stands for any characters, ? for one; the rest must be characters of stream names.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "wire/base/result.h"

namespace eagre::identity {

inline constexpr uint8_t kPut = 1;
inline constexpr uint8_t kGet = 2;
inline constexpr uint8_t kManage = 4;
inline constexpr uint8_t kAllActions = kPut | kGet | kManage;
inline constexpr size_t kPolicyTextBytesMax = 512;  // All rules of a key, blanks between them.
inline constexpr size_t kPolicyRuleCountMax = 32;

/// "put", "get", "manage" for one action.
std::string_view action_name(uint8_t action);

/// True when `pattern` (with * and ?) matches all of `text`. Time is at most the product of the lengths.
bool glob_matches(std::string_view pattern, std::string_view text);

class Policy {
  public:
    /// `text`: rules with blanks between them; empty: nothing is allowed. Errors: kBadPolicy (detail = index of the rule),
    /// kLimitExceeded (detail = the limit).
    static Result<Policy> parse(std::string_view text);
    /// Actions allowed on `stream`, as bits.
    uint8_t actions_on(std::string_view stream) const;
    /// Actions allowed on every stream there is or will be.
    uint8_t actions_everywhere() const { return everywhere_; }
    /// As parse() takes it.
    std::string text() const;

  private:
    struct Rule {
        uint8_t actions = 0;
        std::string pattern;
    };
    std::vector<Rule> rules_;
    uint8_t everywhere_ = 0;
};

}  // namespace eagre::identity
