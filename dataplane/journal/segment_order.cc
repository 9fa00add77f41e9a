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

std::vector<size_t> order_segments(std::span<const SegmentHeader> headers) {
    std::vector<size_t> order(headers.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
        return std::pair(headers[a].incarnation, headers[a].segment_number) <
               std::pair(headers[b].incarnation, headers[b].segment_number);
    });
    uint64_t above = UINT64_MAX;
    std::vector<size_t> kept;
    for (size_t i = order.size(); i-- > 0;) {
        if (headers[order[i]].segment_number >= above) continue;
        above = headers[order[i]].segment_number;
        kept.push_back(order[i]);
    }
    std::reverse(kept.begin(), kept.end());
    return kept;
}

uint64_t recorded_cut(const SegmentHeader& segment, const SegmentHeader& next) {
    const bool exact = next.incarnation > segment.incarnation &&
                       next.predecessor.segment_number == segment.segment_number;
    return exact ? next.predecessor.cut_bytes : 0;
}

}  // namespace eagre::journal
