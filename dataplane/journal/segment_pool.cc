#include "dataplane/journal/segment_pool.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "wire/base/assert.h"
#include "wire/base/limits.h"

namespace eagre::journal {
namespace {

// Of one write of zeros: while a producer waits for it; while nobody waits, or beside commits that are as large; beside small commits, each
// of which it may delay.
constexpr uint64_t kZeroBytesInHurry = 2 * kMiB;
constexpr uint64_t kZeroBytes = kMiB;
constexpr uint64_t kZeroBytesBesideSmall = 256 * kKiB;
constexpr uint64_t kDiskFullRetryNs = 100'000'000;
constexpr uint64_t kNsPerS = 1'000'000'000;

}  // namespace

SegmentPool::SegmentPool(Context& context) : context_(context) {}

// What it took of the box's limit is free for whoever opens the journal next.
SegmentPool::~SegmentPool() {
    if (context_.options.budget != nullptr && segments_.size() > kGuaranteedSegments)
        context_.options.budget->shared_bytes -= (segments_.size() - kGuaranteedSegments) * context_.options.segment_bytes;
}

Status SegmentPool::start() {
    for (auto [buffer, bytes] :
         {std::pair{&zeros_, std::min(kZeroBytesInHurry, context_.options.segment_bytes)}, std::pair{&header_page_, kPageBytes},
          std::pair{&mark_page_, kPageBytes}}) {
        auto made = io::AlignedBuffer::create(bytes);
        if (!made) return made.error();
        *buffer = std::move(*made);
    }
    // Written to, or every page of it would be the one page of zeros that the kernel shares: 512 pieces for the device instead of one.
    std::memset(zeros_.data(), 0, zeros_.bytes());
    return {};
}

Segment& SegmentPool::adopt(std::unique_ptr<Segment> segment) {
    segments_.push_back(std::move(segment));
    if (context_.options.budget != nullptr && segments_.size() > kGuaranteedSegments)
        context_.options.budget->shared_bytes += context_.options.segment_bytes;
    Segment& adopted = *segments_.back();
    // Lists never outgrow the number of files, so that moving between them does not allocate.
    ready_.reserve(segments_.capacity());
    recycled_.reserve(segments_.capacity());
    if (adopted.state == Segment::State::kReady) ready_.push_back(&adopted);
    return adopted;
}

void SegmentPool::remove(Segment& segment) {
    context_.device.files().close(segment.file);
    (void)context_.device.files().remove(segment.path);
    std::erase(ready_, &segment);
    std::erase(recycled_, &segment);
    if (context_.options.budget != nullptr && segments_.size() > kGuaranteedSegments)
        context_.options.budget->shared_bytes -= context_.options.segment_bytes;
    std::erase_if(segments_, [&](const auto& owned) { return owned.get() == &segment; });
}

// A file that is being filled with zeros has its blocks already.
Segment* SegmentPool::take_ready(For purpose) {
    const bool last = ready_.size() == 1 && job_ == nullptr;
    if (ready_.empty() || (purpose == For::kRecords && last)) {
        wanted_ = true;
        return nullptr;
    }
    wanted_ = false;
    Segment* segment = ready_.front();
    ready_.erase(ready_.begin());
    return segment;
}

Segment* SegmentPool::take_spare() {
    spare_wanted_ = ready_.size() <= kReadyEnough;
    if (spare_wanted_) return nullptr;
    Segment* segment = ready_.back();
    ready_.pop_back();
    segment->state = Segment::State::kPreparing;
    return segment;
}

void SegmentPool::recycle(Segment& segment) {
    EAGRE_ASSERT_EQ(segment.pins, 0U);
    ++context_.stats.segments_recycled;
    if (segment.retire_file || over_budget()) {
        remove(segment);
        return;
    }
    segment.usage_noted = false;
    segment.state = Segment::State::kPreparing;
    segment.dying = false;
    segment.unmovable = false;
    segment.alive_bytes = Segment::kAliveUnknown;
    segment.dies_ns = UINT64_MAX;
    segment.rest_offset = 0;
    recycled_.push_back(&segment);
}

void SegmentPool::write_header(Segment& segment) {
    EAGRE_ASSERT(!header_op_.under_way());
    segment.header_written = false;
    header_segment_ = &segment;
    std::memset(header_page_.data(), 0, kPageBytes);
    std::memcpy(header_page_.data(), &segment.header, sizeof(SegmentHeader));
    header_op_.kind = io::StorageOp::Kind::kWrite;
    header_op_.file = segment.file;
    header_op_.offset_bytes = 0;
    header_op_.buffer = header_page_.data();
    header_op_.length_bytes = kPageBytes;
    context_.device.submit(header_op_, this);
    context_.stats.device_written_bytes += kPageBytes;
}

void SegmentPool::poll(uint64_t now_ns, bool full_load) {
    if (context_.failed()) return;
    earn(now_ns);
    if (job_ == nullptr) begin_job(now_ns);
    if (job_ != nullptr && stage_ == Stage::kZero) zero_more(full_load);
    shrink(now_ns);
    context_.stats.segments_ready = ready_.size();
}

void SegmentPool::shrink(uint64_t now_ns) {
    if (ready_.size() <= ready_wanted() + kReadySpare) {
        surplus_ns_ = now_ns;
        return;
    }
    if (now_ns - surplus_ns_ < kSurplusNs) return;
    if (now_ns - removed_ns_ < (quiet(now_ns) ? kRemovePauseQuietNs : kRemovePauseNs)) return;
    removed_ns_ = now_ns;
    remove(*ready_.back());
}

void SegmentPool::begin_job(uint64_t now_ns) {
    if (!recycled_.empty()) {
        job_ = recycled_.back();
        recycled_.pop_back();
        out_of_space_ = false;
        mark_ready();
        return;
    }
    if (ready_.size() >= ready_wanted() + (spare_wanted_ ? 1 : 0)) return;
    // Making a file blocks the core for milliseconds: records that are on their way wait for it only when they must.
    if (!quiet(now_ns) && ready_.size() >= enough()) return;
    if (now_ns < retry_ns_ || !create_file(now_ns)) return;
    zeroed_bytes_ = 0;
    out_of_space_ = false;
    stage_ = Stage::kZero;
}

// Two cores that ask at once may both be told yes: the limit is then passed by a segment, and kept from there.
bool SegmentPool::budget_allows() const {
    const StoreBudget* budget = context_.options.budget;
    if (budget == nullptr || segments_.size() < kGuaranteedSegments) return true;
    return budget->shared_bytes + context_.options.segment_bytes <= budget->shared_bytes_max;
}

bool SegmentPool::over_budget() const {
    const StoreBudget* budget = context_.options.budget;
    return budget != nullptr && segments_.size() > kGuaranteedSegments && budget->shared_bytes > budget->shared_bytes_max;
}

bool SegmentPool::create_file(uint64_t now_ns) {
    io::Files& files = context_.device.files();
    // The cleaner's spare is a wish: without room for it nobody waits.
    const bool needed = ready_.size() < ready_wanted();
    const auto full = [&](Errc code) {
        context_.stats.disk_full = context_.stats.disk_full || needed;
        if (needed) full_code_ = code;
        retry_ns_ = now_ns + kDiskFullRetryNs;
        return false;
    };
    // A journal that could not be opened could not make room either.
    const bool opening = opening_ && ready_.empty();
    if (!opening && !budget_allows()) return full(Errc::kStoreFull);
    const auto free_bytes = files.free_bytes();
    const uint64_t reserve_bytes = opening ? 0 : context_.options.disk_reserve_bytes;
    if (!free_bytes || *free_bytes < context_.options.segment_bytes + reserve_bytes) return full(Errc::kDiskFull);
    char name[40];
    (void)std::snprintf(name, sizeof(name), "/segment-%06u.eagre", next_file_);
    auto segment = std::make_unique<Segment>();
    segment->path = context_.options.directory + name;
    auto file = files.create(segment->path, context_.options.segment_bytes);
    if (!file) {
        (void)files.remove(segment->path);
        return full(Errc::kDiskFull);
    }
    segment->file = *file;
    ++next_file_;
    if (!files.sync_directory(context_.options.directory)) {
        context_.fail();
        return false;
    }
    job_ = segment.get();
    adopt(std::move(segment));
    return true;
}

// While records come, zeroing keeps pace with them and no more: as many zeros as journal, and some. A segment is then ready when
// the one before it is full, and no producer waits 40 ms for the whole of it.
void SegmentPool::earn(uint64_t now_ns) {
    const uint64_t committed = context_.stats.journal_bytes - commit_bytes_seen_;
    commit_bytes_seen_ = context_.stats.journal_bytes;
    if (committed > 0) last_commit_ns_ = now_ns;
    const uint64_t earned_ns = std::min(now_ns - credit_ns_, kNsPerS);
    credit_ns_ = now_ns;
    if (quiet(now_ns)) {
        zero_credit_bytes_ += earned_ns * (context_.options.prepare_bytes_per_s / 1000) / (kNsPerS / 1000);
    } else if (ready_.size() < enough()) {
        zero_credit_bytes_ += committed + committed / 4;
    }
    zero_credit_bytes_ = std::min(zero_credit_bytes_, 2 * kZeroBytes);
}

void SegmentPool::zero_more(bool full_load) {
    if (zero_op_.under_way() || out_of_space_) return;
    const uint64_t chunk = hurried() ? kZeroBytesInHurry : quiet(credit_ns_) || full_load ? kZeroBytes : kZeroBytesBesideSmall;
    const uint64_t length = std::min(context_.options.segment_bytes - zeroed_bytes_, chunk);
    if (length == 0 || (!hurried() && zero_credit_bytes_ < length)) return;
    zero_credit_bytes_ -= std::min(zero_credit_bytes_, length);
    zero_op_.kind = io::StorageOp::Kind::kWrite;
    zero_op_.file = job_->file;
    zero_op_.offset_bytes = zeroed_bytes_;
    zero_op_.buffer = zeros_.data();
    zero_op_.length_bytes = static_cast<uint32_t>(length);
    zeroed_bytes_ += length;
    context_.stats.device_written_bytes += length;
    context_.device.submit(zero_op_, this);
}

uint64_t SegmentPool::next_timer_ns() const {
    if (job_ == nullptr || stage_ != Stage::kZero || zero_op_.under_way()) return UINT64_MAX;
    const uint64_t missing = kZeroBytes - std::min(kZeroBytes, zero_credit_bytes_);
    const uint64_t quiet_ns = std::max(credit_ns_, last_commit_ns_ + kQuietNs);
    return quiet_ns + missing * (kNsPerS / 1000) / (context_.options.prepare_bytes_per_s / 1000) + 1;
}

void SegmentPool::sync_job(Stage stage) {
    stage_ = stage;
    job_op_.kind = io::StorageOp::Kind::kSync;
    job_op_.file = job_->file;
    job_op_.length_bytes = 0;
    context_.device.submit(job_op_, this);
}

void SegmentPool::mark_ready() {
    stage_ = Stage::kMark;
    SegmentHeader header;
    header.box_id_high = context_.options.box_id_high;
    header.box_id_low = context_.options.box_id_low;
    header.journal_id = context_.options.id.value;
    header.kind = SegmentKind::kReady;
    header.segment_bytes = context_.options.segment_bytes;
    header.block_bytes = context_.block_bytes;
    seal(header);
    std::memset(mark_page_.data(), 0, kPageBytes);
    std::memcpy(mark_page_.data(), &header, sizeof(header));
    job_op_.kind = io::StorageOp::Kind::kWrite;
    job_op_.file = job_->file;
    job_op_.offset_bytes = 0;
    job_op_.buffer = mark_page_.data();
    job_op_.length_bytes = kPageBytes;
    context_.device.submit(job_op_, this);
    context_.stats.device_written_bytes += kPageBytes;
}

void SegmentPool::drop_job(uint64_t now_ns) {
    context_.stats.disk_full = true;
    full_code_ = Errc::kDiskFull;
    retry_ns_ = now_ns + kDiskFullRetryNs;
    stage_ = Stage::kIdle;
    remove(*job_);
    job_ = nullptr;
}

void SegmentPool::on_done(DeviceOp& op, uint64_t now_ns) {
    if (op.result == -ENOSPC && &op != &header_op_) {
        // Nothing of anybody's is in the file that is being prepared.
        out_of_space_ = true;
    } else if (op.result < 0 || !op.moved_all()) {
        context_.fail();
        return;
    }
    if (&op == &header_op_) {
        header_segment_->header_written = true;
        return;
    }
    if (out_of_space_) {
        drop_job(now_ns);
        return;
    }
    switch (stage_) {
        case Stage::kZero:
            if (zeroed_bytes_ == context_.options.segment_bytes) {
                sync_job(Stage::kZeroSync);
            }
            return;
        case Stage::kZeroSync:
            mark_ready();
            return;
        case Stage::kMark:
            sync_job(Stage::kMarkSync);
            return;
        case Stage::kMarkSync:
            job_->state = Segment::State::kReady;
            ready_.push_back(job_);
            job_ = nullptr;
            stage_ = Stage::kIdle;
            context_.stats.disk_full = false;
            return;
        case Stage::kIdle:
            EAGRE_ASSERT(false);
    }
}

}  // namespace eagre::journal
