#include "dataplane/journal/clean_plan.h"

#include <algorithm>

namespace eagre::journal {
namespace {

// What is younger may be dead soon without anybody moving it: at this age a segment counts half.
constexpr double kAgeNs = 60e9;

/// What a relocated segment can take of runs like those in `segment`: its footer and the ends of commits take room, too.
uint64_t capacity_of(const Segment& segment) {
    const uint64_t footer_bytes = segment.header.segment_bytes - segment.trailer.footer_offset;
    const uint64_t room = segment.header.segment_bytes - kSegmentDataOffset - footer_bytes;
    return room - room / 64;
}

bool follows(const CleanView& view, size_t index) {
    const Segment& before = *view.segments[index - 1];
    return view.gaps_allowed || last_number(before.header) + 1 == view.segments[index]->number();
}

/// Segments [first, end) can be moved together.
struct Stretch {
    size_t first;
    size_t end;
};

Stretch next_stretch(const CleanView& view, size_t from) {
    while (from < view.movable_end && !movable(*view.segments[from], view.now_ns)) ++from;
    size_t end = from;
    while (end < view.movable_end && movable(*view.segments[end], view.now_ns) && (end == from || follows(view, end))) ++end;
    return {from, end};
}

struct Choice {
    double score = 0;
    CleanPlan plan;
};

/// What it would be worth to begin at `first`: dead bytes that go, over bytes read and written, more for older ones
/// (the cost-benefit rule of log-structured file systems).
Choice weigh(const CleanView& view, size_t first, size_t end) {
    const uint64_t capacity = capacity_of(*view.segments[first]);
    uint64_t filled = 0;
    size_t whole = 0;
    double part = 0;
    for (size_t i = first; i < end && whole < kCleanSourcesMax; ++i) {
        const uint64_t alive = view.segments[i]->alive_bytes;
        if (filled + alive > capacity) {
            part = static_cast<double>(capacity - filled) / static_cast<double>(alive);
            filled = capacity;
            break;
        }
        filled += alive;
        ++whole;
    }
    // Alone, and not filled up from the next: only the file would be another one.
    if (whole == 0 || (whole == 1 && part == 0)) return {};
    const double span = static_cast<double>(whole) + part;
    const double moved = static_cast<double>(filled) / static_cast<double>(capacity);
    const uint64_t last_ns = view.segments[first + whole - 1]->trailer.last_arrival_ns;
    const double age_ns = static_cast<double>(view.now_ns - std::min(view.now_ns, last_ns));
    const double youth = age_ns / (age_ns + kAgeNs);
    return {(span - 1) / (span + moved) * (0.1 + youth), {first, whole + (part > 0 ? 1 : 0)}};
}

}  // namespace

bool movable(const Segment& segment, uint64_t now_ns) {
    if (segment.dies_ns < now_ns + kWorthMovingNs) return false;
    return segment.state == Segment::State::kSealed && !segment.dying && !segment.unmovable &&
           segment.alive_bytes != Segment::kAliveUnknown;
}

SpaceUsed measure_space(const CleanView& view) {
    SpaceUsed space;
    for (const Segment* segment : view.segments) {
        space.used_bytes += segment->header.segment_bytes;
        const bool known = segment->alive_bytes != Segment::kAliveUnknown;
        if (segment->state == Segment::State::kUnindexed || segment->unmovable) ++space.damaged_count;
        if (segment->dying) continue;
        space.alive_bytes += known ? segment->alive_bytes
                                   : segment->durable_end - std::min(segment->durable_end, kSegmentDataOffset);
    }
    return space;
}

CleanPlan choose_sources(const CleanView& view) {
    uint64_t alive = 0;
    uint64_t used = 0;
    for (size_t i = 0; i < view.movable_end; ++i) {
        if (!movable(*view.segments[i], view.now_ns)) continue;
        alive += view.segments[i]->alive_bytes;
        used += view.segments[i]->header.segment_bytes;
    }
    if (used <= alive / 100 * kCleanUsedPercent) return {};
    Choice best;
    for (Stretch stretch = next_stretch(view, 0); stretch.first < stretch.end;
         stretch = next_stretch(view, stretch.end)) {
        // Whole segments go or nothing does: what is dead from here on must be more than one of them.
        uint64_t dead = 0;
        for (size_t i = stretch.end; i-- > stretch.first;) {
            const Segment& segment = *view.segments[i];
            const uint64_t capacity = capacity_of(segment);
            dead += capacity - std::min(capacity, segment.alive_bytes);
            if (dead < capacity) continue;
            const Choice choice = weigh(view, i, stretch.end);
            if (choice.score > best.score) best = choice;
        }
    }
    return best.plan;
}

}  // namespace eagre::journal
