#pragma once
// Reading commits out of the bytes of a segment that nobody vouches for. Pure functions over
// memory; fuzzed.

#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/journal/segment_format.h"

namespace eagre::journal {

struct ScannedCommit {
    enum class Verdict : uint8_t {
        kNone,        // No commit of this segment with the number expected.
        kBadRuns,     // Its header is good, its run headers are not.
        kBadPayload,  // All headers are good; some run's stored bytes are not.
        kGood,
    };
    Verdict verdict = Verdict::kNone;
    uint64_t offset_bytes = 0;
    CommitHeader header;
};

/// What the next commit must say.
struct CommitExpected {
    uint64_t number = 0;
    uint32_t previous_crc = 0;
    bool previous_known = true;  // False behind damage.
};

class CommitScan {
  public:
    /// `bytes` is the segment from offset 0; nothing at or behind `limit_bytes` is looked at.
    CommitScan(std::span<const std::byte> bytes, uint64_t limit_bytes, const SegmentHeader& segment,
               bool check_payload)
        : bytes_(bytes),
          limit_bytes_(limit_bytes),
          segment_(segment),
          check_payload_(check_payload) {}

    /// The commit expected at `offset_bytes`, or at the next block boundary when that is padded.
    ScannedCommit next(uint64_t offset_bytes, const CommitExpected& expected) const;
    /// The first good commit header of this segment at or behind `offset_bytes` with a number above
    /// `number`, whatever became of its runs; false when there is none.
    bool find_header(uint64_t offset_bytes, uint64_t number, ScannedCommit& found) const;
    /// The highest durable mark in any good commit header at or behind `offset_bytes`; 0: none.
    uint64_t durable_mark_behind(uint64_t offset_bytes) const;
    /// Calls visit(header, offset, payload_good) for each run of a commit whose headers are good.
    template <class Visit>
    void for_each_run(const ScannedCommit& commit, Visit visit) const {
        uint64_t offset = commit.offset_bytes + sizeof(CommitHeader);
        for (uint32_t i = 0; i < commit.header.run_count; ++i) {
            const auto header = load<RunHeader>(bytes_.data() + offset);
            visit(header, offset, payload_good(header, offset));
            offset += sizeof(RunHeader) + header.stored_bytes;
        }
    }
    /// A whole, good run at `offset_bytes`.
    bool run_at(uint64_t offset_bytes, RunHeader& header) const;

  private:
    ScannedCommit examine(uint64_t offset_bytes, const CommitExpected& expected) const;
    bool header_at(uint64_t offset_bytes, CommitHeader& header) const;
    bool payload_good(const RunHeader& header, uint64_t offset_bytes) const;

    std::span<const std::byte> bytes_;
    uint64_t limit_bytes_;
    const SegmentHeader& segment_;
    bool check_payload_;
};

}  // namespace eagre::journal
