#pragma once
// Which partition key a record of a feed gets. As people write it:
//   constant:NAME    always NAME: one shard, one order
//   source           the address that the datagram came from
//   bytes:AT:COUNT   so many bytes of the record from offset AT (0: its first): text without the blanks around it where all of them can be
//                    printed, else two hexadecimal digits a byte
//   until:TEXT       what stands before the first TEXT ("\t", "\n" and "\\" as in C)
//   regex:PATTERN    the first group of the first match (RE2); the whole match where there is no group
//                    (of these two: hexadecimal digits where it is not UTF-8, which a partition key must be)
//   round-robin      each record to the next shard
// A record in which the rule finds nothing gets the feed's name.
//
// Threading: a rule is used by one thread. Bytes are taken as they are, UTF-8 or not.

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "wire/base/result.h"

namespace re2 {
class RE2;
}

namespace eagre::feeds {

/// What to say to who wrote `text`, which is no rule.
std::string key_rule_help(std::string_view text);

class KeyRule {
  public:
    enum class Kind : uint8_t { kConstant, kSource, kBytes, kUntil, kRegex, kRoundRobin };

    /// Errors: kBadArgument.
    static Result<KeyRule> parse(std::string_view text);
    KeyRule(KeyRule&& other) noexcept;
    KeyRule& operator=(KeyRule&& other) noexcept;
    ~KeyRule();

    Kind kind() const { return kind_; }
    /// kConstant: the key.
    std::string_view constant() const { return text_; }
    /// kBytes, kUntil, kRegex: the record's key, 1 to 256 bytes of UTF-8 (longer ones are cut); empty: the rule finds nothing. Lies in `record` or in the
    /// rule itself, until the next call.
    std::string_view key_of(std::span<const std::byte> record);

  private:
    KeyRule();
    std::string_view bytes_key(std::string_view record);
    std::string_view hex_of(std::string_view bytes);
    std::string_view as_key(std::string_view bytes);

    Kind kind_ = Kind::kConstant;
    std::string text_;
    uint32_t offset_ = 0;
    uint32_t count_ = 0;
    std::unique_ptr<re2::RE2> pattern_;
    std::array<char, 256> hex_{};
};

}  // namespace eagre::feeds
