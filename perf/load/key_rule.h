#pragma once
// How a line of text gets its partition key.

#include <cstdint>
#include <string>
#include <string_view>

namespace eagre::load {

/// Says where the key is. At most one of the three is set; none: the line's number modulo
/// kLineKeyCount, which spreads lines over all shards and keeps the number of keys small.
struct KeyRuleOptions {
    std::string fixed;        // One key for all.
    uint32_t csv_column = 0;  // From 1; RFC 4180 quoting. 0: not CSV.
    std::string json_field;   // Top-level member of an NDJSON object.
};

inline constexpr uint64_t kLineKeyCount = 1024;

class KeyRule {
  public:
    explicit KeyRule(KeyRuleOptions options);

    /// The key of `line`, which is the `number`-th (from 0). Valid until the next call. Always a
    /// legal partition key: a line that has no such field, or an empty one, gets "-"; a field that
    /// is over 256 characters or not UTF-8 is replaced by its hash in hex, so that equal fields
    /// still share a key.
    std::string_view key_of(std::string_view line, uint64_t number);

    /// Lines whose field was missing or empty, and lines whose field had to be hashed.
    uint64_t missing_count() const { return missing_count_; }
    uint64_t hashed_count() const { return hashed_count_; }

  private:
    std::string_view legal(std::string_view field);

    KeyRuleOptions options_;
    std::string scratch_;
    uint64_t missing_count_ = 0;
    uint64_t hashed_count_ = 0;
};

/// Field `column` (from 1) of one CSV line, unquoted into `scratch` if it was quoted. False: too
/// few columns.
bool csv_field(std::string_view line, uint32_t column, std::string& scratch,
               std::string_view& field);
/// Member `name` of the JSON object in `line` as text: strings without quotes, anything else as
/// written (`null`: false).
bool json_member(std::string_view line, const std::string& name, std::string& text);

}  // namespace eagre::load
