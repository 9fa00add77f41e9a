#pragma once
// The segments of a journal that hold runs, oldest first, and the search in them: which segment,
// which extent. Sealed segments answer from footer pages, the live one from the extent index.

#include <cstdint>
#include <vector>

#include "dataplane/journal/extent_index.h"
#include "dataplane/journal/facts.h"
#include "dataplane/journal/page_cache.h"

namespace eagre::journal {

/// A stretch of a segment to read, in the order of a shard's records.
struct Stretch {
    Segment* segment = nullptr;
    uint64_t offset_bytes = 0;
    uint64_t end_bytes = 0;
    uint64_t first_sequence =
        0;  // Of its first run of the shard; 0: not known (an unindexed segment).
    uint64_t end_sequence = 0;  // Behind its last run; 0: not known.
    uint32_t index = 0;         // Of the extent.
    uint32_t index_end = 0;     // Behind the shard's last extent of a sealed segment.
};

class SegmentChain {
  public:
    SegmentChain(PageCache& pages, const ExtentIndex& live_extents)
        : pages_(pages), live_extents_(live_extents) {}

    void append(Segment& segment);
    void erase(Segment& segment);
    const std::vector<Segment*>& segments() const { return segments_; }
    /// `segment` takes the place of `count` segments from the `first` on. Their pages stay until forget().
    void replace(size_t first, size_t count, Segment& segment);
    /// A segment that was replaced, and that nobody reads any more.
    void forget(const Segment& segment) { pages_.forget(segment); }
    /// A file whose header cannot be read lies in the directory: any number that is missing may be its.
    void note_headless() { ++headless_count_; }
    uint32_t headless_count() const { return headless_count_; }

    struct Wanted {
        uint64_t sequence = 0;
        /// Unindexed segments up to this one have been walked in vain.
        uint64_t walked_number = 0;
    };
    /// The stretch that holds a record of the shard, else the next behind it; `segment` null when
    /// there is none. Errors: kBusy (pages are being read: ask again after poll()).
    Result<Stretch> find_sequence(const ShardState& shard, const Wanted& wanted);
    /// The stretch behind `stretch` in the same segment; `segment` null at its end. Errors: kBusy.
    Result<Stretch> next_in_segment(const ShardState& shard, const Stretch& stretch);
    /// A sequence number of the shard from which a search for its first run at or after
    /// `arrival_ns` may begin: all before it are older. Errors: kBusy.
    Result<uint64_t> find_time(const ShardState& shard, uint64_t arrival_ns);
    /// The shard's entry in the directory of a segment with a footer; entry.shard 0 when it has
    /// none. Errors: kBusy, kDamaged.
    Result<DirectoryEntry> directory_entry(Segment& segment, uint64_t shard);
    /// By position, `index` below the trailer's counts. Errors: kBusy, kDamaged.
    Result<DirectoryEntry> directory_at(Segment& segment, uint32_t index);
    Result<Extent> extent(Segment& segment, uint32_t index);
    Result<const std::byte*> page(Segment& segment, FooterSection section, uint32_t index) {
        return pages_.get(segment, section, index);
    }

    bool indexed(const Segment& segment) const {
        return segment.state == Segment::State::kSealed ||
               segment.state == Segment::State::kSealing;
    }

  private:
    struct Place {
        size_t index = 0;  // In segments_; their number when there is none.
        DirectoryEntry entry;
    };
    template <class Behind>
    Result<Place> first_indexed(uint64_t shard, Behind behind);
    Result<Stretch> in_segment(Segment& segment, const DirectoryEntry& entry, uint64_t sequence);
    Result<Stretch> in_live(const ShardState& shard, uint64_t sequence);

    PageCache& pages_;
    const ExtentIndex& live_extents_;
    std::vector<Segment*> segments_;
    uint32_t headless_count_ = 0;
};

}  // namespace eagre::journal
