#pragma once
// Writes an answer, JSON or CBOR, member by member. What is written is well formed if begins and ends match (asserted in tests by the
// parsers of the other side); maps and lists of CBOR have no lengths, so that nothing is counted beforehand.

#include <cstdint>
#include <string>
#include <string_view>

#include "control/gateway/document/document.h"

namespace eagre::gateway {

class Writer {
  public:
    /// `buffer`: to write into; what it holds is kept.
    explicit Writer(Encoding encoding, std::string buffer = {}) : encoding_(encoding), out_(std::move(buffer)) {}

    void begin_map() { begin('{', '\xbf'); }
    void end_map() { end('}'); }
    void begin_list() { begin('[', '\x9f'); }
    void end_list() { end(']'); }
    /// Of a member; names are the service's, of letters and digits.
    void name(std::string_view name);

    void text(std::string_view text);
    void integer(int64_t value);
    void boolean(bool value);
    void blob(std::string_view bytes);
    /// Seconds with a fraction in JSON, ms under tag 1 in CBOR.
    void time_ms(uint64_t ms);
    /// A text that needs no escapes: digits, base64, shards' names.
    void plain(std::string_view text);

    // A member of a map in one line.
    void text(std::string_view member, std::string_view value) { name(member), text(value); }
    void integer(std::string_view member, int64_t value) { name(member), integer(value); }
    void boolean(std::string_view member, bool value) { name(member), boolean(value); }
    void blob(std::string_view member, std::string_view value) { name(member), blob(value); }
    void time_ms(std::string_view member, uint64_t value) { name(member), time_ms(value); }
    void plain(std::string_view member, std::string_view value) { name(member), plain(value); }

    Encoding encoding() const { return encoding_; }
    size_t size() const { return out_.size(); }
    void reserve(size_t bytes) { out_.reserve(bytes); }
    std::string take() { return std::move(out_); }

  private:
    void begin(char json, char cbor);
    void end(char json);
    void comma();
    void cbor_head(uint32_t major, uint64_t value);
    void quoted(std::string_view text);

    Encoding encoding_;
    std::string out_;
    bool first_ = true;       // Nothing stands before in this map or list.
    bool after_name_ = false;
};

}  // namespace eagre::gateway
