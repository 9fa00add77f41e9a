#include "dataplane/journal/stream_usage.h"

#include <algorithm>

#include "wire/base/assert.h"
#include "wire/base/prng.h"

namespace eagre::journal {
namespace {

constexpr size_t kSliceCountMax = 128;
// A slice takes in more until it holds this part of what is stored, and at least so much.
constexpr uint64_t kSlicePart = 32;
constexpr uint64_t kSliceBytesMin = 64 * 1024;

uint64_t share(uint64_t bytes, uint64_t part, uint64_t whole) {
    return static_cast<uint64_t>(static_cast<Uint128>(bytes) * part / whole);
}

}  // namespace

StreamUsage::StreamUsage() {
    slices_.reserve(kSliceCountMax);
}

void StreamUsage::add(uint64_t arrival_ns, uint64_t bytes) {
    stored_bytes_ += bytes;
    if (!slices_.empty()) {
        Slice& last = slices_.back();
        const uint64_t full = std::max(kSliceBytesMin, stored_bytes_ / kSlicePart);
        if (last.bytes < full || arrival_ns <= last.until_ns) {
            last.until_ns = std::max(last.until_ns, arrival_ns);
            last.bytes += bytes;
            return;
        }
    }
    make_room();
    slices_.push_back({arrival_ns, arrival_ns, bytes});
}

void StreamUsage::note(uint64_t from_ns, uint64_t until_ns, uint64_t bytes) {
    if (bytes == 0 || until_ns < floor_ns_) return;
    make_room();
    stored_bytes_ += bytes;
    const auto behind = std::upper_bound(slices_.begin(), slices_.end(), until_ns,
                                         [](uint64_t ns, const Slice& slice) { return ns < slice.until_ns; });
    slices_.insert(behind, {std::min(from_ns, until_ns), until_ns, bytes});
}

// Two neighbours become one: every second slice stays.
void StreamUsage::make_room() {
    if (slices_.size() < kSliceCountMax) return;
    size_t kept = 0;
    for (size_t i = 0; i < slices_.size(); i += 2) {
        Slice slice = slices_[i];
        if (i + 1 < slices_.size()) {
            const Slice& next = slices_[i + 1];
            slice = {std::min(slice.from_ns, next.from_ns), next.until_ns, slice.bytes + next.bytes};
        }
        slices_[kept++] = slice;
    }
    slices_.resize(kept);
}

void StreamUsage::forget_before(uint64_t ns) {
    for (size_t i = 0; i < slices_.size();) {
        Slice& slice = slices_[i];
        if (slice.until_ns < ns) {
            stored_bytes_ -= slice.bytes;
            slices_.erase(slices_.begin() + static_cast<ptrdiff_t>(i));
            continue;
        }
        if (slice.from_ns < ns) {
            const uint64_t gone = share(slice.bytes, ns - slice.from_ns, slice.until_ns - slice.from_ns + 1);
            slice.bytes -= gone;
            stored_bytes_ -= gone;
            slice.from_ns = ns;
        }
        ++i;
    }
}

uint64_t StreamUsage::floor_for(uint64_t bytes) const {
    uint64_t kept = 0;
    for (auto slice = slices_.rbegin(); slice != slices_.rend(); ++slice) {
        if (kept + slice->bytes <= bytes) {
            kept += slice->bytes;
            continue;
        }
        const uint64_t span_ns = slice->until_ns - slice->from_ns;
        return std::min(slice->until_ns + 1 - share(span_ns, bytes - kept, slice->bytes), slices_.back().until_ns);
    }
    return 0;
}

bool StreamUsage::raise_floor(uint64_t ns) {
    if (ns <= floor_ns_) return false;
    floor_ns_ = ns;
    forget_before(ns);
    return true;
}

StreamUsage& StreamUsageTable::take(uint64_t stream) {
    auto& usage = streams_[stream];
    if (usage == nullptr) usage = std::make_unique<StreamUsage>();
    return *usage;
}

StreamUsage* StreamUsageTable::find(uint64_t stream) {
    const auto found = streams_.find(stream);
    return found == streams_.end() ? nullptr : found->second.get();
}

const StreamUsage* StreamUsageTable::find(uint64_t stream) const {
    const auto found = streams_.find(stream);
    return found == streams_.end() ? nullptr : found->second.get();
}

}  // namespace eagre::journal
