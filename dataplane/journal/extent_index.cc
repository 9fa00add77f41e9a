#include "dataplane/journal/extent_index.h"

#include "wire/base/assert.h"

namespace eagre::journal {
namespace {

// What one extent may span before the table has been full for the first time.
constexpr uint64_t kGapBytes = 4096;
constexpr uint64_t kSpanBytes = 256 * 1024;
constexpr uint64_t kSpanNs = 100'000'000;
constexpr uint32_t kDoublingsMax = 40;

constexpr uint64_t scaled(uint64_t limit, uint32_t doublings) {
    return doublings >= 24 ? UINT64_MAX : limit << doublings;
}

}  // namespace

ExtentIndex::ExtentIndex(uint32_t extent_count_max, uint32_t shard_count_max)
    : extents_(make_raw_array<LiveExtent>(extent_count_max)),
      heads_(std::make_unique<Heads[]>(shard_count_max)),
      capacity_(extent_count_max),
      shard_count_max_(shard_count_max) {}

void ExtentIndex::reset() {
    for (uint32_t i = 0; i < count_; ++i) heads_[extents_[i].shard_slot] = {};
    count_ = 0;
    doublings_ = 0;
}

bool ExtentIndex::joins(const LiveExtent& before, const Extent& next) const {
    const Extent& extent = before.extent;
    const uint64_t span = next.end_bytes() - extent.offset_bytes();
    return extent.end_sequence() == next.first_sequence &&
           next.offset_bytes() - extent.end_bytes() <= scaled(kGapBytes, doublings_) &&
           span <= scaled(kSpanBytes, doublings_) && span <= UINT32_MAX / 2 &&
           next.arrival_ns - extent.arrival_ns <= scaled(kSpanNs, doublings_);
}

void ExtentIndex::add(const Run& run) {
    EAGRE_ASSERT_LT(run.shard_slot, shard_count_max_);
    const Extent extent{
        run.first_sequence, run.arrival_ns,   static_cast<uint32_t>(run.offset_bytes / 8),
        run.bytes,          run.record_count, 0};
    const LiveExtent added{extent, run.shard_slot, 0, 0, 0, 0, run.bytes, run.arrival_ns};
    append(added);
    if (full()) compact();
}

void ExtentIndex::append(const LiveExtent& added) {
    Heads& heads = heads_[added.shard_slot];
    if (heads.last != 0) {
        LiveExtent& last = extents_[heads.last - 1];
        if (joins(last, added.extent)) {
            last.extent.bytes =
                static_cast<uint32_t>(added.extent.end_bytes() - last.extent.offset_bytes());
            last.extent.record_count += added.extent.record_count;
            last.run_bytes += added.run_bytes;
            last.last_arrival_ns = added.last_arrival_ns;
            return;
        }
    }
    EAGRE_ASSERT_LT(count_, capacity_);
    const uint32_t link = ++count_;
    LiveExtent& extent = extents_[link - 1];
    extent = added;
    extent.previous = heads.last;
    extent.next = 0;
    extent.jump = heads.last;
    extent.depth = 0;
    if (heads.last == 0) {
        heads.first = link;
    } else {
        LiveExtent& before = extents_[heads.last - 1];
        before.next = link;
        extent.depth = before.depth + 1;
        if (before.jump != 0) {
            const LiveExtent& middle = extents_[before.jump - 1];
            if (middle.jump != 0 &&
                before.depth - middle.depth == middle.depth - extents_[middle.jump - 1].depth) {
                extent.jump = middle.jump;
            }
        }
    }
    heads.last = link;
}

void ExtentIndex::compact() {
    // Merging keeps the order of first offsets, and each step reads an extent before it can be
    // overwritten.
    while (count_ > capacity_ / 2 && doublings_ < kDoublingsMax) {
        ++doublings_;
        const uint32_t before = count_;
        for (uint32_t i = 0; i < before; ++i) heads_[extents_[i].shard_slot] = {};
        count_ = 0;
        for (uint32_t i = 0; i < before; ++i) {
            const LiveExtent extent = extents_[i];
            append(extent);
        }
    }
}

uint32_t ExtentIndex::first_of(uint32_t shard_slot) const {
    return heads_[shard_slot].first - 1;
}

uint32_t ExtentIndex::last_of(uint32_t shard_slot) const {
    return heads_[shard_slot].last - 1;
}

uint32_t ExtentIndex::find(uint32_t shard_slot, uint64_t sequence) const {
    uint32_t link = heads_[shard_slot].last;
    if (link == 0 || extents_[link - 1].extent.end_sequence() <= sequence) return kNone;
    // Invariant: the extent at `link` ends behind `sequence`. Go back while an earlier one does
    // too.
    for (;;) {
        const LiveExtent& extent = extents_[link - 1];
        if (extent.jump != 0 && extents_[extent.jump - 1].extent.end_sequence() > sequence) {
            link = extent.jump;
        } else if (extent.previous != 0 &&
                   extents_[extent.previous - 1].extent.end_sequence() > sequence) {
            link = extent.previous;
        } else {
            return link - 1;
        }
    }
}

uint32_t ExtentIndex::find_time(uint32_t shard_slot, uint64_t arrival_ns) const {
    uint32_t link = heads_[shard_slot].last;
    while (link != 0 && extents_[link - 1].extent.arrival_ns >= arrival_ns) {
        const LiveExtent& extent = extents_[link - 1];
        const bool jump =
            extent.jump != 0 && extents_[extent.jump - 1].extent.arrival_ns >= arrival_ns;
        link = jump ? extent.jump : extent.previous;
    }
    return link - 1;
}

}  // namespace eagre::journal
