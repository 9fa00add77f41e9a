#include "control/gateway/model/shape.h"

#include <algorithm>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "control/gateway/document/base64.h"

namespace eagre::gateway {
namespace {

using Kind = Node::Kind;

constexpr size_t kFaultCountMax = 10;
constexpr size_t kShownBytesMax = 256;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name(char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '.' || c == '-'; }
bool all_of(std::string_view text, bool (*test)(char)) { return std::all_of(text.begin(), text.end(), test); }
bool is_number(std::string_view text, size_t digits_max) {
    return !text.empty() && all_of(text, is_digit) && (text == "0" || text.front() != '0') && text.size() <= digits_max;
}

std::string_view pattern_text(Pattern pattern) {
    switch (pattern) {
        case Pattern::kName: return "[a-zA-Z0-9_.-]+";
        case Pattern::kStreamArn: return "arn:aws.*:kinesis:.*:\\d{12}:stream/\\S+";
        case Pattern::kConsumerArn: return "^(arn):aws.*:kinesis:.*:\\d{12}:.*stream\\/[a-zA-Z0-9_.-]+\\/consumer\\/[a-zA-Z0-9_.-]+:[0-9]+";
        case Pattern::kArn: return "arn:aws.*:kinesis:.*:\\d{12}:.*stream/\\S+";
        case Pattern::kSequenceNumber: return "0|([1-9]\\d{0,128})";
        case Pattern::kHashKey: return "0|([1-9]\\d{0,38})";
        case Pattern::kStreamId: return "[a-z0-9]{20}-[a-z0-9]{3}";
        default: return "";
    }
}

/// arn:PARTITION:kinesis:REGION:ACCOUNT:KIND/...
bool is_arn(std::string_view text, bool consumer) {
    std::string_view parts[6];
    for (size_t i = 0; i < 5; ++i) {
        const size_t colon = text.find(':');
        if (colon == text.npos) return false;
        parts[i] = text.substr(0, colon);
        text.remove_prefix(colon + 1);
    }
    if (parts[0] != "arn" || !parts[1].starts_with("aws") || parts[2] != "kinesis") return false;
    if (parts[4].size() != 12 || !all_of(parts[4], is_digit)) return false;
    const size_t slash = text.find("stream/");
    if (slash == text.npos) return false;
    text.remove_prefix(slash + 7);
    if (!consumer) return !text.empty() && text.find(' ') == text.npos;
    const size_t middle = text.find("/consumer/");
    if (middle == text.npos || middle == 0) return false;
    const std::string_view name = text.substr(middle + 10);
    const size_t colon = name.find(':');
    return colon != name.npos && colon != 0 && all_of(text.substr(0, middle), is_name) && all_of(name.substr(0, colon), is_name) &&
           colon + 1 < name.size() && is_digit(name[colon + 1]);
}

bool matches(Pattern pattern, std::string_view text) {
    switch (pattern) {
        case Pattern::kName: return !text.empty() && all_of(text, is_name);
        case Pattern::kStreamArn:
        case Pattern::kArn: return is_arn(text, false);
        case Pattern::kConsumerArn: return is_arn(text, true);
        case Pattern::kSequenceNumber: return is_number(text, 129);
        case Pattern::kHashKey: return is_number(text, 39);
        case Pattern::kStreamId: return text.size() == 24 && text[20] == '-';
        default: return true;
    }
}

int64_t characters(std::string_view text) {
    return std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U; });
}

std::string_view java_class(const Node& node) {
    switch (node.kind) {
        case Kind::kBoolean: return "java.lang.Boolean";
        case Kind::kInteger: return node.integer > INT32_MAX || node.integer < INT32_MIN ? "java.lang.Long" : "java.lang.Integer";
        case Kind::kDecimal: return "java.lang.Double";
        default: return "java.lang.String";
    }
}

class Checker {
  public:
    explicit Checker(Encoding encoding) : encoding_(encoding) {}

    // -- Types

    std::optional<ApiError> types(const Shape& shape, const Node& input) {
        if (input.is_null()) return std::nullopt;
        if (input.kind == Kind::kList) return serialization("Start of list found where not expected");
        if (input.kind != Kind::kMap) return serialization("Expected null");
        for (const Member& member : shape.members) {
            const Node* value = input.member(member.name);
            if (value == nullptr) continue;
            if (auto fault = type(member, *value)) return fault;
        }
        return std::nullopt;
    }

