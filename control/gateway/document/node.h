#pragma once
// A request's body as a tree, whichever encoding it came in: what JSON and CBOR have in common. Nodes and what they point to belong
// to the Document that made them and die with its next parse.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <string_view>

namespace eagre::gateway {

struct Node {
    enum class Kind : uint8_t { kNull, kBoolean, kInteger, kDecimal, kText, kBlob, kTime, kList, kMap };

    Kind kind = Kind::kNull;
    bool boolean = false;
    int64_t integer = 0;             // kTime: ms since 1970.
    double decimal = 0;
    std::string_view text;           // kText (UTF-8), kBlob.
    std::span<const Node> children;  // kList: elements. kMap: key (kText) and value by turns.

    bool is_null() const { return kind == Kind::kNull; }
    /// Of a map; null when it is not there or is sent as null. The last of several with one name counts.
    const Node* member(std::string_view name) const {
        const Node* found = nullptr;
        for (size_t i = 0; kind == Kind::kMap && i + 1 < children.size(); i += 2) {
            if (children[i].text == name) found = &children[i + 1];
        }
        return found == nullptr || found->is_null() ? nullptr : found;
    }
};

/// Of a time as either encoding says it, in ms since 1970.
inline uint64_t time_ms_of(const Node& time) {
    if (time.kind == Node::Kind::kTime) return static_cast<uint64_t>(std::max<int64_t>(0, time.integer));
    const double seconds = time.kind == Node::Kind::kDecimal ? time.decimal : static_cast<double>(time.integer);
    return seconds > 0 ? static_cast<uint64_t>(std::llround(std::min(seconds, 1e15) * 1000)) : 0;
}

/// True when the client only asks what would be.
inline bool wants_dry_run(const Node& input) {
    const Node* dry = input.member("DryRun");
    return dry != nullptr && dry->boolean;
}

}  // namespace eagre::gateway
