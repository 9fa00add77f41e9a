#include "tools/eagre/inspect/segment_walk.h"

#include <algorithm>

#include <fmt/format.h>

#include "tools/eagre/inspect/input_file.h"

namespace eagre::inspect {
namespace {

using journal::CommitExpected;
using journal::CommitHeader;
using journal::CommitScan;
using journal::RunHeader;
using journal::ScannedCommit;
using Verdict = journal::ScannedCommit::Verdict;

// What may have been under way when a process ended: twice the default memory window. Farther
// behind a tear nothing is looked for.
constexpr uint64_t kInFlightBytesMax = 64ULL << 20U;

class Walk {
  public:
    Walk(std::span<const std::byte> image, const journal::SegmentHeader& segment,
         const WalkLimits& limits, SegmentVisitor& visitor)
        : image_(image),
          segment_(segment),
          limits_(limits),
          visitor_(visitor),
          scan_(image, std::min<uint64_t>(limits.limit_bytes, image.size()), segment, true) {}

    WalkEnd run();

  private:
    bool end_or_tear(const CommitExpected& expected);
    bool pass_damage(ScannedCommit& commit, CommitExpected& expected);
    void take(const ScannedCommit& commit);
    void check_padding(uint64_t end_bytes);
    void damage(uint64_t offset_bytes, const std::string& what) {
        ++end_.damage_count;
        visitor_.on_damage(offset_bytes, what);
    }
    std::string describe_commit(const CommitExpected& expected) const;
    void describe_runs(const ScannedCommit& commit);
    uint64_t limit() const { return std::min<uint64_t>(limits_.limit_bytes, image_.size()); }

