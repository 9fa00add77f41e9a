#include "dataplane/journal/segment_order.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <numeric>
#include <utility>

#include "dataplane/journal/footer.h"

namespace eagre::journal {

bool parse_slot_name(const char* name, uint32_t& index) {
    unsigned number = 0;
    char rest[8] = {};
    if (std::sscanf(name, "segment-%u.%7s", &number, rest) != 2 || std::strcmp(rest, "eagre") != 0)
        return false;
    index = number;
    return true;
}

bool trailer_belongs(const Trailer& trailer, const SegmentHeader& header) {
    return verify(trailer) && trailer.segment_number == header.segment_number &&
           trailer.incarnation == header.incarnation && trailer.end_bytes <= trailer.footer_offset &&
           trailer.footer_offset + FooterPlan{trailer}.page_count_all() * kPageBytes + kPageBytes ==
               header.segment_bytes;
}

namespace {

bool relocated(const SegmentHeader& header) {
    return header.kind == SegmentKind::kRelocated;
}

/// Newest first: by incarnation, then by what rises within one.
std::vector<size_t> newest_first(std::span<const SegmentHeader> headers, bool of_relocated) {
    std::vector<size_t> order;
    for (size_t i = 0; i < headers.size(); ++i) {
        if (relocated(headers[i]) == of_relocated) order.push_back(i);
    }
    const auto age = [&](size_t i) {
        const SegmentHeader& header = headers[i];
        return std::pair(header.incarnation, of_relocated ? header.relocation.serial : header.segment_number);
    };
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return age(a) > age(b); });
    return order;
}

}  // namespace

bool replaces(const SegmentHeader& header, const SegmentHeader& other) {
    if (!relocated(header) || header.incarnation < other.incarnation) return false;
    if (relocated(other) && std::pair(header.incarnation, header.relocation.serial) <=
                                std::pair(other.incarnation, other.relocation.serial)) {
        return false;
    }
    return other.segment_number >= header.segment_number &&
           other.segment_number <= last_number(header);
}

std::vector<size_t> order_segments(std::span<const SegmentHeader> headers) {
    uint64_t above = UINT64_MAX;
    std::vector<size_t> normal;
    for (const size_t i : newest_first(headers, false)) {
        if (headers[i].segment_number >= above) continue;
        above = headers[i].segment_number;
        normal.push_back(i);
    }
    std::vector<size_t> kept;
    const auto is_replaced = [&](size_t i) {
        return std::any_of(kept.begin(), kept.end(),
                           [&](size_t k) { return replaces(headers[k], headers[i]); });
    };
    for (const size_t i : newest_first(headers, true)) {
        const bool cut_off = std::any_of(normal.begin(), normal.end(), [&](size_t n) {
            return headers[n].incarnation > headers[i].incarnation &&
                   headers[n].segment_number <= last_number(headers[i]);
        });
        if (!cut_off && !is_replaced(i)) kept.push_back(i);
    }
    const size_t relocated_count = kept.size();
    for (const size_t i : normal) {
        const auto end = kept.begin() + static_cast<std::ptrdiff_t>(relocated_count);
        const bool replaced = std::any_of(
            kept.begin(), end, [&](size_t k) { return replaces(headers[k], headers[i]); });
        if (!replaced) kept.push_back(i);
    }
    std::sort(kept.begin(), kept.end(), [&](size_t a, size_t b) {
        return headers[a].segment_number < headers[b].segment_number;
    });
    return kept;
}

uint64_t recorded_cut(const SegmentHeader& segment, const SegmentHeader& next) {
    if (relocated(segment)) return segment.relocation.end_bytes;
    const bool exact = next.incarnation > segment.incarnation &&
                       next.predecessor.segment_number == segment.segment_number;
    return exact ? next.predecessor.cut_bytes : 0;
}

}  // namespace eagre::journal
