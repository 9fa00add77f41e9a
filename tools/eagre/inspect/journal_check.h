#pragma once
// One journal, checked from its oldest segment to its newest: headers, commit chain and cuts, run
// and payload CRCs, batches, facts, and every footer against the runs that it indexes.

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "dataplane/data_directory.h"
#include "dataplane/journal/facts.h"
#include "tools/eagre/inspect/findings.h"
#include "tools/eagre/inspect/segment_file.h"
#include "tools/eagre/inspect/segment_walk.h"

namespace eagre::inspect {

/// What was looked at. Of a whole directory: the sum of its journals.
struct Totals {
    uint64_t journal_count = 0;
    uint64_t segment_count = 0;
    uint64_t commit_count = 0;
    uint64_t run_count = 0;
    uint64_t record_count = 0;
    uint64_t stored_bytes = 0;
    uint64_t fact_count = 0;
    uint64_t footer_count = 0;
    uint64_t ready_count = 0;
    uint64_t relocated_count = 0;
    void add(const Totals& other);
};

/// A data run as the footer must know it.
struct IndexedRun {
    uint64_t shard;
    uint64_t first_sequence;
    uint64_t arrival_ns;
    uint64_t offset_bytes;
    uint64_t producer;
    uint64_t batch_number;
    uint32_t record_count;
    uint32_t bytes;  // Header included.
    uint32_t payload_crc;
};

/// Checks every page of a sealed segment's footer, then the directory and the extents against
/// `runs` (in order of offsets, complete). `facts`: what replaying the journal up to here has
/// given; null when that is not known. Returns the footer's own state, null when it can't be
/// loaded.
std::unique_ptr<journal::ShardTable> check_footer(const SegmentFile& segment,
                                                  const std::vector<IndexedRun>* runs,
                                                  journal::ShardTable* facts, Findings& findings);

/// Told before each segment is read: its path.
using Progress = std::function<void(const std::string&)>;

/// `directory`: DATA/journal-NNNN. Throws std::runtime_error when it can't be listed.
Totals check_journal(const std::string& directory, uint32_t journal_id, const BoxIdentity& box,
                     Findings& findings, const Progress& progress);

/// The slots of a journal's directory, by name; `strangers`: other names in it.
std::vector<std::string> slots_of(const std::string& directory,
                                  std::vector<std::string>& strangers);

}  // namespace eagre::inspect
