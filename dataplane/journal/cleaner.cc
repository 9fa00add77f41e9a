#include "dataplane/journal/cleaner.h"

#include <algorithm>

#include "wire/base/assert.h"
#include "wire/base/crash_point.h"

namespace eagre::journal {
namespace {

constexpr uint64_t kNsPerS = 1'000'000'000;
constexpr uint64_t kPlanPauseNs = 10'000'000;
// Steps that need no device, in one turn of the reactor.
constexpr uint32_t kStepsPerPoll = 8;

CrashPoint crash_copied("clean-copied", "copies are written, their footer is not");
CrashPoint crash_footer("clean-footer", "copies and footer are written, nothing is synced");
CrashPoint crash_synced("clean-synced", "copies and footer are durable, the header still says ready");
CrashPoint crash_header("clean-header", "the header is written and not durable: either copy may count");
CrashPoint crash_relocated("clean-relocated", "the copy counts, its sources still lie there");
CrashPoint crash_recycled("clean-recycled", "a source is on its way to be ready again");

}  // namespace

Cleaner::Cleaner(Context& context, ShardTable& shards, SegmentChain& chain, SegmentPool& pool,
                 Retention& retention, uint32_t extent_count_max)
    : context_(context),
      shards_(shards),
      chain_(chain),
      pool_(pool),
      retention_(retention),
      target_(context.options, extent_count_max, context.block_bytes),
      map_(context.options.segment_bytes) {
    replaced_.reserve(kCleanSourcesMax);
}

Status Cleaner::start() {
    auto made = io::AlignedBuffer::create(kCleanerStepBytes);
    if (!made) return made.error();
    input_ = std::move(*made);
    return target_.start();
}

void Cleaner::earn(uint64_t now_ns) {
    const uint64_t rate = std::max<uint64_t>(context_.options.cleaner_bytes_per_s, 1);
    const uint64_t earned_ns = std::min(now_ns - std::min(now_ns, credit_ns_), kNsPerS);
    const uint64_t earned = static_cast<uint64_t>(static_cast<double>(earned_ns) * static_cast<double>(rate) / 1e9);
    // Time that earned nothing yet is kept.
    if (earned == 0) return;
    credit_ns_ = now_ns;
    credit_bytes_ = std::min(credit_bytes_ + earned, 2 * kCleanerStepBytes);
}

bool Cleaner::may_submit(const Turn& turn, uint64_t bytes) {
    uint64_t wake_ns = 0;
    if (turn.commits_wait) wake_ns = submitted_ns_ + context_.options.cleaner_pause_ns;
    if (credit_bytes_ < bytes) {
        const double missing_ns = static_cast<double>(bytes - credit_bytes_) * 1e9 /
                                  static_cast<double>(std::max<uint64_t>(context_.options.cleaner_bytes_per_s, 1));
        wake_ns = std::max(wake_ns, credit_ns_ + static_cast<uint64_t>(missing_ns) + 1);
    }
    if (wake_ns <= turn.now_ns && credit_bytes_ >= bytes) return true;
    wake_ns_ = std::max(wake_ns, turn.now_ns + 1);
    return false;
}

void Cleaner::submit(io::StorageOp::Kind kind, Segment& segment, const Turn& turn) {
    EAGRE_ASSERT(!op_.under_way());
    op_.kind = kind;
    op_.file = segment.file;
    credit_bytes_ -= std::min<uint64_t>(credit_bytes_, op_.length_bytes);
    submitted_ns_ = turn.now_ns;
    context_.device.submit(op_, this);
}

void Cleaner::on_done(DeviceOp& /*op*/, uint64_t /*now_ns*/) {
    result_due_ = true;
}

void Cleaner::recycle_replaced() {
    for (size_t i = 0; i < replaced_.size();) {
        Segment& segment = *replaced_[i];
        if (segment.pins > 0) {
            ++i;
            continue;
        }
        chain_.forget(segment);
        pool_.recycle(segment);
        crash_recycled.reach();
        replaced_[i] = replaced_.back();
        replaced_.pop_back();
    }
}

void Cleaner::poll(const Turn& turn) {
    wake_ns_ = UINT64_MAX;
    if (context_.failed()) return;
    recycle_replaced();
    earn(turn.now_ns);
    if (op_.under_way()) return;
    if (result_due_ && !take_result()) return;
    for (uint32_t i = 0; i < kStepsPerPoll; ++i) {
        if (step(turn) == Outcome::kWait) return;
    }
    wake_ns_ = turn.now_ns;
}

// False: the journal has failed.
bool Cleaner::take_result() {
    result_due_ = false;
    const bool good = op_.result >= 0 && op_.moved_all();
    if (op_.kind == io::StorageOp::Kind::kRead) {
        if (!good) (void)damaged(false);
        return true;
    }
    if (!good) {
        context_.fail();
        return false;
    }
    if (op_.kind == io::StorageOp::Kind::kWrite) {
        target_.written();
        if (stage_ == Stage::kTrailer) {
            crash_footer.reach();
            stage_ = Stage::kDurable;
        } else if (stage_ == Stage::kHeader) {
            crash_header.reach();
            stage_ = Stage::kHeaderSync;
        }
    } else if (stage_ == Stage::kSync) {
        crash_synced.reach();
        target_.fill_header(relocation());
        stage_ = Stage::kHeader;
    } else {
        EAGRE_ASSERT(stage_ == Stage::kHeaderSync);
        crash_relocated.reach();
        activate();
    }
    return true;
}

Cleaner::Outcome Cleaner::step(const Turn& turn) {
    switch (stage_) {
        case Stage::kIdle:
            return plan(turn);
        case Stage::kMap:
            return map_source();
        case Stage::kCopy:
            return target_.due() ? write_due(turn) : copy(turn);
        case Stage::kFooter:
            return target_.due() ? write_due(turn) : make_footer(turn);
        case Stage::kTrailer:
        case Stage::kHeader:
            return write_due(turn);
        case Stage::kDurable:
            if (turn.durable_number < dead_commit_) return Outcome::kWait;
            stage_ = Stage::kSync;
            return Outcome::kMore;
        case Stage::kSync:
        case Stage::kHeaderSync:
            return sync(turn);
    }
    return Outcome::kWait;
}

size_t Cleaner::index_of(const Segment& segment) const {
    const auto& segments = chain_.segments();
    const auto at = std::find(segments.begin(), segments.end(), &segment);
    EAGRE_ASSERT(at != segments.end());
    return static_cast<size_t>(at - segments.begin());
}

size_t Cleaner::movable_end() const {
    const auto& segments = chain_.segments();
    size_t end = segments.size();
    for (size_t sealed = 0; end > 0 && sealed < kSealedKeptMin; --end) {
        if (segments[end - 1]->state == Segment::State::kSealed) ++sealed;
    }
    return end;
}

Cleaner::Outcome Cleaner::plan(const Turn& turn) {
    if (passes_seen_ != retention_.pass_count()) plan_due_ = true;
    passes_seen_ = retention_.pass_count();
    if (!plan_due_) return Outcome::kWait;
    if (turn.now_ns < plan_ns_) {
        wake_ns_ = plan_ns_;
        return Outcome::kWait;
    }
    plan_ns_ = turn.now_ns + kPlanPauseNs;
    const CleanView view{chain_.segments(), movable_end(), chain_.headless_count() == 0, retention_.now_ns()};
    const SpaceUsed space = measure_space(view);
    context_.stats.alive_bytes = space.alive_bytes;
    context_.stats.used_bytes = space.used_bytes;
    context_.stats.segments_damaged = space.damaged_count + chain_.headless_count();
    plan_due_ = false;
    if (!context_.options.cleaner || view.movable_end < 2) return Outcome::kWait;
    if (spare_ == nullptr) spare_ = pool_.take_spare();
    const CleanPlan chosen = choose_sources(view);
    if (chosen.count == 0) return Outcome::kWait;
    if (spare_ == nullptr || !replaced_.empty()) {
        plan_due_ = true;
        wake_ns_ = plan_ns_;
        return Outcome::kWait;
    }
    first_ = chain_.segments()[chosen.first];
    planned_count_ = chosen.count;
    source_count_ = 0;
    rest_ = nullptr;
    target_.begin(*spare_, *first_, {turn.incarnation, ++serial_});
    const bool begun = begin_source(chosen.first);
    EAGRE_ASSERT(begun);
    return Outcome::kMore;
}

Cleaner::Outcome Cleaner::write_due(const Turn& turn) {
    EAGRE_ASSERT(target_.due());
    const auto bytes = target_.due_bytes();
    if (!may_submit(turn, bytes.size())) return Outcome::kWait;
    op_.offset_bytes = target_.due_offset();
    op_.buffer = bytes.data();
    op_.length_bytes = static_cast<uint32_t>(bytes.size());
    context_.stats.device_written_bytes += bytes.size();
    submit(io::StorageOp::Kind::kWrite, target_.slot(), turn);
    return Outcome::kWait;
}

Cleaner::Outcome Cleaner::sync(const Turn& turn) {
    if (context_.options.mutants.recycle_before_sync) {
        if (stage_ == Stage::kHeaderSync) {
            activate();
        } else {
            target_.fill_header(relocation());
            stage_ = Stage::kHeader;
        }
        return Outcome::kMore;
    }
    if (!may_submit(turn, 0)) return Outcome::kWait;
    op_.length_bytes = 0;
    submit(io::StorageOp::Kind::kSync, target_.slot(), turn);
    return Outcome::kWait;
}

void Cleaner::end_copies(uint64_t last_commit) {
    EAGRE_ASSERT_GT(source_count_, 0U);
    dead_commit_ = last_commit;
    target_.end_runs();
    stage_ = Stage::kFooter;
}

Cleaner::Outcome Cleaner::make_footer(const Turn& turn) {
    if (!target_.footer_begun()) {
        crash_copied.reach();
        Segment* whole = chain_.segments()[index_of(*first_) + source_count_ - 1];
        target_.begin_footer({whole, rest_ != nullptr ? rest_ : whole});
    }
    if (target_.footer_done()) {
        target_.fill_trailer();
        stage_ = Stage::kTrailer;
        return write_due(turn);
    }
    const auto filled = target_.fill_footer(chain_, shards_);
    if (filled) return Outcome::kMore;
    if (filled.error().code == Errc::kBusy) return Outcome::kWait;
    current_ = rest_ != nullptr ? rest_ : chain_.segments()[index_of(*first_) + source_count_ - 1];
    return damaged(true);
}

Relocation Cleaner::relocation() const {
    const Segment& whole = *chain_.segments()[index_of(*first_) + source_count_ - 1];
    Relocation relocation;
    relocation.last_number = last_number(whole.header);
    if (rest_ != nullptr) {
        relocation.rest_nonce = rest_->header.nonce;
        relocation.rest_offset = rest_offset_;
    } else {
        relocation.rest_nonce = whole.header.relocation.rest_nonce;
        relocation.rest_offset = whole.header.relocation.rest_offset;
    }
    return relocation;
}

void Cleaner::activate() {
    Segment& target = target_.slot();
    const size_t index = index_of(*first_);
    for (size_t i = index; i < index + source_count_; ++i) {
        replaced_.push_back(chain_.segments()[i]);
    }
    target.state = Segment::State::kSealed;
    target.usage_noted = true;  // What it holds was counted where it came from.
    target.header_written = true;
    target.dying = false;
    target.unmovable = false;
    target.retention_due_ns = 0;
    target.durable_end = target_.end_bytes();
    target.alive_bytes = target_.copied_bytes();
    target.dies_ns = UINT64_MAX;
    target.rest_offset = 0;
    if (rest_ != nullptr) {
        const double before = static_cast<double>(rest_->trailer.end_bytes - std::max(rest_->rest_offset, kSegmentDataOffset));
        const double left = static_cast<double>(rest_->trailer.end_bytes - rest_offset_);
        rest_->alive_bytes = static_cast<uint64_t>(static_cast<double>(rest_->alive_bytes) * left / before);
        rest_->rest_offset = rest_offset_;
        rest_->retention_due_ns = 0;
    }
    unpin();
    chain_.replace(index, source_count_, target);
    retention_.restart_segment();
    context_.stats.relocated_bytes += target_.copied_bytes();
    spare_ = nullptr;
    plan_due_ = true;
    plan_ns_ = 0;
    stage_ = Stage::kIdle;
    recycle_replaced();
}

// The slot stays in hand: whatever was written into it, its header says that it is ready.
void Cleaner::give_up() {
    unpin();
    plan_due_ = true;
    stage_ = Stage::kIdle;
}

void Cleaner::unpin() {
    const size_t index = index_of(*first_);
    for (size_t i = index; i < index + pinned_count_; ++i) --chain_.segments()[i]->pins;
    pinned_count_ = 0;
    first_ = nullptr;
    rest_ = nullptr;
    current_ = nullptr;
}

}  // namespace eagre::journal
