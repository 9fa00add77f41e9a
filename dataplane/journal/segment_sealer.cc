#include "dataplane/journal/segment_sealer.h"

#include "wire/base/assert.h"

namespace eagre::journal {

SegmentSealer::SegmentSealer(Context& context, const FooterCounts& counts_max)
    : context_(context), builder_(counts_max) {}

Status SegmentSealer::start() {
    auto page = io::AlignedBuffer::create(kPageBytes);
    if (!page) return page.error();
    trailer_page_ = std::move(*page);
    return {};
}

void SegmentSealer::begin(Segment& segment, const End& end, const FooterSource& source) {
    EAGRE_ASSERT(!busy());
    segment_ = &segment;
    segment.state = Segment::State::kSealing;
    Trailer& trailer = segment.trailer;
    trailer = Trailer{};
    trailer.segment_number = segment.number();
    trailer.incarnation = segment.header.incarnation;
    trailer.end_bytes = end.end_bytes;
    trailer.commit_number = end.commit_number;
    trailer.commit_crc = end.commit_crc;
    trailer.flags = end.flags;
    builder_.build(source, segment.header.segment_bytes, trailer);
    std::memset(trailer_page_.data(), 0, kPageBytes);
    std::memcpy(trailer_page_.data(), &trailer, sizeof(trailer));
    context_.stats.journal_bytes += builder_.pages().size() + 2 * kPageBytes;
    stage_ = Stage::kWaiting;
}

void SegmentSealer::submit(DeviceOp& op, uint64_t offset_bytes, std::span<std::byte> bytes) {
    op.kind = io::StorageOp::Kind::kWrite;
    op.file = segment_->file;
    op.offset_bytes = offset_bytes;
    op.buffer = bytes.data();
    op.length_bytes = static_cast<uint32_t>(bytes.size());
    context_.stats.device_written_bytes += bytes.size();
    context_.device.submit(op, this);
}

void SegmentSealer::poll(uint64_t durable_number) {
    if (!busy() || stage_ != Stage::kWaiting || context_.failed()) return;
    if (durable_number < segment_->trailer.commit_number) return;
    stage_ = Stage::kWriting;
    if (!builder_.pages().empty())
        submit(pages_op_, segment_->trailer.footer_offset, builder_.pages());
    submit(trailer_op_, segment_->header.segment_bytes - kPageBytes,
           trailer_page_.span().first(kPageBytes));
}

void SegmentSealer::on_done(DeviceOp& op, uint64_t /*now_ns*/) {
    if (op.result < 0 || !op.moved_all()) {
        context_.fail();
        return;
    }
    if (&op == &sync_op_) {
        segment_->state = Segment::State::kSealed;
        segment_ = nullptr;
    } else if (!pages_op_.under_way() && !trailer_op_.under_way()) {
        stage_ = Stage::kSyncing;
        sync_op_.kind = io::StorageOp::Kind::kSync;
        sync_op_.file = segment_->file;
        sync_op_.length_bytes = 0;
        context_.device.submit(sync_op_, this);
    }
}

}  // namespace eagre::journal
