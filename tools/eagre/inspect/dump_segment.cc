#include <algorithm>

#include <fmt/format.h>

#include "dataplane/journal/facts.h"
#include "tools/eagre/inspect/dump.h"
#include "tools/eagre/inspect/segment_walk.h"

namespace eagre::inspect {
namespace {

using journal::kPageBytes;

class Printer final : public SegmentVisitor {
  public:
    Printer(const DumpOptions& options, std::FILE* out) : options_(options), out_(out) {}

    void on_commit(const journal::ScannedCommit& commit) override {
        ++commit_count;
        if (options_.summary || options_.shard != 0) return;
        fmt::print(out_,
                   "  {:#012x} commit {} {} bytes {} runs durable_mark {} previous_crc {:08x} crc "
                   "{:08x}\n",
                   commit.offset_bytes, commit.header.number, commit.header.commit_bytes,
                   commit.header.run_count, commit.header.durable_mark, commit.header.previous_crc,
                   commit.header.header_crc);
    }
    void on_run(const Run& run) override {
        ++run_count;
        const journal::RunHeader& header = run.header;
        if (options_.summary || (options_.shard != 0 && header.shard != options_.shard)) return;
        fmt::print(out_, "  {:#012x}   {}", run.offset_bytes, run.salvaged ? "salvaged " : "");
        if ((header.flags & journal::kRunFlagSystem) != 0) {
            print_system(run);
            return;
        }
        fmt::print(out_, "run shard {} sequences {}..{} {} bytes arrival {}", header.shard,
                   header.first_sequence, header.first_sequence + header.record_count - 1,
                   header.stored_bytes, time_text(header.arrival_ns));
        if (header.producer != 0)
            fmt::print(out_, " producer {:016x} batch {}", header.producer, header.batch_number);
        fmt::print(out_, "{}\n", run.good ? "" : " (its stored bytes are damaged)");
        if (run.good)
            batches_good = print_records(run.stored, header.record_count, header.first_sequence,
                                         options_, out_) &&
                           batches_good;
    }
    void on_damage(uint64_t offset_bytes, const std::string& what) override {
        fmt::print(out_, "  {:#012x} DAMAGED: {}\n", offset_bytes, what);
    }

    uint64_t commit_count = 0;
    uint64_t run_count = 0;
    bool batches_good = true;

  private:
    void print_system(const Run& run) {
        const auto facts = journal::decode_fact(run.stored);
        if (!run.good || !facts) {
            fmt::print(out_, "fact of shard {}, DAMAGED\n", run.header.shard);
            batches_good = false;
            return;
        }
        journal::ShardState state;
        journal::merge_facts(state, *facts);
        fmt::print(out_, "fact ");
        print_fact(journal::to_record(state), out_);
    }

