#pragma once
// Footer pages of sealed segments, read on demand, verified, a bounded number kept. Lookups are
// written as loops over cached pages that start again from the beginning when one was missing: no
// state, no allocation.

#include <cstdint>
#include <vector>

#include "dataplane/io/memory.h"
#include "dataplane/journal/context.h"
#include "dataplane/journal/footer.h"
#include "dataplane/journal/segment_pool.h"
#include "dataplane/journal/segment_sealer.h"

namespace eagre::journal {

class PageCache final : public OpOwner {
  public:
    PageCache(Context& context, const SegmentSealer& sealer);
    static constexpr uint32_t kPageCount = 512;
    static constexpr size_t kOpCount = kPageCount;
    /// Errors: kIo (memory).
    Status start();

    /// The page, valid until the next poll of the journal or get(). Errors: kBusy (being read: ask
    /// again after poll()), kDamaged (does not verify; the segment must be walked instead).
    Result<const std::byte*> get(Segment& segment, FooterSection section, uint32_t page_index);
    /// No read of the segment is under way and none of its pages is kept.
    void forget(const Segment& segment);
    void on_done(DeviceOp& op, uint64_t now_ns) override;

  private:
    struct Slot {
        Segment* segment = nullptr;
        uint64_t used = 0;
        PageIdentity identity{};
        bool damaged = false;
        DeviceOp op;
    };
    std::byte* bytes_of(const Slot& slot) {
        return memory_.data() + static_cast<size_t>(&slot - slots_.data()) * kPageBytes;
    }

    Context& context_;
    const SegmentSealer& sealer_;
    io::AlignedBuffer memory_;
    std::vector<Slot> slots_;
    std::vector<uint64_t>
        keys_;  // Of slots_, apart, so that a search stays within 4 KiB of memory.
    uint64_t clock_ = 0;
};

}  // namespace eagre::journal
