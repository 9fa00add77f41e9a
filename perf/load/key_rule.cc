#include "perf/load/key_rule.h"

#include <stdexcept>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "perf/load/record_hash.h"
#include "wire/base/limits.h"

namespace eagre::load {
namespace {

/// Number of characters of `text`, or 0 when it is not UTF-8 (RFC 3629: no surrogates, nothing
/// overlong).
size_t utf8_length(std::string_view text) {
    size_t count = 0;
    for (size_t i = 0; i < text.size(); ++count) {
        const auto lead = static_cast<unsigned char>(text[i]);
        const size_t length = lead < 0x80   ? 1
                              : lead < 0xC2 ? 0
                              : lead < 0xE0 ? 2
                              : lead < 0xF0 ? 3
                              : lead < 0xF5 ? 4
                                            : 0;
        if (length == 0 || i + length > text.size()) return 0;
        for (size_t k = 1; k < length; ++k) {
            const auto next = static_cast<unsigned char>(text[i + k]);
            unsigned low = 0x80;
            unsigned high = 0xBF;
            if (k == 1 && lead == 0xE0) low = 0xA0;
            if (k == 1 && lead == 0xED) high = 0x9F;
            if (k == 1 && lead == 0xF0) low = 0x90;
            if (k == 1 && lead == 0xF4) high = 0x8F;
            if (next < low || next > high) return 0;
        }
        i += length;
    }
    return count;
}

/// Stops at the wanted member of the outermost object, so that the rest of a long line is not
/// parsed.
class MemberFinder final : public nlohmann::json_sax<nlohmann::json> {
  public:
    MemberFinder(const std::string& name, std::string& text) : name_(name), text_(text) {}
    bool found() const { return found_; }

    bool null() override { return !wanted(); }
    bool boolean(bool value) override { return take(value ? "true" : "false"); }
    bool number_integer(number_integer_t value) override { return take(fmt::format("{}", value)); }
    bool number_unsigned(number_unsigned_t value) override {
        return take(fmt::format("{}", value));
    }
    bool number_float(number_float_t, const string_t& written) override { return take(written); }
    bool string(string_t& value) override { return take(value); }
    bool binary(binary_t&) override { return false; }
    bool start_object(size_t) override { return ++depth_ == 1 || !wanted_at(1); }
    bool end_object() override {
        --depth_;
        return true;
    }
    bool start_array(size_t) override { return ++depth_ > 1 && !wanted_at(1); }
    bool end_array() override {
        --depth_;
        return true;
    }
    bool key(string_t& name) override {
        if (depth_ == 1) here_ = name == name_;
        return true;
    }
    bool parse_error(size_t, const std::string&, const nlohmann::detail::exception&) override {
        return false;
    }

  private:
    bool wanted() const { return depth_ == 1 && here_; }
    bool wanted_at(int levels_up) const { return depth_ - levels_up == 1 && here_; }
    bool take(std::string_view value) {
        if (!wanted()) return true;
        text_.assign(value);
        found_ = true;
        return false;
    }

    const std::string& name_;
    std::string& text_;
    int depth_ = 0;
    bool here_ = false;
    bool found_ = false;
};

}  // namespace

KeyRule::KeyRule(KeyRuleOptions options) : options_(std::move(options)) {
    const int set = (options_.fixed.empty() ? 0 : 1) + (options_.csv_column == 0 ? 0 : 1) +
                    (options_.json_field.empty() ? 0 : 1);
    if (set > 1) throw std::runtime_error("choose one of --key, --key-column and --key-field");
    if (!options_.fixed.empty()) {
        const size_t length = utf8_length(options_.fixed);
        if (length == 0 || length > kPartitionKeyCharactersMax) {
            throw std::runtime_error("--key: a partition key has 1 to 256 characters of UTF-8");
        }
    }
}

std::string_view KeyRule::key_of(std::string_view line, uint64_t number) {
    if (!options_.fixed.empty()) return options_.fixed;
    std::string_view field;
    if (options_.csv_column != 0) {
        return csv_field(line, options_.csv_column, scratch_, field) ? legal(field) : legal({});
    }
    if (!options_.json_field.empty()) {
        return json_member(line, options_.json_field, scratch_) ? legal(scratch_) : legal({});
    }
    scratch_.clear();
    fmt::format_to(std::back_inserter(scratch_), "line-{}", number % kLineKeyCount);
    return scratch_;
}

std::string_view KeyRule::legal(std::string_view field) {
    if (field.empty()) {
        ++missing_count_;
        return "-";
    }
    const size_t length = utf8_length(field);
    if (length != 0 && length <= kPartitionKeyCharactersMax) return field;
    ++hashed_count_;
    const uint64_t hash = hash_bytes(std::as_bytes(std::span(field.data(), field.size())), 0);
    scratch_ = fmt::format("{:016x}", hash);
    return scratch_;
}

bool csv_field(std::string_view line, uint32_t column, std::string& scratch,
               std::string_view& field) {
    size_t at = 0;
    for (uint32_t i = 1;; ++i) {
        const bool wanted = i == column;
        size_t end = 0;
        if (at < line.size() && line[at] == '"') {
            if (wanted) scratch.clear();
            size_t from = at + 1;
            for (end = from; end < line.size(); ++end) {
                if (line[end] != '"') continue;
                if (wanted) scratch.append(line.substr(from, end - from));
                from = end + 1;
                if (from >= line.size() || line[from] != '"') break;
                ++end;  // A doubled quote: keep the second one, with what follows it.
            }
            if (wanted) {
                if (end >= line.size()) scratch.append(line.substr(std::min(from, line.size())));
                field = scratch;
                return true;
            }
            end = line.find(',', std::min(end, line.size()));
        } else {
            end = line.find(',', at);
            if (wanted) {
                field = line.substr(at, end == std::string_view::npos ? end : end - at);
                return true;
            }
        }
        if (end == std::string_view::npos) return false;
        at = end + 1;
    }
}

bool json_member(std::string_view line, const std::string& name, std::string& text) {
    MemberFinder finder(name, text);
    nlohmann::json::sax_parse(line, &finder, nlohmann::json::input_format_t::json, false);
    return finder.found();
}

}  // namespace eagre::load
