#include "dataplane/journal/page_cache.h"

#include "wire/base/assert.h"

namespace eagre::journal {
namespace {

/// Never 0: offset 0 is no footer page.
uint64_t key_of(const Segment& segment, uint64_t offset_bytes) {
    return (uint64_t{segment.file.value} << 32U) | (offset_bytes / kPageBytes);
}

}  // namespace

PageCache::PageCache(Context& context, const SegmentSealer& sealer)
    : context_(context), sealer_(sealer), slots_(kPageCount), keys_(kPageCount) {}

Status PageCache::start() {
    auto memory = io::AlignedBuffer::create(kPageCount * kPageBytes);
    if (!memory) return memory.error();
    memory_ = std::move(*memory);
    return {};
}

Result<const std::byte*> PageCache::get(Segment& segment, FooterSection section,
                                        uint32_t page_index) {
    const FooterPlan plan{segment.trailer};
    EAGRE_ASSERT_LT(page_index, plan.page_count(section));
    const uint64_t offset = plan.page_offset(section, page_index);
    if (segment.state == Segment::State::kSealing) return sealer_.page_at(offset);
    const uint64_t key = key_of(segment, offset);
    for (size_t i = 0; i < keys_.size(); ++i) {
        if (keys_[i] != key) continue;
        Slot& slot = slots_[i];
        if (slot.op.under_way()) return Errc::kBusy;
        slot.used = ++clock_;
        if (slot.damaged) return Errc::kDamaged;
        return static_cast<const std::byte*>(bytes_of(slot));
    }
    Slot* victim = nullptr;
    for (Slot& slot : slots_) {
        if (!slot.op.under_way() && (victim == nullptr || slot.used < victim->used)) victim = &slot;
    }
    if (victim == nullptr) return Errc::kBusy;
    keys_[static_cast<size_t>(victim - slots_.data())] = key;
    victim->segment = &segment;
    victim->identity = {segment.number(), segment.header.incarnation, section, page_index};
    victim->used = ++clock_;
    victim->damaged = false;
    victim->op.tag = static_cast<uint64_t>(victim - slots_.data());
    victim->op.kind = io::StorageOp::Kind::kRead;
    victim->op.file = segment.file;
    victim->op.offset_bytes = offset;
    victim->op.buffer = bytes_of(*victim);
    victim->op.length_bytes = kPageBytes;
    ++segment.pins;
    context_.stats.device_read_bytes += kPageBytes;
    context_.device.submit(victim->op, this);
    return Errc::kBusy;
}

void PageCache::forget(const Segment& segment) {
    for (Slot& slot : slots_) {
        if (slot.segment != &segment) continue;
        EAGRE_ASSERT(!slot.op.under_way());
        slot.segment = nullptr;
        slot.used = 0;
        keys_[static_cast<size_t>(&slot - slots_.data())] = 0;
    }
}

void PageCache::on_done(DeviceOp& op, uint64_t /*now_ns*/) {
    Slot& slot = slots_[op.tag];
    --slot.segment->pins;
    slot.damaged = !op.moved_all() || !verify_page(bytes_of(slot), slot.identity);
}

}  // namespace eagre::journal
