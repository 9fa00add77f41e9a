#pragma once
// Seals a full segment behind the writer's back: footer pages and trailer are written once its last
// commit is durable, then synced. One at a time; the writer does not leave a second segment before
// the first is sealed, so that recovery never meets more than two without a footer.

#include <cstdint>

#include "dataplane/io/memory.h"
#include "dataplane/journal/context.h"
#include "dataplane/journal/footer.h"
#include "dataplane/journal/segment_pool.h"

namespace eagre::journal {

class SegmentSealer final : public OpOwner {
  public:
    SegmentSealer(Context& context, const FooterCounts& counts_max);
    static constexpr size_t kOpCount = 3;
    /// Errors: kIo (memory).
    Status start();

    struct End {
        uint64_t end_bytes;  // Behind the last commit.
        uint64_t commit_number;
        uint32_t commit_crc;
        uint32_t flags;  // kTrailerClosed.
    };
    /// Takes the snapshot now, from `source` as it is after the segment's last run. Not while
    /// busy().
    void begin(Segment& segment, const End& end, const FooterSource& source);
    /// Writes once everything in the segment is durable.
    void poll(uint64_t durable_number);
    bool busy() const { return segment_ != nullptr; }
    /// A footer page of the segment that is being sealed.
    const std::byte* page_at(uint64_t offset_bytes) const {
        return builder_.page_at(segment_->trailer, offset_bytes);
    }
    void on_done(DeviceOp& op, uint64_t now_ns) override;

  private:
    enum class Stage : uint8_t { kWaiting, kWriting, kSyncing };
    void submit(DeviceOp& op, uint64_t offset_bytes, std::span<std::byte> bytes);

    Context& context_;
    FooterBuilder builder_;
    io::AlignedBuffer trailer_page_;
    Segment* segment_ = nullptr;
    Stage stage_ = Stage::kWaiting;
    DeviceOp pages_op_;
    DeviceOp trailer_op_;
    DeviceOp sync_op_;
};

}  // namespace eagre::journal