    // -- Constraints

    void constraints(const Shape& shape, const Node& input, const std::string& path) {
        for (const Member& member : shape.members) {
            std::string name = path;
            // The service's names begin with a small letter, but for abbreviations.
            name += member.name;
            char& first = name[path.size()];
            if (first >= 'A' && first <= 'Z') first = static_cast<char>(first + 32);
            const Node* value = input.member(member.name);
            if (value == nullptr) {
                if (member.required) fault("null", name, "not be null");
                continue;
            }
            constraint(member, *value, name);
        }
    }
    std::optional<ApiError> result() const {
        if (count_ == 0) return std::nullopt;
        std::string text = fmt::format("{} validation error{} detected: ", count_, count_ == 1 ? "" : "s");
        for (size_t i = 0; i < faults_.size(); ++i) text += (i == 0 ? "" : "; ") + faults_[i];
        return validation(std::move(text));
    }

  private:
    std::optional<ApiError> type(const Member& member, const Node& value) {
        const bool scalar = member.type != Type::kList && member.type != Type::kStructure && member.type != Type::kTextMap;
        if (scalar && value.kind == Kind::kList) return serialization("Start of list found where not expected");
        if (scalar && value.kind == Kind::kMap) return serialization("Start of structure or map found where not expected.");
        const auto no = [&](std::string_view wanted) {
            return serialization(fmt::format("class {} can not be converted to an {}", java_class(value), wanted));
        };
        switch (member.type) {
            case Type::kText:
                if (value.kind != Kind::kText) return no("String");
                return std::nullopt;
            case Type::kInteger:
                if (value.kind != Kind::kInteger && value.kind != Kind::kDecimal) return no("Integer");
                return std::nullopt;
            case Type::kBoolean:
                if (value.kind == Kind::kText) return serialization(fmt::format("'{}' can not be converted to an Boolean", value.text));
                if (value.kind != Kind::kBoolean) return no("Boolean");
                return std::nullopt;
            case Type::kTime:
                if (value.kind != Kind::kTime && value.kind != Kind::kInteger && value.kind != Kind::kDecimal) return no("Timestamp");
                return std::nullopt;
            case Type::kBlob:
                return blob(value, no("Blob"));
            case Type::kList:
                if (value.kind == Kind::kMap) return serialization("Start of structure or map found where not expected.");
                if (value.kind != Kind::kList) return serialization("Expected list or null");
                for (const Node& each : value.children) {
                    if (each.is_null()) continue;
                    if (auto fault = member.shape != nullptr ? types(*member.shape, each) : type(*member.element, each)) return fault;
                }
                return std::nullopt;
            case Type::kStructure:
                return types(*member.shape, value);
            default:
                if (value.kind == Kind::kList) return serialization("Start of list found where not expected");
                if (value.kind != Kind::kMap) return serialization("Expected map or null");
                for (size_t i = 1; i < value.children.size(); i += 2) {
                    if (!value.children[i].is_null() && value.children[i].kind != Kind::kText) {
                        return serialization(fmt::format("class {} can not be converted to an String", java_class(value.children[i])));
                    }
                }
                return std::nullopt;
        }
    }
    // The characters themselves are looked at where the bytes are needed, and only once.
    std::optional<ApiError> blob(const Node& value, ApiError no) const {
        if (value.kind == Kind::kBlob && encoding_ == Encoding::kCbor) return std::nullopt;
        if (value.kind != Kind::kText) return no;
        if (value.text.size() % 4 != 0) {
            return serialization(fmt::format("'{}' can not be converted to a Blob: Base64 encoded length is expected a multiple of 4 bytes but found: {}",
                                             value.text.substr(0, kShownBytesMax), value.text.size()));
        }
        return std::nullopt;
    }