    const DumpOptions& options_;
    std::FILE* out_;
};

const char* kind_name(journal::SegmentKind kind) {
    switch (kind) {
        case journal::SegmentKind::kNormal:
            return "normal";
        case journal::SegmentKind::kRelocated:
            return "relocated";
        case journal::SegmentKind::kReady:
            return "ready";
    }
    return "?";
}

void print_header(const journal::SegmentHeader& header, std::FILE* out) {
    fmt::print(out,
               "  {:#012x} header segment {} incarnation {} journal {} box {:016x}{:016x} kind {} "
               "version {} block {}\n",
               0, header.segment_number, header.incarnation, header.journal_id, header.box_id_high,
               header.box_id_low, kind_name(header.kind), header.format_version,
               header.block_bytes);
    const journal::Predecessor& before = header.predecessor;
    if (before.segment_number != 0)
        fmt::print(out,
                   "  {:#012x} predecessor segment {} incarnation {} cut {:#x} last commit {} crc "
                   "{:08x}\n",
                   offsetof(journal::SegmentHeader, predecessor), before.segment_number,
                   before.incarnation, before.cut_bytes, before.commit_number, before.commit_crc);
    if (header.durable_mark != 0)
        fmt::print(out, "  {:#012x} runs moved here, durable up to commit {}\n", offsetof(journal::SegmentHeader, durable_mark),
                   header.durable_mark);
    if (header.kind != journal::SegmentKind::kRelocated) return;
    const journal::Relocation& relocation = header.relocation;
    fmt::print(out, "  {:#012x} stands for segments {} to {}, serial {}, end {:#x}",
               offsetof(journal::SegmentHeader, relocation), header.segment_number,
               relocation.last_number, relocation.serial, relocation.end_bytes);
    if (relocation.rest_nonce != 0)
        fmt::print(out, "; of the one behind them up to {:#x}", relocation.rest_offset);
    fmt::print(out, "\n");
}

// Nothing is known of the segment: whole runs are still runs.
bool dump_headless(const SegmentFile& segment, const DumpOptions& options, std::FILE* out) {
    fmt::print(out,
               "  {:#012x} DAMAGED: the segment header fails its CRC; runs that are whole follow, "
               "of any life of the file\n",
               0);
    SegmentImage image;
    image.load(segment, segment.size_bytes);
    Printer printer(options, out);
    salvage_runs(image.bytes(), 0, segment.size_bytes, printer);
    fmt::print(out, "  {} runs salvaged\n", printer.run_count);
    return false;
}

void print_end(const SegmentFile& segment, const WalkEnd& end, const Printer& printer,
               std::FILE* out) {
    fmt::print(out, "  {:#012x} end behind commit {}: {} commits, {} runs{}\n", end.offset_bytes,
               end.commit_number, printer.commit_count, printer.run_count,
               end.torn                                        ? "; a torn tail follows"
               : segment.tail == SegmentFile::Tail::kSealed ? ""
                                                               : "; not sealed");
}

}  // namespace

bool dump_segment(const std::string& path, const DumpOptions& options, std::FILE* out) {
    const SegmentFile segment = read_segment_ends(path);
    fmt::print(out, "segment {} {} bytes\n", path, segment.size_bytes);
    if (segment.head == SegmentFile::Head::kEmpty) {
        fmt::print(out, "  empty: all zeros where the header should be\n");
        return segment.tail == SegmentFile::Tail::kAbsent;
    }
    if (segment.head == SegmentFile::Head::kNewerVersion) {
        fmt::print(out, "  {:#012x} format version {}: written by a newer Eagre\n", 12,
                   segment.header.format_version);
        return false;
    }
    if (segment.head != SegmentFile::Head::kGood) return dump_headless(segment, options, out);
    print_header(segment.header, out);
    if (segment.ready()) {
        fmt::print(out, "  ready for use: nothing in it counts\n");
        return true;
    }
    const bool sealed = segment.tail == SegmentFile::Tail::kSealed;
    WalkLimits limits;
    limits.exact = sealed;
    const uint64_t trailer_offset = segment.size_bytes - std::min(segment.size_bytes, kPageBytes);
    limits.limit_bytes = sealed ? segment.trailer.end_bytes : trailer_offset;
    SegmentImage image;
    image.load(segment, limits.limit_bytes);
    for (const Unreadable& part : image.unreadable())
        fmt::print(out, "  {:#012x} DAMAGED: {} bytes can't be read (errno {})\n",
                   part.offset_bytes, part.length_bytes, part.os_errno);
    Printer printer(options, out);
    const WalkEnd end = walk_segment(image.bytes(), segment.header, limits, printer);
    print_end(segment, end, printer, out);
    bool good = end.damage_count == 0 && printer.batches_good && image.unreadable().empty();
    if (segment.tail == SegmentFile::Tail::kDamaged) {
        fmt::print(out, "  {:#012x} DAMAGED: the trailer fails its CRC\n", trailer_offset);
        good = false;
    }
    if (sealed) good = dump_footer(segment, options, out) && good;
    return good;
}

}  // namespace eagre::inspect
