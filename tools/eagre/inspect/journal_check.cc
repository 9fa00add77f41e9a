#include "tools/eagre/inspect/journal_check.h"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "dataplane/journal/segment_order.h"
#include "wire/base/limits.h"
#include "wire/frame/batch.h"

namespace eagre::inspect {
namespace {

using journal::kPageBytes;
using journal::kSegmentDataOffset;
using journal::SegmentHeader;
using journal::ShardState;
using journal::ShardTable;

std::unique_ptr<ShardTable> empty_table() {
    return std::make_unique<ShardTable>(kBoxShardCountMax);
}

/// Follows the runs of one segment: sequence numbers without gaps, arrivals that never fall, batches
/// and facts that can be read.
class RunCheck final : public SegmentVisitor {
  public:
    RunCheck(const SegmentFile& segment, ShardTable& shards, Totals& totals, Findings& findings)
        : segment_(segment), shards_(shards), totals_(totals), findings_(findings) {}

    void on_commit(const journal::ScannedCommit& /*commit*/) override { ++totals_.commit_count; }
    void on_run(const Run& run) override {
        if ((run.header.flags & journal::kRunFlagSystem) != 0) {
            if (run.good) take_fact(run);
        } else {
            take_data(run);
        }
    }
    void on_damage(uint64_t offset_bytes, const std::string& what) override {
        damaged_ = true;
        findings_.problem(segment_.path, offset_bytes, what);
    }

    bool damaged() const { return damaged_; }
    const std::vector<IndexedRun>& runs() const { return runs_; }

  private:
    void take_fact(const Run& run) {
        ++totals_.fact_count;
        const auto facts = journal::decode_fact(run.stored);
        if (!facts) {
            on_damage(run.offset_bytes,
                      fmt::format("the fact of shard {} can't be read", run.header.shard));
            return;
        }
        if (facts->shard.value != run.header.shard)
            on_damage(run.offset_bytes, fmt::format("a fact of shard {} in a run of shard {}",
                                                    facts->shard.value, run.header.shard));
        ShardState* state = shards_.take(facts->shard.value);
        if (state == nullptr) return;
        const bool died = facts->deleted && !state->facts.deleted;
        journal::merge_facts(*state, *facts);
        state->last_arrival_ns = std::max(state->last_arrival_ns, run.header.arrival_ns);
        shards_.note_ids(facts->shard.value, facts->stream.value);
        if (died) state->deleted_segment = segment_.header.segment_number;
        if (state->facts.trim_horizon.value > state->appended_next)
            on_damage(run.offset_bytes,
                      fmt::format("shard {}: trim horizon {} beyond the tail {}",
                                  run.header.shard, state->facts.trim_horizon.value,
                                  state->appended_next));
    }

    void take_data(const Run& run) {
        const journal::RunHeader& header = run.header;
        if (header.shard == 0 || header.record_count == 0) {
            on_damage(run.offset_bytes, "a run of no shard or of no records");
            return;
        }
        ++totals_.run_count;
        totals_.record_count += header.record_count;
        totals_.stored_bytes += header.stored_bytes;
        const bool known = shards_.find(header.shard) != nullptr;
        ShardState* state = shards_.take(header.shard);
        if (state == nullptr) return;
        // Recovery reads a repeated run only once.
        if (known && header.first_sequence < state->appended_next) {
            if (!run.salvaged)
                on_damage(run.offset_bytes,
                          fmt::format("shard {}: sequence {} again, the tail was {}", header.shard,
                                      header.first_sequence, state->appended_next));
            return;
        }
        if (known && !damaged_ && !segment_.relocated() &&
            header.first_sequence > state->appended_next)
            on_damage(run.offset_bytes,
                      fmt::format("shard {}: sequence {} where {} should follow", header.shard,
                                  header.first_sequence, state->appended_next));
        if (header.arrival_ns < state->last_arrival_ns)
            on_damage(run.offset_bytes,
                      fmt::format("shard {}: arrival goes back at sequence {}", header.shard,
                                  header.first_sequence));
        state->appended_next = header.first_sequence + header.record_count;
        state->durable_next = state->appended_next;
        state->last_arrival_ns = std::max(state->last_arrival_ns, header.arrival_ns);
        runs_.push_back({header.shard, header.first_sequence, header.arrival_ns, run.offset_bytes,
                         header.producer, header.batch_number, header.record_count,
                         static_cast<uint32_t>(sizeof(journal::RunHeader) + header.stored_bytes),
                         header.payload_crc});
        if (!run.good) return;
        if (const auto batch = frame::BatchView::verify(run.stored, header.record_count); !batch)
            on_damage(run.offset_bytes,
                      fmt::format("shard {}: the batch at sequence {} is not valid ({}) though its "
                                  "CRC is right",
                                  header.shard, header.first_sequence,
                                  errc_name(batch.error().code)));
    }

