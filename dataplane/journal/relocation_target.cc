#include "dataplane/journal/relocation_target.h"

#include <algorithm>

#include "wire/base/assert.h"

namespace eagre::journal {

RelocationTarget::RelocationTarget(const JournalOptions& options, uint32_t extent_count_max,
                                   uint32_t block_bytes)
    : extents_(extent_count_max, options.shard_count_max),
      segment_bytes_(options.segment_bytes),
      block_bytes_(block_bytes) {}

Status RelocationTarget::start() {
    auto made = io::AlignedBuffer::create(kCleanerStepBytes);
    if (!made) return made.error();
    buffer_ = std::move(*made);
    return {};
}

void RelocationTarget::begin(Segment& slot, const Segment& first, const Birth& birth) {
    slot_ = &slot;
    SegmentHeader& header = slot.header;
    header = first.header;
    header.format_version = kFormatVersionRelocated;
    header.kind = SegmentKind::kRelocated;
    header.incarnation = birth.incarnation;
    header.block_bytes = block_bytes_;
    header.nonce = next_nonce(first.header.nonce ^ birth.serial, birth.incarnation, first.number());
    header.relocation = {};
    header.relocation.serial = birth.serial;
    extents_.reset();
    base_ = kSegmentDataOffset;
    used_ = 0;
    due_ = false;
    end_bytes_ = kSegmentDataOffset;
    copied_bytes_ = 0;
    commit_open_ = false;
    run_left_ = 0;
    footer_begun_ = false;
    footer_done_ = false;
    // Its commits are counted on from those before it, so that it can be read as any other segment.
    commit_number_ = header.predecessor.commit_number;
    commit_crc_ = header.predecessor.commit_crc;
    directory_pages_ = 0;
    fact_pages_ = 0;
    producer_pages_ = 0;
}

void RelocationTarget::note_source(const Trailer& trailer) {
    directory_pages_ = std::max<uint64_t>(directory_pages_, trailer.directory_pages);
    fact_pages_ = std::max<uint64_t>(fact_pages_, trailer.fact_pages);
    producer_pages_ = std::max<uint64_t>(producer_pages_, trailer.producer_pages);
}

bool RelocationTarget::fits(uint64_t run_bytes) const {
    if (extents_.full()) return false;
    const uint64_t begin = align_up(base_ + used_, block_bytes_) + sizeof(CommitHeader);
    const uint64_t pages = directory_pages_ + fact_pages_ + producer_pages_ +
                           pages_for(uint64_t{extents_.count()} + 1, kExtentsPerPage);
    return align_up(begin + run_bytes, kPageBytes) + (pages + 1) * kPageBytes <= segment_bytes_;
}

bool RelocationTarget::begin_run(const RunHeader& header, uint32_t shard_slot) {
    EAGRE_ASSERT_EQ(run_left_, 0U);
    EAGRE_ASSERT(!due_);
    const uint64_t run_bytes = sizeof(RunHeader) + uint64_t{header.stored_bytes};
    if (commit_open_ && used_ + run_bytes > buffer_.bytes()) {
        close_commit();
        return false;
    }
    if (!commit_open_) {
        EAGRE_ASSERT_EQ(used_, 0U);
        commit_open_ = true;
        run_count_ = 0;
        runs_crc_ = 0;
        used_ = sizeof(CommitHeader);
        long_run_ = used_ + run_bytes > buffer_.bytes();
    }
    extents_.add({shard_slot, static_cast<uint32_t>(run_bytes), base_ + used_,
                  header.first_sequence, header.arrival_ns, header.record_count});
    std::memcpy(buffer_.data() + used_, &header, sizeof(header));
    runs_crc_ = crc32c(std::as_bytes(std::span(&header, 1)), runs_crc_);
    ++run_count_;
    used_ += sizeof(RunHeader);
    run_left_ = header.stored_bytes;
    copied_bytes_ += run_bytes;
    if (!long_run_) return true;
    // The beginning of a long run goes out before its end comes in.
    put_commit_header(sizeof(CommitHeader) + run_bytes);
    return true;
}

size_t RelocationTarget::append(std::span<const std::byte> bytes, uint32_t& crc) {
    EAGRE_ASSERT(!due_);
    EAGRE_ASSERT_LE(bytes.size(), run_left_);
    const size_t taken = std::min<size_t>(bytes.size(), buffer_.bytes() - used_);
    crc = crc32c_copy(buffer_.data() + used_, bytes.first(taken), crc);
    used_ += taken;
    run_left_ -= taken;
    if (long_run_ && run_left_ == 0) {
        end_bytes_ = base_ + used_;
        commit_open_ = false;
        pad();
        due_ = true;
    } else if (used_ == buffer_.bytes()) {
        if (run_left_ == 0) {
            close_commit();
        } else {
            due_ = true;
        }
    }
    return taken;
}

void RelocationTarget::put_commit_header(uint64_t commit_bytes) {
    CommitHeader commit;
    commit.commit_bytes = static_cast<uint32_t>(commit_bytes);
    commit.run_count = run_count_;
    commit.number = ++commit_number_;
    commit.incarnation = slot_->header.incarnation;
    commit.segment_number = slot_->number();
    commit.previous_crc = commit_crc_;
    commit.runs_crc = runs_crc_;
    commit.nonce = slot_->header.nonce;
    seal(commit);
    std::memcpy(buffer_.data(), &commit, sizeof(commit));
    commit_crc_ = commit.header_crc;
}

void RelocationTarget::close_commit() {
    EAGRE_ASSERT(commit_open_);
    EAGRE_ASSERT(!long_run_);
    EAGRE_ASSERT_EQ(run_left_, 0U);
    put_commit_header(used_);
    commit_open_ = false;
    end_bytes_ = base_ + used_;
    pad();
    due_ = true;
}

void RelocationTarget::pad() {
    const uint64_t end = align_up(used_, block_bytes_);
    std::memset(buffer_.data() + used_, 0, end - used_);
    used_ = end;
}

void RelocationTarget::end_runs() {
    EAGRE_ASSERT_EQ(run_left_, 0U);
    if (commit_open_) close_commit();
}

void RelocationTarget::written() {
    EAGRE_ASSERT(due_);
    base_ += used_;
    used_ = 0;
    due_ = false;
}

void RelocationTarget::begin_footer(const Sources& sources) {
    EAGRE_ASSERT(!due_);
    EAGRE_ASSERT(!commit_open_);
    sources_ = sources;
    footer_begun_ = true;
    const Trailer& whole = sources.last_whole->trailer;
    Trailer& trailer = slot_->trailer;
    trailer = Trailer{};
    trailer.segment_number = slot_->number();
    trailer.incarnation = slot_->header.incarnation;
    trailer.end_bytes = end_bytes_;
    // As a base of recovery it is what the last segment was that it stands for.
    trailer.commit_number = whole.commit_number;
    trailer.commit_crc = whole.commit_crc;
    trailer.shard_count = sources.last->trailer.shard_count;
    trailer.extent_count = extents_.count();
    trailer.producer_count = whole.producer_count;
    trailer.fact_count = whole.fact_count == 0 ? whole.shard_count : whole.fact_count;
    trailer.shard_id_max = whole.shard_id_max;
    trailer.stream_id_max = whole.stream_id_max;
    trailer.directory_pages = static_cast<uint32_t>(pages_for(trailer.shard_count, kDirectoryPerPage));
    trailer.extent_pages = static_cast<uint32_t>(pages_for(trailer.extent_count, kExtentsPerPage));
    trailer.fact_pages = whole.fact_pages;
    trailer.producer_pages = whole.producer_pages;
    trailer.footer_offset = segment_bytes_ - kPageBytes - FooterPlan{trailer}.page_count_all() * kPageBytes;
    EAGRE_ASSERT_LE(align_up(end_bytes_, block_bytes_), trailer.footer_offset);
    base_ = trailer.footer_offset;
    used_ = 0;
    pages_ = PageWriter(buffer_.data(), {trailer.segment_number, trailer.incarnation, {}, 0});
    section_ = {};
    extent_count_ = 0;
    next_section();
}

void RelocationTarget::next_section() {
    pages_.finish_page();
    section_ = static_cast<FooterSection>(static_cast<uint32_t>(section_) + 1);
    index_ = 0;
    extent_ = ExtentIndex::kNone;
    pages_.begin(section_);
}

// An entry is as the last source has it, but for the runs, which lie elsewhere. Of a source that is here in part, what has been
// copied is behind this segment, all else before it.
Status RelocationTarget::add_directory_entry(SegmentChain& chain, const ShardTable& shards) {
    auto entry = chain.directory_at(*sources_.last, index_);
    if (!entry) return entry.error();
    const ShardState* state = shards.find(entry->shard);
    if (sources_.last != sources_.last_whole && entry->extent_count > 0) {
        entry->next_sequence = entry->first_sequence;
        entry->last_arrival_ns = entry->first_arrival_ns;
    }
    entry->extent_index = extent_count_;
    if (state != nullptr) {
        index_runs(extents_, state->slot, *entry, slot_->trailer);
        const uint32_t last = extents_.last_of(state->slot);
        if (last != ExtentIndex::kNone) {
            const LiveExtent& extent = extents_.at(last);
            entry->next_sequence = std::max(entry->next_sequence, extent.extent.end_sequence());
            entry->last_arrival_ns = std::max(entry->last_arrival_ns, extent.last_arrival_ns);
        }
    } else {
        entry->first_sequence = 0;
        entry->first_arrival_ns = 0;
        entry->extent_count = 0;
        entry->run_bytes = 0;
    }
    extent_count_ += entry->extent_count;
    pages_.add(*entry);
    ++index_;
    return {};
}

Status RelocationTarget::add_extent(SegmentChain& chain, const ShardTable& shards) {
    if (extent_ == ExtentIndex::kNone) {
        const auto entry = chain.directory_at(*sources_.last, index_);
        if (!entry) return entry.error();
        ++index_;
        const ShardState* state = shards.find(entry->shard);
        if (state != nullptr) extent_ = extents_.first_of(state->slot);
        return {};
    }
    pages_.add(extents_.at(extent_).extent);
    extent_ = extents_.next_of(extent_);
    return {};
}

Status RelocationTarget::fill_footer(SegmentChain& chain, const ShardTable& shards) {
    EAGRE_ASSERT(!due_);
    const Trailer& trailer = slot_->trailer;
    const auto full = [&] {
        return !pages_.page_open() && pages_.next_page() == buffer_.data() + buffer_.bytes();
    };
    const auto seal_buffer = [&] {
        used_ = static_cast<uint64_t>(pages_.next_page() - buffer_.data());
        due_ = used_ > 0;
        pages_.go_on_at(buffer_.data());
    };
    for (;;) {
        if (full()) {
            seal_buffer();
            return {};
        }
        Status added;
        switch (section_) {
            case FooterSection::kDirectory:
                if (index_ == trailer.shard_count) {
                    // A shard that the last source does not know: its facts were lost to damage.
                    if (extent_count_ != trailer.extent_count) return Errc::kDamaged;
                    next_section();
                    continue;
                }
                added = add_directory_entry(chain, shards);
                break;
            case FooterSection::kExtents:
                if (index_ == trailer.shard_count && extent_ == ExtentIndex::kNone) {
                    next_section();
                    continue;
                }
                added = add_extent(chain, shards);
                break;
            case FooterSection::kFacts:
            case FooterSection::kProducers: {
                const bool facts = section_ == FooterSection::kFacts;
                if (index_ == (facts ? trailer.fact_pages : trailer.producer_pages)) {
                    if (facts) {
                        next_section();
                        continue;
                    }
                    seal_buffer();
                    footer_done_ = true;
                    return {};
                }
                const auto page = chain.page(*sources_.last_whole, section_, index_);
                if (page) {
                    pages_.add_page(*page);
                    ++index_;
                } else {
                    added = page.error();
                }
                break;
            }
        }
        if (!added) return added;
    }
}

void RelocationTarget::fill_trailer() {
    EAGRE_ASSERT(!due_);
    EAGRE_ASSERT_EQ(base_, segment_bytes_ - kPageBytes);
    seal(slot_->trailer);
    std::memset(buffer_.data(), 0, kPageBytes);
    std::memcpy(buffer_.data(), &slot_->trailer, sizeof(Trailer));
    used_ = kPageBytes;
    due_ = true;
}

void RelocationTarget::fill_header(const Relocation& relocation) {
    EAGRE_ASSERT(!due_);
    SegmentHeader& header = slot_->header;
    const uint64_t serial = header.relocation.serial;
    header.relocation = relocation;
    header.relocation.serial = serial;
    header.relocation.end_bytes = end_bytes_;
    seal(header);
    std::memset(buffer_.data(), 0, kPageBytes);
    std::memcpy(buffer_.data(), &header, sizeof(header));
    base_ = 0;
    used_ = kPageBytes;
    due_ = true;
}

}  // namespace eagre::journal