    std::span<const std::byte> image_;
    const journal::SegmentHeader& segment_;
    const WalkLimits& limits_;
    SegmentVisitor& visitor_;
    CommitScan scan_;
    WalkEnd end_;
};

void salvage(const CommitScan& scan, std::span<const std::byte> image, uint64_t from, uint64_t to,
             SegmentVisitor& visitor) {
    for (uint64_t at = journal::align_up(from, 8); at < to;) {
        RunHeader header;
        if (!scan.run_at(at, header)) {
            at += 8;
            continue;
        }
        visitor.on_run({header, at, image.subspan(at + sizeof(RunHeader), header.stored_bytes),
                        true, true});
        at += sizeof(RunHeader) + header.stored_bytes;
    }
}

std::string Walk::describe_commit(const CommitExpected& expected) const {
    const uint64_t at = end_.offset_bytes;
    if (at + sizeof(CommitHeader) > limit()) return "the segment ends inside a commit header";
    const auto header = journal::load<CommitHeader>(image_.data() + at);
    if (header.magic != journal::kCommitMagic)
        return fmt::format("commit {} is missing: no commit header here", expected.number);
    if (!journal::verify(header))
        return fmt::format("commit header (should be {}) fails its CRC", expected.number);
    if (header.nonce != segment_.nonce || header.segment_number != segment_.segment_number ||
        header.incarnation != segment_.incarnation)
        return fmt::format("commit {} is missing: a header of another life of the file is here",
                           expected.number);
    if (header.number != expected.number)
        return fmt::format("commit {} stands where commit {} should be", header.number,
                           expected.number);
    return fmt::format("chain broken: commit {} names {:08x} as the CRC before it, which is {:08x}",
                       header.number, header.previous_crc, expected.previous_crc);
}

// Which run header of a commit whose own header is good.
void Walk::describe_runs(const ScannedCommit& commit) {
    const uint64_t end = commit.offset_bytes + commit.header.commit_bytes;
    uint64_t at = commit.offset_bytes + sizeof(CommitHeader);
    if (end > limit()) {
        damage(commit.offset_bytes,
               fmt::format("commit {} reaches beyond the end of the segment's commits",
                           commit.header.number));
        return;
    }
    for (uint32_t i = 0; i < commit.header.run_count; ++i) {
        if (at + sizeof(RunHeader) > end) break;
        const auto run = journal::load<RunHeader>(image_.data() + at);
        if (!journal::verify(run)) {
            damage(at, fmt::format("header of run {} of {} in commit {} fails its CRC", i + 1,
                                   commit.header.run_count, commit.header.number));
            return;
        }
        at += sizeof(RunHeader) + run.stored_bytes;
        if (at > end) break;
    }
    damage(commit.offset_bytes,
           fmt::format("run headers of commit {} are not those that it was written with",
                       commit.header.number));
}

void Walk::check_padding(uint64_t end_bytes) {
    const auto padding = image_.subspan(end_.offset_bytes, end_bytes - end_.offset_bytes);
    if (!all_zero(padding))
        damage(end_.offset_bytes,
               fmt::format("{} bytes of padding are not all zero", padding.size()));
}

void Walk::take(const ScannedCommit& commit) {
    if (commit.offset_bytes > end_.offset_bytes && end_.chain_known) {
        check_padding(commit.offset_bytes);
    }
    visitor_.on_commit(commit);
    scan_.for_each_run(commit, [&](const RunHeader& header, uint64_t at, bool good) {
        if (!good) {
            damage(at, fmt::format("stored bytes of the run of shard {} at sequence {} in commit "
                                   "{} fail their CRC ({} bytes)",
                                   header.shard, header.first_sequence, commit.header.number,
                                   header.stored_bytes));
        }
        visitor_.on_run({header, at, image_.subspan(at + sizeof(RunHeader), header.stored_bytes),
                         good, false});
    });
    end_.offset_bytes = commit.offset_bytes + commit.header.commit_bytes;
    end_.commit_number = commit.header.number;
    end_.commit_crc = commit.header.header_crc;
    end_.chain_known = true;
}

// True when nothing durable can lie behind: the end of the commits, or a tear.
bool Walk::end_or_tear(const CommitExpected& expected) {
    if (limits_.exact) return false;
    if (limits_.last_commit_said != 0 && limits_.last_commit_said == expected.number - 1)
        return true;
    const uint64_t mark =
        std::max(limits_.durable_mark, scan_.durable_mark_behind(end_.offset_bytes));
    if (mark >= expected.number) return false;
    ScannedCommit behind;
    const CommitScan near(image_, std::min(limit(), end_.offset_bytes + kInFlightBytesMax),
                          segment_, false);
    end_.torn = limits_.last_commit_said != 0 || near.find_header(end_.offset_bytes, 0, behind);
    return true;
}

// Goes on at the next good commit header. False: there is none.
bool Walk::pass_damage(ScannedCommit& commit, CommitExpected& expected) {
    const bool bad_runs = commit.verdict == Verdict::kBadRuns;
    const uint64_t below = bad_runs ? expected.number : expected.number - 1;
    if (bad_runs) {
        describe_runs(commit);
    } else {
        damage(end_.offset_bytes, describe_commit(expected));
    }
    ScannedCommit next;
    if (!scan_.find_header(end_.offset_bytes, below, next)) {
        salvage(scan_, image_, end_.offset_bytes, limit(), visitor_);
        end_.chain_known = false;
        if (limits_.exact) end_.offset_bytes = limit();
        return false;
    }
    salvage(scan_, image_, end_.offset_bytes, next.offset_bytes, visitor_);
    if (next.header.number > expected.number)
        damage(end_.offset_bytes, fmt::format("commits {} to {} are lost", expected.number,
                                              next.header.number - 1));
    end_.offset_bytes = next.offset_bytes;
    end_.chain_known = false;
    expected = {next.header.number, 0, false};
    return true;
}

WalkEnd Walk::run() {
    const journal::Predecessor& before = segment_.predecessor;
    end_.offset_bytes = journal::kSegmentDataOffset;
    end_.commit_number = before.commit_number;
    end_.commit_crc = before.commit_crc;
    CommitExpected expected{before.commit_number + 1, before.commit_crc, true};
    while (!limits_.exact || end_.offset_bytes < limit()) {
        ScannedCommit commit = scan_.next(end_.offset_bytes, expected);
        if (commit.verdict == Verdict::kGood ||
            (commit.verdict == Verdict::kBadPayload && !end_or_tear(expected))) {
            take(commit);
            expected = {commit.header.number + 1, commit.header.header_crc, true};
            continue;
        }
        if (commit.verdict == Verdict::kBadPayload || end_or_tear(expected)) break;
        if (!pass_damage(commit, expected)) break;
    }
    return end_;
}

}  // namespace

WalkEnd walk_segment(std::span<const std::byte> image, const journal::SegmentHeader& segment,
                     const WalkLimits& limits, SegmentVisitor& visitor) {
    return Walk(image, segment, limits, visitor).run();
}

void salvage_runs(std::span<const std::byte> image, uint64_t from, uint64_t to,
                  SegmentVisitor& visitor) {
    const journal::SegmentHeader unknown;
    const CommitScan scan(image, std::min<uint64_t>(to, image.size()), unknown, true);
    salvage(scan, image, from, std::min<uint64_t>(to, image.size()), visitor);
}

}  // namespace eagre::inspect
