#include "dataplane/journal/commit_scan.h"

#include <algorithm>

namespace eagre::journal {

bool CommitScan::header_at(uint64_t offset_bytes, CommitHeader& header) const {
    if (offset_bytes + sizeof(CommitHeader) > limit_bytes_) return false;
    if (load<uint32_t>(bytes_.data() + offset_bytes) != kCommitMagic) return false;
    header = load<CommitHeader>(bytes_.data() + offset_bytes);
    return header.nonce == segment_.nonce && header.segment_number == segment_.segment_number &&
           header.incarnation == segment_.incarnation && verify(header);
}

bool CommitScan::payload_good(const RunHeader& header, uint64_t offset_bytes) const {
    const std::byte* payload = bytes_.data() + offset_bytes + sizeof(RunHeader);
    return !check_payload_ || crc32c({payload, header.stored_bytes}) == header.payload_crc;
}

bool CommitScan::run_at(uint64_t offset_bytes, RunHeader& header) const {
    if (offset_bytes + sizeof(RunHeader) > limit_bytes_) return false;
    if (load<uint32_t>(bytes_.data() + offset_bytes) != kRunMagic) return false;
    header = load<RunHeader>(bytes_.data() + offset_bytes);
    return verify(header) &&
           offset_bytes + sizeof(RunHeader) + header.stored_bytes <= limit_bytes_ &&
           payload_good(header, offset_bytes);
}

ScannedCommit CommitScan::examine(uint64_t offset_bytes, const CommitExpected& expected) const {
    ScannedCommit commit;
    commit.offset_bytes = offset_bytes;
    if (!header_at(offset_bytes, commit.header) || commit.header.number != expected.number)
        return commit;
    if (expected.previous_known && commit.header.previous_crc != expected.previous_crc)
        return commit;
    commit.verdict = ScannedCommit::Verdict::kBadRuns;
    const uint64_t end = offset_bytes + commit.header.commit_bytes;
    if (end > limit_bytes_) return commit;
    uint64_t at = offset_bytes + sizeof(CommitHeader);
    uint32_t runs_crc = 0;
    bool payloads_good = true;
    for (uint32_t i = 0; i < commit.header.run_count; ++i) {
        if (at + sizeof(RunHeader) > end) return commit;
        const auto run = load<RunHeader>(bytes_.data() + at);
        if (!verify(run) || at + sizeof(RunHeader) + run.stored_bytes > end) return commit;
        runs_crc = crc32c(std::as_bytes(std::span(&run, 1)), runs_crc);
        payloads_good = payload_good(run, at) && payloads_good;
        at += sizeof(RunHeader) + run.stored_bytes;
    }
    if (at != end || runs_crc != commit.header.runs_crc) return commit;
    commit.verdict =
        payloads_good ? ScannedCommit::Verdict::kGood : ScannedCommit::Verdict::kBadPayload;
    return commit;
}

ScannedCommit CommitScan::next(uint64_t offset_bytes, const CommitExpected& expected) const {
    const ScannedCommit behind = examine(offset_bytes, expected);
    if (behind.verdict != ScannedCommit::Verdict::kNone) return behind;
    const uint64_t block = std::max(segment_.block_bytes, 8U);
    const uint64_t padded = align_up(offset_bytes, block);
    return padded == offset_bytes ? behind : examine(padded, expected);
}

bool CommitScan::find_header(uint64_t offset_bytes, uint64_t number, ScannedCommit& found) const {
    for (uint64_t at = align_up(offset_bytes, 8); at + sizeof(CommitHeader) <= limit_bytes_;
         at += 8) {
        if (header_at(at, found.header) && found.header.number > number) {
            found.offset_bytes = at;
            return true;
        }
    }
    return false;
}

uint64_t CommitScan::durable_mark_behind(uint64_t offset_bytes) const {
    uint64_t mark = 0;
    CommitHeader header;
    for (uint64_t at = align_up(offset_bytes, 8); at + sizeof(CommitHeader) <= limit_bytes_;
         at += 8) {
        if (header_at(at, header)) mark = std::max(mark, header.durable_mark);
    }
    return mark;
}

}  // namespace eagre::journal
