#pragma once
// What Eagre has written, as text, one line a structure with its offset; past damage it goes on and
// says where. Returns are true when everything printed was whole.

#include <cstdint>
#include <cstdio>
#include <span>
#include <string>

#include "dataplane/journal/segment_format.h"
#include "tools/eagre/inspect/segment_file.h"

namespace eagre::inspect {

struct DumpOptions {
    bool records = false;      // Keys and data of every record, too.
    bool summary = false;      // Headers, footers' totals and damage only; no commits and runs.
    uint64_t shard = 0;        // Only runs, facts and index of this shard; 0: all.
    uint32_t data_bytes = 64;  // Of each record's data shown.
};

/// A path of any kind: data directory, journal directory, segment, catalogue, identity, or frames as
/// they were captured. Throws std::runtime_error when it can't be opened or is none of these.
bool dump_path(const std::string& path, const DumpOptions& options, std::FILE* out);

bool dump_segment(const std::string& path, const DumpOptions& options, std::FILE* out);
/// The pages of a sealed segment's footer, each verified.
bool dump_footer(const SegmentFile& segment, const DumpOptions& options, std::FILE* out);
/// Frames one behind the other; what is none is skipped to the next header that verifies.
/// `frame_count`: how many there were.
bool dump_frames(const std::string& path, const DumpOptions& options, std::FILE* out,
                 uint64_t& frame_count);

// What the above share.
void print_fact(const journal::FactRecord& fact, std::FILE* out);
/// The records of a stored or framed batch that has been verified; `first_sequence` 0: not numbered.
bool print_records(std::span<const std::byte> payload, uint32_t record_count,
                   uint64_t first_sequence, const DumpOptions& options, std::FILE* out);
std::string time_text(uint64_t wall_ns);
/// Printable ASCII as it is, everything else as \xNN, at most `bytes_max` bytes of it.
std::string escaped(std::span<const std::byte> bytes, uint32_t bytes_max);

}  // namespace eagre::inspect
