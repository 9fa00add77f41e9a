#include "tools/eagre/inspect/segment_file.h"

#include <algorithm>

#include "dataplane/journal/segment_order.h"

namespace eagre::inspect {
namespace {

using journal::kPageBytes;

// Structures that stand for themselves fit one sector; the rest of their block is zero.
constexpr size_t kStructureBytes = 512;

void judge_head(SegmentFile& segment, std::span<const std::byte> block) {
    segment.header = journal::load<journal::SegmentHeader>(block.data());
    segment.head_rest_zero = all_zero(block.subspan(kStructureBytes));
    if (journal::verify(segment.header)) {
        segment.head = segment.header.format_version > journal::kFormatVersionMax
                           ? SegmentFile::Head::kNewerVersion
                           : SegmentFile::Head::kGood;
    } else {
        segment.head = all_zero(block) ? SegmentFile::Head::kEmpty : SegmentFile::Head::kDamaged;
    }
}

void judge_tail(SegmentFile& segment, std::span<const std::byte> block) {
    segment.trailer = journal::load<journal::Trailer>(block.data());
    segment.tail_rest_zero = all_zero(block.subspan(kStructureBytes));
    if (!journal::verify(segment.trailer)) {
        segment.tail = all_zero(block) ? SegmentFile::Tail::kAbsent : SegmentFile::Tail::kDamaged;
        return;
    }
    const bool this_life = segment.trailer.segment_number == segment.header.segment_number &&
                           segment.trailer.incarnation == segment.header.incarnation;
    if (!this_life) {
        segment.tail = SegmentFile::Tail::kAbsent;
    } else {
        segment.tail = journal::trailer_belongs(segment.trailer, segment.header)
                           ? SegmentFile::Tail::kSealed
                           : SegmentFile::Tail::kDamaged;
    }
}

}  // namespace

SegmentFile read_segment_ends(const std::string& path) {
    const InputFile file(path);
    SegmentFile segment;
    segment.path = path;
    segment.size_bytes = file.size_bytes();
    std::vector<std::byte> block(kPageBytes);
    std::vector<Unreadable> unreadable;
    file.read(0, block, unreadable);
    judge_head(segment, block);
    file.read(segment.size_bytes >= 2 * kPageBytes ? segment.size_bytes - kPageBytes : 0, block,
              unreadable);
    judge_tail(segment, block);
    return segment;
}

void SegmentImage::load(const SegmentFile& segment, uint64_t end_bytes) {
    const InputFile file(segment.path);
    bytes_.resize(std::min(end_bytes, segment.size_bytes));
    unreadable_.clear();
    file.read(0, bytes_, unreadable_);
}

}  // namespace eagre::inspect
