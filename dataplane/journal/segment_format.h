#pragma once
// Every structure on disk, as FORMAT.md describes it. Little-endian, no padding, sizes pinned. Each
// structure that stands for itself (segment header, trailer) fits one 512-byte sector, so that a
// device cannot tear it.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "dataplane/journal/journal.h"
#include "wire/base/crc32c.h"

namespace eagre::journal {

inline constexpr uint32_t kFormatVersion = 1;
/// Of relocated segments: a build that knows only version 1 would read their runs twice.
inline constexpr uint32_t kFormatVersionRelocated = 2;
inline constexpr uint32_t kFormatVersionMax = kFormatVersionRelocated;
inline constexpr uint64_t kSegmentMagic = 0x3147455345524741;  // "AGRESEG1"
inline constexpr uint64_t kTrailerMagic = 0x314C525445524741;  // "AGRETRL1"
inline constexpr uint32_t kCommitMagic = 0x31544D43;           // "CMT1"
inline constexpr uint32_t kPageMagic = 0x31475046;             // "FPG1"

/// The header block, the trailer block and every footer page have this size, whatever the device's
/// block is.
inline constexpr uint64_t kPageBytes = 4096;
inline constexpr uint64_t kSegmentDataOffset = kPageBytes;  // First commit.
inline constexpr uint64_t kSegmentBytesMax = 16ULL << 30U;

enum class SegmentKind : uint32_t { kNormal = 1, kRelocated = 2, kReady = 3 };

/// What precedes a segment in its journal: where that one was cut, and the last commit before the
/// cut.
struct Predecessor {
    uint64_t segment_number = 0;  // 0: none.
    uint64_t incarnation = 0;
    uint64_t cut_bytes = 0;      // Offset behind the last commit; bytes from there on do not exist.
    uint64_t commit_number = 0;  // Last commit before the cut (0: none yet).
    uint32_t commit_crc = 0;     // Its header_crc.
    uint32_t reserved = 0;
};
static_assert(sizeof(Predecessor) == 40);

/// What a relocated segment stands for; zeros in any other. Its header is written last, when all else is durable.
struct Relocation {
    uint64_t serial = 0;        // Of one incarnation, from 1: of two that overlap the later one counts.
    uint64_t last_number = 0;   // It replaces the segments from its own number to this one.
    uint64_t end_bytes = 0;     // Offset behind its last commit.
    uint64_t rest_nonce = 0;    // Of the segment behind, whose beginning is here, too; 0: none.
    uint64_t rest_offset = 0;   // That one counts from this offset on.
};
static_assert(sizeof(Relocation) == 40);

struct SegmentHeader {
    uint64_t magic = kSegmentMagic;
    uint32_t crc = 0;  // CRC-32C of the 500 bytes behind it.
    uint32_t format_version = kFormatVersion;
    uint64_t box_id_high = 0;
    uint64_t box_id_low = 0;
    uint32_t journal_id = 0;
    SegmentKind kind = SegmentKind::kReady;
    uint64_t segment_number = 0;
    uint64_t incarnation = 0;
    uint64_t segment_bytes = 0;
    uint64_t nonce = 0;  // Known to nobody outside the box; in every commit header, so that payload
                         // cannot forge one.
    uint32_t block_bytes = 0;
    uint32_t reserved = 0;
    Predecessor predecessor;
    Relocation relocation;
    /// Highest commit that was durable before this header was written: of the runs that recovery moved here. 0: none, or not known.
    uint64_t durable_mark = 0;
    std::byte zeros[344] = {};
};
static_assert(sizeof(SegmentHeader) == 512);
static_assert(offsetof(SegmentHeader, predecessor) == 80);
static_assert(offsetof(SegmentHeader, relocation) == 120);
static_assert(offsetof(SegmentHeader, durable_mark) == 160);

/// Of the last segment that this one stands for: as a rule itself.
inline uint64_t last_number(const SegmentHeader& header) {
    return header.kind == SegmentKind::kRelocated ? header.relocation.last_number : header.segment_number;
}

struct CommitHeader {
    uint32_t magic = kCommitMagic;
    uint32_t header_crc = 0;    // CRC-32C of the 56 bytes behind it.
    uint32_t commit_bytes = 0;  // Header and runs, without padding. Multiple of 8.
    uint32_t run_count = 0;
    uint64_t number = 0;
    uint64_t incarnation = 0;
    uint64_t segment_number = 0;
    uint64_t durable_mark = 0;  // Highest commit known durable when this one was formed.
    uint32_t previous_crc = 0;  // header_crc of the commit before.
    uint32_t runs_crc = 0;      // CRC-32C over all run headers in order.
    uint64_t nonce = 0;         // The segment's.
};
static_assert(sizeof(CommitHeader) == 64);
static_assert(offsetof(CommitHeader, previous_crc) == 48);

inline constexpr uint32_t kTrailerClosed =
    0x1;  // Written by close(): nothing was under way when the process ended.

/// Last page of a sealed segment: where its footer is and what it sums up to.
struct Trailer {
    uint64_t magic = kTrailerMagic;
    uint32_t crc = 0;  // CRC-32C of the 500 bytes behind it.
    uint32_t flags = 0;
    uint64_t segment_number = 0;
    uint64_t incarnation = 0;
    uint64_t end_bytes = 0;  // Offset behind the last commit.
    uint64_t commit_number = 0;
    uint64_t footer_offset = 0;  // Pages: directory, extents, facts, producers.
    uint32_t directory_pages = 0;
    uint32_t extent_pages = 0;
    uint32_t fact_pages = 0;
    uint32_t producer_pages = 0;
    uint32_t shard_count = 0;
    uint32_t extent_count = 0;
    uint32_t producer_count = 0;
    uint32_t commit_crc = 0;
    uint64_t first_arrival_ns = 0;  // Of any run in it; 0: none.
    uint64_t last_arrival_ns = 0;
    uint64_t shard_id_max = 0;
    uint64_t stream_id_max = 0;
    uint32_t fact_count = 0;  // Of a relocated segment; in any other there is one for each shard.
    std::byte zeros[388] = {};
};
static_assert(sizeof(Trailer) == 512);
static_assert(offsetof(Trailer, first_arrival_ns) == 88);

enum class FooterSection : uint32_t { kDirectory = 1, kExtents = 2, kFacts = 3, kProducers = 4 };

struct PageHeader {
    uint32_t magic = kPageMagic;
    uint32_t crc = 0;  // CRC-32C of the 4088 bytes behind it.
    uint64_t segment_number = 0;
    uint64_t incarnation = 0;
    FooterSection section{};
    uint32_t page_index = 0;  // Within the section.
    uint32_t entry_count = 0;
    uint32_t reserved = 0;
    uint64_t zeros[3] = {};
};
static_assert(sizeof(PageHeader) == 64);
inline constexpr uint64_t kPagePayloadBytes = kPageBytes - sizeof(PageHeader);

/// One per shard known at the segment's end, sorted by shard.
struct DirectoryEntry {
    uint64_t shard = 0;
    uint64_t first_sequence = 0;  // Of its first run in this segment; 0: it has none here.
    uint64_t next_sequence = 0;   // Behind its last run so far, in this segment or before.
    uint64_t last_arrival_ns = 0;
    uint32_t extent_index = 0;
    uint32_t extent_count = 0;
    uint64_t trim_horizon = 0;
    uint64_t first_arrival_ns = 0;  // Of its first run in this segment.
    uint64_t run_bytes = 0;  // Of its runs in this segment, headers included; 0 beside extents: not known.
};
static_assert(sizeof(DirectoryEntry) == 64);
inline constexpr uint32_t kDirectoryPerPage = kPagePayloadBytes / sizeof(DirectoryEntry);

/// A stretch of a segment that holds consecutive runs of one shard, perhaps with a little of others
/// between them.
struct Extent {
    uint64_t first_sequence = 0;
    uint64_t arrival_ns = 0;    // Of its first run.
    uint32_t offset_units = 0;  // Of its first run header, in 8 bytes.
    uint32_t bytes = 0;         // To the end of its last run.
    uint32_t record_count = 0;
    uint32_t reserved = 0;
    uint64_t offset_bytes() const { return uint64_t{offset_units} * 8; }
    uint64_t end_bytes() const { return offset_bytes() + bytes; }
    uint64_t end_sequence() const { return first_sequence + record_count; }
};
static_assert(sizeof(Extent) == 32);
inline constexpr uint32_t kExtentsPerPage = kPagePayloadBytes / sizeof(Extent);

inline constexpr uint16_t kFactOpen = 0x1;
inline constexpr uint16_t kFactDeleted = 0x2;

/// ShardFacts in a footer.
struct FactRecord {
    uint64_t shard, stream;
    uint64_t starting_high, starting_low, ending_high, ending_low;
    uint64_t parent, adjacent_parent;
    uint64_t first_sequence, next_sequence, trim_horizon;
    uint64_t last_arrival_ns, opened_ns, map_version, retention_ms, record_bytes_max,
        stream_created_ns;
    uint64_t command_id, epoch;
    uint64_t deleted_segment;  // Segment that was live when the shard was deleted; 0: not deleted.
    uint16_t flags, name_bytes;
    uint32_t ordinal;  // 0 where an older Eagre wrote.
    char name[128];
    uint64_t retention_bytes, quota_bytes_per_s, quota_records_per_s;  // 0 where an older Eagre wrote: none.
};
static_assert(sizeof(FactRecord) == 320);
inline constexpr uint32_t kFactsPerPage = kPagePayloadBytes / sizeof(FactRecord);

struct ResultRecord {
    uint64_t batch_number, first_sequence;
    uint32_t record_count, payload_crc;
};
struct ProducerRecord {
    uint64_t producer, shard, last_arrival_ns;
    uint32_t result_count, reserved;
    ResultRecord results[16];
};
static_assert(sizeof(ProducerRecord) == 416);
inline constexpr uint32_t kProducersPerPage = kPagePayloadBytes / sizeof(ProducerRecord);

constexpr uint64_t align_up(uint64_t value, uint64_t to) {
    return (value + to - 1) / to * to;
}
constexpr uint64_t align_down(uint64_t value, uint64_t to) {
    return value / to * to;
}
constexpr uint64_t pages_for(uint64_t count, uint64_t per_page) {
    return (count + per_page - 1) / per_page;
}

/// CRC of everything in `value` behind its first `skip` bytes.
template <class T>
uint32_t crc_behind(const T& value, size_t skip) {
    return crc32c(std::as_bytes(std::span(&value, 1)).subspan(skip));
}
inline void seal(SegmentHeader& header) {
    header.crc = crc_behind(header, 12);
}
inline void seal(Trailer& trailer) {
    trailer.crc = crc_behind(trailer, 12);
}
inline void seal(CommitHeader& header) {
    header.header_crc = crc_behind(header, 8);
}
inline void seal(RunHeader& header) {
    header.magic = kRunMagic;
    header.header_crc = crc_behind(header, 8);
}
inline bool verify(const SegmentHeader& header) {
    return header.magic == kSegmentMagic && header.crc == crc_behind(header, 12);
}
inline bool verify(const Trailer& trailer) {
    return trailer.magic == kTrailerMagic && trailer.crc == crc_behind(trailer, 12);
}
inline bool verify(const CommitHeader& header) {
    return header.magic == kCommitMagic && header.header_crc == crc_behind(header, 8) &&
           header.commit_bytes >= sizeof(CommitHeader) && header.commit_bytes % 8 == 0;
}
inline bool verify(const RunHeader& header) {
    return header.magic == kRunMagic && header.header_crc == crc_behind(header, 8) &&
           header.stored_bytes % 8 == 0;
}
/// Copies a structure out of bytes of any alignment; the caller has checked that it fits.
template <class T>
T load(const std::byte* from) {
    T value;
    std::memcpy(static_cast<void*>(&value), from, sizeof(T));
    return value;
}

/// The nonce of the segment behind one with `previous`; deterministic, so that a header written
/// twice is the same twice.
constexpr uint64_t next_nonce(uint64_t previous, uint64_t incarnation, uint64_t segment_number) {
    uint64_t z = previous + 0x9E3779B97F4A7C15ULL * (incarnation + 1) +
                 0xD1B54A32D192ED03ULL * segment_number;
    z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27U)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31U);
}

}  // namespace eagre::journal
