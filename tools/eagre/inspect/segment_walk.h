#pragma once
// The commits of one segment from front to back, over damage and up to a tear, as recovery reads
// them: the same CommitScan decides what is a commit and what is not. Nothing is changed; the
// visitor hears of everything in the order of offsets.

#include <cstdint>
#include <span>
#include <string>

#include "dataplane/journal/commit_scan.h"

namespace eagre::inspect {

class SegmentVisitor {
  public:
    virtual ~SegmentVisitor() = default;
    virtual void on_commit(const journal::ScannedCommit& commit) = 0;
    struct Run {
        journal::RunHeader header;
        uint64_t offset_bytes;
        std::span<const std::byte> stored;
        bool good;      // The stored bytes have the CRC that the header says.
        bool salvaged;  // Found between damage, not by way of its commit.
    };
    virtual void on_run(const Run& run) = 0;
    /// `what`: the structure at `offset_bytes` and what is wrong with it.
    virtual void on_damage(uint64_t offset_bytes, const std::string& what) = 0;
};

struct WalkLimits {
    uint64_t limit_bytes = 0;  // Nothing at or behind it is looked at.
    bool exact = false;        // Commits end there, as a trailer or a later incarnation recorded.
    uint64_t durable_mark = 0;  // Highest commit that later segments know to be durable.
    /// Number of the last commit by the word of the next segment of the same process; 0: nobody
    /// says.
    uint64_t last_commit_said = 0;
};

struct WalkEnd {
    uint64_t offset_bytes = 0;  // Behind the last commit.
    uint64_t commit_number = 0;
    uint32_t commit_crc = 0;   // Its header_crc.
    bool chain_known = true;   // False when damage hides the last commit.
    bool torn = false;         // Behind the end lie commits that were never acknowledged.
    uint64_t damage_count = 0;
};

/// `image`: the segment from offset 0, at least `limits.limit_bytes` long.
WalkEnd walk_segment(std::span<const std::byte> image, const journal::SegmentHeader& segment,
                     const WalkLimits& limits, SegmentVisitor& visitor);

/// Whole runs in [from, to) of a segment whose header is lost: of any life of the file.
void salvage_runs(std::span<const std::byte> image, uint64_t from, uint64_t to,
                  SegmentVisitor& visitor);

}  // namespace eagre::inspect
