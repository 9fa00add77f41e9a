#include "control/gateway/document/cbor.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <optional>

#include <simdjson.h>

namespace eagre::gateway {
namespace {

constexpr uint64_t kTimeTag = 1;
constexpr uint32_t kIndefinite = 31;

class CborReader {
  public:
    CborReader(NodeBuilder& builder, std::string_view body) : builder_(builder), body_(body) {}

    bool item(size_t depth) {
        if (depth > kDepthMax) return false;
        Head head;
        if (!read_head(head)) return false;
        return item(head, depth);
    }
    bool at_end() const { return at_ == body_.size(); }

  private:
    struct Head {
        uint32_t major = 0;
        uint32_t info = 0;
        uint64_t value = 0;
    };

    bool read_head(Head& head) {
        if (at_ >= body_.size()) return false;
        const auto byte = static_cast<uint8_t>(body_[at_++]);
        head.major = byte >> 5U;
        head.info = byte & 31U;
        head.value = head.info;
        if (head.info < 24 || head.info == kIndefinite) return true;
        if (head.info > 27) return false;
        const size_t bytes = size_t{1} << (head.info - 24);
        if (body_.size() - at_ < bytes) return false;
        head.value = 0;
        for (size_t i = 0; i < bytes; ++i) head.value = head.value << 8U | static_cast<uint8_t>(body_[at_++]);
        return true;
    }
    bool is_break() {
        if (at_ >= body_.size() || static_cast<uint8_t>(body_[at_]) != 0xff) return false;
        ++at_;
        return true;
    }

    bool item(const Head& head, size_t depth) {
        Node node;
        switch (head.major) {
            case 0:
            case 1:
                if (head.info == kIndefinite) return false;
                node.kind = Node::Kind::kInteger;
                node.integer = static_cast<int64_t>(std::min<uint64_t>(head.value, INT64_MAX));
                if (head.major == 1) node.integer = -1 - node.integer;
                return builder_.add(node);
            case 2:
            case 3: {
                const auto text = string(head);
                if (!text) return false;
                node.kind = head.major == 2 ? Node::Kind::kBlob : Node::Kind::kText;
                node.text = *text;
                if (head.major == 3 && !simdjson::validate_utf8(text->data(), text->size())) return false;
                return builder_.add(node);
            }
            case 4:
            case 5:
                return container(head, depth);
            case 6:
                return tagged(head, depth);
            default:
                return simple(head);
        }
    }

    std::optional<std::string_view> piece(uint64_t bytes) {
        if (body_.size() - at_ < bytes) return std::nullopt;
        const std::string_view text = body_.substr(at_, bytes);
        at_ += bytes;
        return text;
    }
    std::optional<std::string_view> string(const Head& head) {
        if (head.info != kIndefinite) return piece(head.value);
        std::string whole;
        while (!is_break()) {
            Head part;
            if (!read_head(part) || part.major != head.major || part.info == kIndefinite) return std::nullopt;
            const auto text = piece(part.value);
            if (!text) return std::nullopt;
            whole += *text;
        }
        return builder_.keep(std::move(whole));
    }

    bool container(const Head& head, size_t depth) {
        const bool map = head.major == 5;
        if (!builder_.open(map ? Node::Kind::kMap : Node::Kind::kList)) return false;
        // A count may say anything: each element takes a byte at least, and they are read one by one.
        for (uint64_t i = 0; head.info == kIndefinite ? !is_break() : i < head.value; ++i) {
            if (map && !key(depth)) return false;
            if (!item(depth + 1)) return false;
        }
        return builder_.close();
    }
    bool key(size_t depth) {
        const size_t at = at_;
        Head head;
        if (!read_head(head) || head.major != 3) return false;
        at_ = at;
        return item(depth + 1);
    }

    bool tagged(const Head& head, size_t depth) {
        if (head.info == kIndefinite) return false;
        if (head.value != kTimeTag) return item(depth + 1);
        Head time;
        if (!read_head(time)) return false;
        Node node;
        node.kind = Node::Kind::kTime;
        if (time.major <= 1 && time.info != kIndefinite) {
            node.integer = static_cast<int64_t>(std::min<uint64_t>(time.value, INT64_MAX));
            if (time.major == 1) node.integer = -1 - node.integer;
            return builder_.add(node);
        }
        double ms = 0;
        if (time.major != 7 || !decimal(time, ms) || !std::isfinite(ms) || std::abs(ms) > 9e15) return false;
        node.integer = static_cast<int64_t>(ms);
        return builder_.add(node);
    }

    static bool decimal(const Head& head, double& value) {
        if (head.info == 25) {  // Half: RFC 8949, appendix D.
            const auto half = static_cast<uint32_t>(head.value);
            const int exponent = static_cast<int>(half >> 10U & 31U);
            const double mantissa = half & 0x3ffU;
            value = exponent == 0    ? std::ldexp(mantissa, -24)
                    : exponent != 31 ? std::ldexp(mantissa + 1024, exponent - 25)
                    : mantissa == 0  ? INFINITY
                                     : NAN;
            if ((half & 0x8000U) != 0) value = -value;
            return true;
        }
        if (head.info == 26) value = static_cast<double>(std::bit_cast<float>(static_cast<uint32_t>(head.value)));
        if (head.info == 27) value = std::bit_cast<double>(head.value);
        return head.info == 26 || head.info == 27;
    }
    bool simple(const Head& head) {
        Node node;
        if (head.info == 20 || head.info == 21) {
            node.kind = Node::Kind::kBoolean;
            node.boolean = head.info == 21;
        } else if (head.info == 22 || head.info == 23) {
            node.kind = Node::Kind::kNull;
        } else {
            node.kind = Node::Kind::kDecimal;
            if (!decimal(head, node.decimal)) return false;
        }
        return builder_.add(node);
    }

    NodeBuilder& builder_;
    std::string_view body_;
    size_t at_ = 0;
};

}  // namespace

bool add_cbor(NodeBuilder& builder, std::string_view body) {
    CborReader reader(builder, body);
    return reader.item(0) && reader.at_end();
}

}  // namespace eagre::gateway