    void constraint(const Member& member, const Node& value, const std::string& name) {
        switch (member.type) {
            case Type::kText:
                text(member, value.text, name);
                break;
            case Type::kInteger: {
                const int64_t number = value.kind == Kind::kInteger ? value.integer : static_cast<int64_t>(std::clamp(value.decimal, -9e18, 9e18));
                if (number < member.min) fault(fmt::format("{}", number), name, fmt::format("have value greater than or equal to {}", member.min));
                if (number > member.max) fault(fmt::format("{}", number), name, fmt::format("have value less than or equal to {}", member.max));
                break;
            }
            case Type::kBlob: {
                const auto bytes = static_cast<int64_t>(value.kind == Kind::kBlob ? value.text.size() : decoded_bytes(value.text));
                if (bytes > member.max) {
                    fault(fmt::format("java.nio.HeapByteBuffer[pos=0 lim={0} cap={0}]", bytes), name,
                          fmt::format("have length less than or equal to {}", member.max));
                }
                break;
            }
            case Type::kList:
                size(member, value.children.size(), name);
                for (size_t i = 0; i < value.children.size(); ++i) {
                    const Node& each = value.children[i];
                    const std::string inner = fmt::format("{}.{}.member", name, i + 1);
                    if (each.is_null()) {
                        fault("null", inner, "not be null");
                    } else if (member.shape != nullptr) {
                        constraints(*member.shape, each, inner + ".");
                    } else {
                        constraint(*member.element, each, inner);
                    }
                }
                break;
            case Type::kStructure:
                constraints(*member.shape, value, name + ".");
                break;
            case Type::kTextMap:
                size(member, value.children.size() / 2, name);
                for (size_t i = 0; i + 1 < value.children.size(); i += 2) {
                    const std::string_view key = value.children[i].text;
                    const int64_t key_size = characters(key);
                    if (key_size < 1 || key_size > 128)
                        fault(shown(key), name, "satisfy constraint: [Member must have length less than or equal to 128, Member must have length greater than or equal to 1]");
                    if (characters(value.children[i + 1].text) > 256)
                        fault(shown(value.children[i + 1].text), fmt::format("{}.{}.member", name, key),
                              "satisfy constraint: [Member must have length less than or equal to 256, Member must have length greater than or equal to 0]");
                }
                break;
            default:
                break;
        }
    }

    void text(const Member& member, std::string_view value, const std::string& name) {
        if (!member.values.empty()) {
            for (std::string_view left = member.values; !left.empty();) {
                const size_t comma = left.find(", ");
                if (left.substr(0, comma) == value) return;
                left.remove_prefix(comma == left.npos ? left.size() : comma + 2);
            }
            fault(shown(value), name, fmt::format("satisfy enum value set: [{}]", member.values));
            return;
        }
        if (!matches(member.pattern, value))
            fault(shown(value), name, fmt::format("satisfy regular expression pattern: {}", pattern_text(member.pattern)));
        const int64_t length = characters(value);
        if (length < member.min) fault(shown(value), name, fmt::format("have length greater than or equal to {}", member.min));
        if (length > member.max) fault(shown(value), name, fmt::format("have length less than or equal to {}", member.max));
    }
    void size(const Member& member, size_t count, const std::string& name) {
        const auto length = static_cast<int64_t>(count);
        if (length < member.min) fault("[]", name, fmt::format("have length greater than or equal to {}", member.min));
        if (length > member.max) fault("[...]", name, fmt::format("have length less than or equal to {}", member.max));
    }

    static size_t decoded_bytes(std::string_view text) {
        return text.size() / 4 * 3 - (text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0);
    }
    static std::string shown(std::string_view text) { return std::string(text.substr(0, kShownBytesMax)); }
    void fault(const std::string& value, const std::string& name, std::string_view must) {
        ++count_;
        if (faults_.size() >= kFaultCountMax) return;
        faults_.push_back(fmt::format("Value {} at '{}' failed to satisfy constraint: Member must {}",
                                      value == "null" ? value : "'" + value + "'", name, must));
    }

    Encoding encoding_;
    std::vector<std::string> faults_;
    size_t count_ = 0;
};

}  // namespace

std::optional<ApiError> check(const Shape& shape, const Node& input, Encoding encoding) {
    Checker checker(encoding);
    if (auto fault = checker.types(shape, input)) return fault;
    checker.constraints(shape, input, {});
    return checker.result();
}

}  // namespace eagre::gateway
