#pragma once
// One slot of a journal, seen from outside: what its header and trailer blocks say, and its bytes.

#include <string>
#include <vector>

#include "dataplane/journal/segment_format.h"
#include "tools/eagre/inspect/findings.h"
#include "tools/eagre/inspect/input_file.h"

namespace eagre::inspect {

struct SegmentFile {
    enum class Head : uint8_t {
        kGood,
        kEmpty,         // All zeros: its making was interrupted.
        kDamaged,       // Its CRC is wrong, or it can't be read.
        kNewerVersion,  // Good, of a version that we don't know.
    };
    enum class Tail : uint8_t {
        kSealed,   // A trailer of this life of the segment.
        kAbsent,   // Zeros, or the trailer of an earlier life: not sealed.
        kDamaged,  // Neither: rot, or it can't be read.
    };

    std::string path;
    uint64_t size_bytes = 0;
    Head head = Head::kDamaged;
    Tail tail = Tail::kDamaged;
    journal::SegmentHeader header;
    journal::Trailer trailer;
    bool head_rest_zero = true;  // The rest of the header block.
    bool tail_rest_zero = true;  // The rest of the trailer block; told of sealed segments only.

    bool ready() const {
        return head == Head::kGood && header.kind == journal::SegmentKind::kReady;
    }
    bool relocated() const {
        return head == Head::kGood && header.kind == journal::SegmentKind::kRelocated;
    }
    bool counts() const { return head == Head::kGood && !ready(); }
};

/// Reads header and trailer blocks. Throws std::runtime_error when the file can't be opened.
SegmentFile read_segment_ends(const std::string& path);

/// The bytes of a segment from offset 0 to `end_bytes`; reused for many, so that memory is taken
/// once.
class SegmentImage {
  public:
    void load(const SegmentFile& segment, uint64_t end_bytes);
    std::span<const std::byte> bytes() const { return bytes_; }
    const std::vector<Unreadable>& unreadable() const { return unreadable_; }

  private:
    std::vector<std::byte> bytes_;
    std::vector<Unreadable> unreadable_;
};

}  // namespace eagre::inspect
