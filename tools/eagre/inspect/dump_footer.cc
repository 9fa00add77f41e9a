#include <algorithm>

#include <fmt/format.h>

#include "dataplane/journal/footer.h"
#include "tools/eagre/inspect/dump.h"

namespace eagre::inspect {
namespace {

using journal::DirectoryEntry;
using journal::Extent;
using journal::FooterPlan;
using journal::FooterSection;
using journal::kPageBytes;
using journal::PageHeader;

class FooterDump {
  public:
    FooterDump(const SegmentFile& segment, const DumpOptions& options, std::FILE* out)
        : segment_(segment), plan_{segment.trailer}, options_(options), out_(out) {
        const InputFile file(segment.path);
        pages_.resize(plan_.page_count_all() * kPageBytes);
        std::vector<Unreadable> unreadable;
        file.read(segment.trailer.footer_offset, pages_, unreadable);
    }
    bool run();

  private:
    template <class Entry, class Print>
    void section(FooterSection section, Print print);
    bool shows(uint64_t shard) const { return options_.shard == 0 || options_.shard == shard; }

    const SegmentFile& segment_;
    FooterPlan plan_;
    const DumpOptions& options_;
    std::FILE* out_;
    std::vector<std::byte> pages_;
    bool good_ = true;
};

template <class Entry, class Print>
void FooterDump::section(FooterSection section, Print print) {
    constexpr uint32_t kPerPage = journal::kPagePayloadBytes / sizeof(Entry);
    for (uint32_t page = 0; page < plan_.page_count(section); ++page) {
        const uint64_t offset = plan_.page_offset(section, page);
        const std::byte* bytes = pages_.data() + (offset - segment_.trailer.footer_offset);
        if (!journal::verify_page(bytes, {segment_.header.segment_number,
                                          segment_.header.incarnation, section, page})) {
            fmt::print(out_, "  {:#012x} DAMAGED: footer page {} of section {} fails its CRC\n",
                       offset, page, static_cast<uint32_t>(section));
            good_ = false;
            continue;
        }
        const uint32_t count =
            std::min(journal::load<PageHeader>(bytes).entry_count, kPerPage);
        for (uint32_t i = 0; i < count; ++i) {
            const uint64_t at = sizeof(PageHeader) + i * sizeof(Entry);
            print(offset + at, journal::load<Entry>(bytes + at));
        }
    }
}

bool FooterDump::run() {
    const journal::Trailer& trailer = segment_.trailer;
    const uint64_t trailer_offset = segment_.size_bytes - kPageBytes;
    if (!options_.summary) {
        section<DirectoryEntry>(
            FooterSection::kDirectory, [&](uint64_t at, const DirectoryEntry& entry) {
                if (!shows(entry.shard)) return;
                fmt::print(out_,
                           "  {:#012x} directory shard {} first {} next {} trim_horizon {} extents "
                           "{}+{} bytes {} arrivals {}..{}\n",
                           at, entry.shard, entry.first_sequence, entry.next_sequence,
                           entry.trim_horizon, entry.extent_index, entry.extent_count,
                           entry.run_bytes,
                           time_text(entry.first_arrival_ns), time_text(entry.last_arrival_ns));
            });
        section<Extent>(FooterSection::kExtents, [&](uint64_t at, const Extent& extent) {
            if (options_.shard != 0) return;
            fmt::print(out_, "  {:#012x} extent at {:#x} {} bytes sequences {}..{} arrival {}\n",
                       at, extent.offset_bytes(), extent.bytes, extent.first_sequence,
                       extent.end_sequence() - 1, time_text(extent.arrival_ns));
        });
        section<journal::FactRecord>(FooterSection::kFacts,
                                     [&](uint64_t at, const journal::FactRecord& fact) {
                                         if (!shows(fact.shard)) return;
                                         fmt::print(out_, "  {:#012x} fact ", at);
                                         print_fact(fact, out_);
                                     });
        section<journal::ProducerRecord>(
            FooterSection::kProducers, [&](uint64_t at, const journal::ProducerRecord& producer) {
                if (!shows(producer.shard)) return;
                const uint32_t results = std::min<uint32_t>(
                    producer.result_count, static_cast<uint32_t>(std::size(producer.results)));
                fmt::print(out_, "  {:#012x} producer {:016x} shard {} last arrival {} results", at,
                           producer.producer, producer.shard, time_text(producer.last_arrival_ns));
                for (uint32_t r = 0; r < results; ++r)
                    fmt::print(out_, " {}:{}+{}", producer.results[r].batch_number,
                               producer.results[r].first_sequence,
                               producer.results[r].record_count);
                fmt::print(out_, "\n");
            });
    }
    fmt::print(out_,
               "  {:#012x} trailer end {:#x} last commit {} crc {:08x} footer {:#x} pages "
               "{}+{}+{}+{} shards {} extents {} producers {} arrivals {}..{}{}\n",
               trailer_offset, trailer.end_bytes, trailer.commit_number, trailer.commit_crc,
               trailer.footer_offset, trailer.directory_pages, trailer.extent_pages,
               trailer.fact_pages, trailer.producer_pages, trailer.shard_count,
               trailer.extent_count, trailer.producer_count, time_text(trailer.first_arrival_ns),
               time_text(trailer.last_arrival_ns),
               (trailer.flags & journal::kTrailerClosed) != 0 ? " closed in good order" : "");
    return good_;
}

}  // namespace

bool dump_footer(const SegmentFile& segment, const DumpOptions& options, std::FILE* out) {
    return FooterDump(segment, options, out).run();
}

}  // namespace eagre::inspect