    const SegmentFile& segment_;
    ShardTable& shards_;
    Totals& totals_;
    Findings& findings_;
    std::vector<IndexedRun> runs_;
    bool damaged_ = false;
};

class JournalCheck {
  public:
    JournalCheck(const BoxIdentity& box, uint32_t journal_id, Findings& findings,
                 const Progress& progress)
        : box_(box), journal_id_(journal_id), findings_(findings), progress_(progress) {}

    Totals run(const std::string& directory);

  private:
    void take_slot(const std::string& path);
    bool belongs(const SegmentFile& segment);
    void order();
    void check_ends(const SegmentFile& segment);
    uint64_t durable_mark_behind(size_t index);
    WalkLimits limits_of(size_t index);
    bool check_segment(size_t index);
    void check_end(size_t index, const WalkEnd& end, const WalkLimits& limits);
    void tell_unread(const SegmentFile& segment);

    const BoxIdentity& box_;
    uint32_t journal_id_;
    Findings& findings_;
    const Progress& progress_;
    Totals totals_;
    std::vector<SegmentFile> segments_;  // That count; oldest first after order().
    SegmentImage image_;
    std::unique_ptr<ShardTable> shards_ = empty_table();
    bool state_known_ = false;  // shards_ holds everything that came before.
};

bool JournalCheck::belongs(const SegmentFile& segment) {
    const SegmentHeader& header = segment.header;
    if (header.box_id_high != box_.id_high || header.box_id_low != box_.id_low) {
        findings_.problem(segment.path, 16, "the segment of another box");
    } else if (header.journal_id != journal_id_) {
        findings_.problem(segment.path, 32,
                          fmt::format("a segment of journal {}", header.journal_id));
    } else if (header.segment_bytes != segment.size_bytes ||
               header.segment_bytes != box_.segment_bytes) {
        findings_.problem(segment.path, 56,
                          fmt::format("segment size: header {}, file {}, box {}",
                                      header.segment_bytes, segment.size_bytes,
                                      box_.segment_bytes));
    } else {
        return true;
    }
    return false;
}

void JournalCheck::take_slot(const std::string& path) {
    SegmentFile segment = read_segment_ends(path);
    switch (segment.head) {
        case SegmentFile::Head::kEmpty:
            if (segment.tail == SegmentFile::Tail::kAbsent) {
                findings_.note(path, 0, "empty: its making was interrupted; the next start removes it");
            } else {
                findings_.problem(path, 0, "the segment header is all zeros");
            }
            return;
        case SegmentFile::Head::kDamaged:
            findings_.problem(path, 0,
                              "the segment header fails its CRC: nothing in this file counts");
            return;
        case SegmentFile::Head::kNewerVersion:
            findings_.problem(path, 12,
                              fmt::format("format version {}: written by a newer Eagre",
                                          segment.header.format_version));
            return;
        case SegmentFile::Head::kGood:
            break;
    }
    if (!belongs(segment)) return;
    if (!segment.head_rest_zero)
        findings_.problem(path, sizeof(SegmentHeader), "the rest of the header block is not zero");
    if (segment.ready()) {
        ++totals_.ready_count;
        return;
    }
    segments_.push_back(std::move(segment));
}

void JournalCheck::order() {
    std::vector<SegmentHeader> headers;
    for (const SegmentFile& segment : segments_) headers.push_back(segment.header);
    std::vector<SegmentFile> kept;
    std::vector<bool> counts(segments_.size(), false);
    for (const size_t i : journal::order_segments(headers)) {
        counts[i] = true;
        kept.push_back(segments_[i]);
    }
    const auto replaced = [&](size_t i) {
        return std::any_of(kept.begin(), kept.end(), [&](const SegmentFile& segment) {
            return journal::replaces(segment.header, headers[i]);
        });
    };
    for (size_t i = 0; i < segments_.size(); ++i) {
        if (counts[i]) continue;
        if (replaced(i)) {
            findings_.note(segments_[i].path, 0,
                           fmt::format("segment {} has been moved by the cleaner; the next start "
                                       "removes it",
                                       headers[i].segment_number));
        } else {
            findings_.note(segments_[i].path, 0,
                           fmt::format("segment {} of incarnation {} was cut off by a later start; "
                                       "the next one removes it",
                                       headers[i].segment_number, headers[i].incarnation));
        }
    }
    segments_ = std::move(kept);
}

uint64_t JournalCheck::durable_mark_behind(size_t index) {
    // What a relocated segment stands for was sealed, and all before it.
    for (size_t i = index + 1; i < segments_.size(); ++i) {
        if (segments_[i].relocated()) return UINT64_MAX;
    }
    uint64_t mark = 0;
    const uint64_t incarnation = segments_[index].header.incarnation;
    for (size_t i = index + 1;
         i < segments_.size() && segments_[i].header.incarnation == incarnation; ++i) {
        const uint64_t limit = segments_[i].size_bytes - kPageBytes;
        image_.load(segments_[i], limit);
        mark = std::max(mark, journal::CommitScan(image_.bytes(), limit, segments_[i].header, true)
                                  .durable_mark_behind(kSegmentDataOffset));
        if (segments_[i].tail == SegmentFile::Tail::kSealed)
            mark = std::max(mark, segments_[i].trailer.commit_number);
    }
    return mark;
}

WalkLimits JournalCheck::limits_of(size_t index) {
    const SegmentFile& segment = segments_[index];
    WalkLimits limits;
    limits.durable_mark = segment.header.durable_mark;
    uint64_t end = segment.tail == SegmentFile::Tail::kSealed ? segment.trailer.end_bytes : 0;
    if (segment.relocated()) end = segment.header.relocation.end_bytes;
    if (index + 1 < segments_.size()) {
        const SegmentHeader& next = segments_[index + 1].header;
        if (end == 0) end = journal::recorded_cut(segment.header, next);
        if (end == 0 && next.predecessor.segment_number == segment.header.segment_number) {
            limits.last_commit_said = next.predecessor.commit_number;
            limits.durable_mark = std::max(limits.durable_mark, durable_mark_behind(index));
        }
    }
    limits.exact = end != 0;
    limits.limit_bytes =
        std::min<uint64_t>(end != 0 ? end : segment.size_bytes, segment.size_bytes - kPageBytes);
    return limits;
}

void JournalCheck::check_end(size_t index, const WalkEnd& end, const WalkLimits& limits) {
    const SegmentFile& segment = segments_[index];
    const bool sealed = segment.tail == SegmentFile::Tail::kSealed;
    const uint64_t trailer_offset = segment.size_bytes - kPageBytes;
    if (sealed && end.chain_known && !segment.relocated() &&
        (end.commit_number != segment.trailer.commit_number ||
         end.commit_crc != segment.trailer.commit_crc)) {
        findings_.problem(
            segment.path, trailer_offset,
            fmt::format("the trailer names commit {} as the last, the last is {} at its end {}",
                        segment.trailer.commit_number, end.commit_number, end.offset_bytes));
    }
    if (index + 1 < segments_.size()) {
        const SegmentFile& next = segments_[index + 1];
        const journal::Predecessor& said = next.header.predecessor;
        const bool named = said.segment_number == journal::last_number(segment.header);
        if (named && !segment.relocated() && said.incarnation != segment.header.incarnation)
            findings_.problem(next.path, 88, "the predecessor is of another incarnation");
        // A relocated segment ends elsewhere; its trailer tells the last commit that it stands for.
        const bool agrees =
            segment.relocated()
                ? !sealed || (said.commit_number == segment.trailer.commit_number &&
                              said.commit_crc == segment.trailer.commit_crc)
                : said.cut_bytes == end.offset_bytes && said.commit_number == end.commit_number &&
                      said.commit_crc == end.commit_crc;
        if (named && end.chain_known && !end.torn && !agrees)
            findings_.problem(next.path, 96,
                              fmt::format("its predecessor should end at {} with commit {}, it "
                                          "ends at {} with {}",
                                          said.cut_bytes, said.commit_number, end.offset_bytes,
                                          end.commit_number));
        if (!named)
            findings_.note(next.path, 80,
                           fmt::format("segment {} stands before {}: what lay between was recycled "
                                       "or is gone",
                                       segment.header.segment_number, next.header.segment_number));
        return;
    }
    if (limits.exact) return;
    findings_.note(segment.path, end.offset_bytes,
                   end.torn ? fmt::format("torn tail of an unclean stop behind commit {}: never "
                                          "acknowledged, the next start cuts it",
                                          end.commit_number)
                            : fmt::format("unclean stop: the journal ends behind commit {}",
                                          end.commit_number));
}

void JournalCheck::tell_unread(const SegmentFile& segment) {
    for (const Unreadable& part : image_.unreadable())
        findings_.problem(segment.path, part.offset_bytes,
                          fmt::format("{} bytes can't be read (errno {})", part.length_bytes,
                                      part.os_errno));
}

void JournalCheck::check_ends(const SegmentFile& segment) {
    const uint64_t trailer_offset = segment.size_bytes - kPageBytes;
    if (segment.tail == SegmentFile::Tail::kDamaged)
        findings_.problem(segment.path, trailer_offset, "the trailer fails its CRC");
    if (segment.tail == SegmentFile::Tail::kSealed && !segment.tail_rest_zero)
        findings_.problem(segment.path, trailer_offset + sizeof(journal::Trailer),
                          "the rest of the trailer block is not zero");
}

// False: a tear; what lies behind does not count.
bool JournalCheck::check_segment(size_t index) {
    const SegmentFile& segment = segments_[index];
    if (progress_) progress_(segment.path);
    ++totals_.segment_count;
    if (segment.relocated()) ++totals_.relocated_count;
    check_ends(segment);
    const bool follows =
        index > 0 && !segment.relocated() &&
        segment.header.predecessor.segment_number ==
            journal::last_number(segments_[index - 1].header);
    // The journal begins here, or there is a hole before it: what shards were is not known.
    if (!follows) {
        shards_ = empty_table();
        state_known_ = segment.header.predecessor.segment_number == 0 && !segment.relocated();
    }
    const WalkLimits limits = limits_of(index);
    image_.load(segment, limits.limit_bytes);
    tell_unread(segment);
    RunCheck runs(segment, *shards_, totals_, findings_);
    const WalkEnd end = walk_segment(image_.bytes(), segment.header, limits, runs);
    check_end(index, end, limits);
    const bool whole = !runs.damaged() && end.damage_count == 0;
    if (segment.tail == SegmentFile::Tail::kSealed) {
        ++totals_.footer_count;
        auto footer = check_footer(segment, whole ? &runs.runs() : nullptr,
                                   whole && state_known_ ? shards_.get() : nullptr, findings_);
        state_known_ = footer != nullptr;
        if (footer != nullptr) {
            shards_ = std::move(footer);
        } else if (segment.relocated()) {
            shards_ = empty_table();
        }
    } else if (!whole) {
        state_known_ = false;
    }
    if (!end.torn) return true;
    for (size_t i = index + 1; i < segments_.size(); ++i)
        findings_.note(segments_[i].path, 0,
                       fmt::format("segment {} lies behind the tear: the next start removes it",
                                   segments_[i].header.segment_number));
    return false;
}

Totals JournalCheck::run(const std::string& directory) {
    std::vector<std::string> strangers;
    for (const std::string& path : slots_of(directory, strangers)) take_slot(path);
    for (const std::string& path : strangers)
        findings_.note(path, 0, "not a segment: ignored");
    order();
    if (segments_.empty())
        findings_.note(directory, 0, "a journal without a segment");
    totals_.journal_count = 1;
    for (size_t i = 0; i < segments_.size(); ++i) {
        if (!check_segment(i)) break;
    }
    return totals_;
}

}  // namespace

void Totals::add(const Totals& other) {
    journal_count += other.journal_count;
    segment_count += other.segment_count;
    commit_count += other.commit_count;
    run_count += other.run_count;
    record_count += other.record_count;
    stored_bytes += other.stored_bytes;
    fact_count += other.fact_count;
    footer_count += other.footer_count;
    ready_count += other.ready_count;
    relocated_count += other.relocated_count;
}

std::vector<std::string> slots_of(const std::string& directory,
                                  std::vector<std::string>& strangers) {
    std::vector<std::string> slots;
    for (const auto& entry : std::filesystem::directory_iterator(directory)) {
        uint32_t index = 0;
        const std::string name = entry.path().filename().string();
        (journal::parse_slot_name(name.c_str(), index) ? slots : strangers)
            .push_back(entry.path().string());
    }
    std::sort(slots.begin(), slots.end());
    std::sort(strangers.begin(), strangers.end());
    return slots;
}

Totals check_journal(const std::string& directory, uint32_t journal_id, const BoxIdentity& box,
                     Findings& findings, const Progress& progress) {
    return JournalCheck(box, journal_id, findings, progress).run(directory);
}

}  // namespace eagre::inspect
