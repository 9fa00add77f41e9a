#include "dataplane/journal/segment_chain.h"

#include <algorithm>

#include "wire/base/assert.h"

namespace eagre::journal {
namespace {

Stretch stretch_of(Segment& segment, const Extent& extent) {
    Stretch stretch;
    stretch.segment = &segment;
    stretch.offset_bytes = extent.offset_bytes();
    stretch.end_bytes = extent.end_bytes();
    stretch.first_sequence = extent.first_sequence;
    stretch.end_sequence = extent.end_sequence();
    return stretch;
}

}  // namespace

void SegmentChain::append(Segment& segment) {
    EAGRE_ASSERT(segments_.empty() || segments_.back()->number() < segment.number());
    segments_.push_back(&segment);
}

void SegmentChain::erase(Segment& segment) {
    pages_.forget(segment);
    std::erase(segments_, &segment);
}

void SegmentChain::replace(size_t first, size_t count, Segment& segment) {
    EAGRE_ASSERT_GT(count, 0U);
    EAGRE_ASSERT_LE(first + count, segments_.size());
    EAGRE_ASSERT_EQ(segments_[first]->number(), segment.number());
    EAGRE_ASSERT_EQ(last_number(segments_[first + count - 1]->header), last_number(segment.header));
    const auto begin = segments_.begin() + static_cast<std::ptrdiff_t>(first);
    *begin = &segment;
    segments_.erase(begin + 1, begin + static_cast<std::ptrdiff_t>(count));
}

Result<DirectoryEntry> SegmentChain::directory_at(Segment& segment, uint32_t index) {
    const auto page = pages_.get(segment, FooterSection::kDirectory, index / kDirectoryPerPage);
    if (!page) return page.error();
    return load<DirectoryEntry>(*page + sizeof(PageHeader) +
                                (index % kDirectoryPerPage) * sizeof(DirectoryEntry));
}

Result<DirectoryEntry> SegmentChain::directory_entry(Segment& segment, uint64_t shard) {
    uint32_t low = 0;
    uint32_t high = segment.trailer.shard_count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const auto entry = directory_at(segment, middle);
        if (!entry || entry->shard == shard) return entry;
        if (entry->shard < shard) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return DirectoryEntry{};
}

Result<Extent> SegmentChain::extent(Segment& segment, uint32_t index) {
    const auto page = pages_.get(segment, FooterSection::kExtents, index / kExtentsPerPage);
    if (!page) return page.error();
    return load<Extent>(*page + sizeof(PageHeader) + (index % kExtentsPerPage) * sizeof(Extent));
}

// The first segment with a footer for which `behind(entry)` holds; it holds for all that follow. A
// segment whose pages turn out damaged on the way becomes unindexed, and the search begins anew.
template <class Behind>
Result<SegmentChain::Place> SegmentChain::first_indexed(uint64_t shard, Behind behind) {
    Place found{segments_.size(), {}};
    size_t low = 0;
    size_t high = segments_.size();
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        size_t probe = middle;
        while (probe < high && !indexed(*segments_[probe])) ++probe;
        if (probe == high) {
            high = middle;
            continue;
        }
        const auto entry = directory_entry(*segments_[probe], shard);
        if (!entry && entry.error().code == Errc::kDamaged) {
            segments_[probe]->state = Segment::State::kUnindexed;
            return first_indexed(shard, behind);
        }
        if (!entry) return entry.error();
        if (entry->shard != 0 && behind(*entry)) {
            found = {probe, *entry};
            high = middle;
        } else {
            low = probe + 1;
        }
    }
    return found;
}

Result<Stretch> SegmentChain::in_segment(Segment& segment, const DirectoryEntry& entry,
                                         uint64_t sequence) {
    uint32_t low = entry.extent_index;
    uint32_t high = entry.extent_index + entry.extent_count;
    const uint32_t end = high;
    // First extent that ends behind `sequence`.
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const auto probe = extent(segment, middle);
        if (!probe) return probe.error();
        if (probe->end_sequence() > sequence) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    if (low == end) return Stretch{};
    const auto found = extent(segment, low);
    if (!found) return found.error();
    Stretch stretch = stretch_of(segment, *found);
    stretch.index = low;
    stretch.index_end = end;
    return stretch;
}

Result<Stretch> SegmentChain::in_live(const ShardState& shard, uint64_t sequence) {
    if (segments_.empty() || segments_.back()->state != Segment::State::kLive) return Stretch{};
    const uint32_t index = live_extents_.find(shard.slot, sequence);
    if (index == ExtentIndex::kNone) return Stretch{};
    Stretch stretch = stretch_of(*segments_.back(), live_extents_.at(index).extent);
    stretch.index = index;
    return stretch;
}

Result<Stretch> SegmentChain::find_sequence(const ShardState& shard, const Wanted& wanted) {
    const uint64_t id = shard.facts.shard.value;
    if (shard.segment_first_sequence != 0 && wanted.sequence >= shard.segment_first_sequence) {
        return in_live(shard, wanted.sequence);
    }
    const auto place = first_indexed(
        id, [&](const DirectoryEntry& entry) { return entry.next_sequence > wanted.sequence; });
    if (!place) return place.error();
    // Segments without an index lie between: one of them may hold it, unless the one found says it
    // does itself.
    const bool certain = place->index < segments_.size() && place->entry.extent_count > 0 &&
                         place->entry.first_sequence <= wanted.sequence;
    if (!certain) {
        size_t begin = place->index;
        while (begin > 0 && !indexed(*segments_[begin - 1])) --begin;
        for (size_t i = begin; i < place->index; ++i) {
            Segment& segment = *segments_[i];
            if (segment.state != Segment::State::kUnindexed ||
                segment.number() <= wanted.walked_number)
                continue;
            Stretch stretch;
            stretch.segment = &segment;
            stretch.offset_bytes = kSegmentDataOffset;
            stretch.end_bytes = segment.durable_end;
            return stretch;
        }
    }
    for (size_t i = place->index; i < segments_.size(); ++i) {
        Segment& segment = *segments_[i];
        if (!indexed(segment)) continue;
        const auto entry = directory_entry(segment, id);
        if (!entry) return entry.error();
        const auto stretch = in_segment(segment, *entry, wanted.sequence);
        if (!stretch && stretch.error().code == Errc::kDamaged) {
            segment.state = Segment::State::kUnindexed;
            return Errc::kBusy;
        }
        if (!stretch || stretch->segment != nullptr) return stretch;
    }
    return in_live(shard, wanted.sequence);
}

Result<Stretch> SegmentChain::next_in_segment(const ShardState& shard, const Stretch& stretch) {
    Segment& segment = *stretch.segment;
    if (segment.state == Segment::State::kLive) {
        // Neighbours may have been merged since: ask by sequence.
        return in_live(shard, stretch.end_sequence);
    }
    if (!indexed(segment) || stretch.index + 1 >= stretch.index_end) return Stretch{};
    const auto next = extent(segment, stretch.index + 1);
    if (!next) return next.error();
    Stretch found = stretch_of(segment, *next);
    found.index = stretch.index + 1;
    found.index_end = stretch.index_end;
    return found;
}

Result<uint64_t> SegmentChain::find_time(const ShardState& shard, uint64_t arrival_ns) {
    const auto place = first_indexed(shard.facts.shard.value, [&](const DirectoryEntry& entry) {
        return entry.last_arrival_ns >= arrival_ns;
    });
    if (!place) return place.error();
    // What lies in segments without an index before it is read from where the last index ends.
    uint64_t start = shard.facts.trim_horizon.value;
    size_t before = place->index;
    while (before > 0 && !indexed(*segments_[before - 1])) --before;
    if (before > 0) {
        const auto entry = directory_entry(*segments_[before - 1], shard.facts.shard.value);
        if (!entry) return entry.error();
        if (entry->shard != 0) start = std::max(start, entry->next_sequence);
    }
    if (place->index < segments_.size()) {
        uint32_t low = place->entry.extent_index;
        uint32_t high = low + place->entry.extent_count;
        // Behind the last extent that began before the time.
        while (low < high) {
            const uint32_t middle = low + (high - low) / 2;
            const auto probe = extent(*segments_[place->index], middle);
            if (!probe) return probe.error();
            if (probe->arrival_ns < arrival_ns) {
                low = middle + 1;
                start = std::max(start, probe->first_sequence);
            } else {
                high = middle;
            }
        }
        return start;
    }
    const uint32_t live = live_extents_.find_time(shard.slot, arrival_ns);
    if (live != ExtentIndex::kNone)
        start = std::max(start, live_extents_.at(live).extent.first_sequence);
    return start;
}

}  // namespace eagre::journal
