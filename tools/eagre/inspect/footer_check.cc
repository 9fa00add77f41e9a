// A footer against the runs that it indexes, and against the facts that the journal tells.
#include <algorithm>
#include <cstring>
#include <map>
#include <memory>

#include <fmt/format.h>

#include "dataplane/journal/footer.h"
#include "tools/eagre/inspect/journal_check.h"
#include "wire/base/limits.h"

namespace eagre::inspect {
namespace {

using journal::DirectoryEntry;
using journal::Extent;
using journal::FooterPlan;
using journal::FooterSection;
using journal::kPageBytes;
using journal::PageHeader;
using journal::ShardState;
using journal::ShardTable;

// Only for loading: nobody idles out of it.
constexpr uint32_t kProducersMax = 1U << 20U;

const char* section_name(FooterSection section) {
    switch (section) {
        case FooterSection::kDirectory:
            return "directory";
        case FooterSection::kExtents:
            return "extents";
        case FooterSection::kFacts:
            return "facts";
        case FooterSection::kProducers:
            return "producers";
    }
    return "?";
}

class FooterCheck {
  public:
    FooterCheck(const SegmentFile& segment, Findings& findings)
        : segment_(segment), plan_{segment.trailer}, findings_(findings) {}

    bool read_pages();
    void check_runs(const std::vector<IndexedRun>& runs);
    void check_producers(const std::vector<IndexedRun>& runs);
    std::unique_ptr<ShardTable> load();
    void check_facts(ShardTable& footer, ShardTable& replayed);
    void check_tails(ShardTable& footer);

  private:
    struct Place {
        FooterSection section;
        uint32_t per_page;
        size_t entry_bytes;
        uint64_t offset(const FooterPlan& plan, uint64_t index) const {
            return plan.page_offset(section, index / per_page) + sizeof(PageHeader) +
                   index % per_page * entry_bytes;
        }
    };
    static constexpr Place kDirectory{FooterSection::kDirectory, journal::kDirectoryPerPage,
                                      sizeof(DirectoryEntry)};
    static constexpr Place kExtents{FooterSection::kExtents, journal::kExtentsPerPage,
                                    sizeof(Extent)};
    static constexpr Place kProducers{FooterSection::kProducers, journal::kProducersPerPage,
                                      sizeof(journal::ProducerRecord)};

    const std::byte* at(uint64_t offset_bytes) const {
        return pages_.data() + (offset_bytes - segment_.trailer.footer_offset);
    }
    template <class Entry>
    Entry entry(const Place& place, uint64_t index) const {
        return journal::load<Entry>(at(place.offset(plan_, index)));
    }
    void problem(const Place& place, uint64_t index, const std::string& what) {
        findings_.problem(segment_.path, place.offset(plan_, index), what);
    }
    bool counts_fit() const;
    using RunsOfShard = std::vector<const IndexedRun*>;
    void check_entry(uint32_t index, const DirectoryEntry& entry, const RunsOfShard& runs);

    const SegmentFile& segment_;
    FooterPlan plan_;
    Findings& findings_;
    std::vector<std::byte> pages_;
};

bool FooterCheck::read_pages() {
    const InputFile file(segment_.path);
    pages_.resize(plan_.page_count_all() * kPageBytes);
    std::vector<Unreadable> unreadable;
    file.read(segment_.trailer.footer_offset, pages_, unreadable);
    bool good = true;
    for (const auto section : {FooterSection::kDirectory, FooterSection::kExtents,
                               FooterSection::kFacts, FooterSection::kProducers}) {
        for (uint32_t page = 0; page < plan_.page_count(section); ++page) {
            const uint64_t offset = plan_.page_offset(section, page);
            if (journal::verify_page(at(offset), {segment_.header.segment_number,
                                                  segment_.header.incarnation, section, page}))
                continue;
            findings_.problem(segment_.path, offset,
                              fmt::format("footer page {} of {} ({}) fails its CRC", page + 1,
                                          plan_.page_count(section), section_name(section)));
            good = false;
        }
    }
    if (good && !counts_fit()) {
        findings_.problem(segment_.path, segment_.size_bytes - kPageBytes,
                          "the trailer counts more entries than its footer has room for");
        return false;
    }
    return good;
}

bool FooterCheck::counts_fit() const {
    const journal::Trailer& trailer = segment_.trailer;
    return journal::pages_for(trailer.shard_count, journal::kDirectoryPerPage) ==
               trailer.directory_pages &&
           journal::pages_for(trailer.extent_count, journal::kExtentsPerPage) ==
               trailer.extent_pages &&
           journal::pages_for(trailer.fact_count == 0 ? trailer.shard_count : trailer.fact_count,
                              journal::kFactsPerPage) == trailer.fact_pages &&
           journal::pages_for(trailer.producer_count, journal::kProducersPerPage) ==
               trailer.producer_pages;
}

// The extents of a shard cover its runs here, in order, and nothing else of it.
void FooterCheck::check_entry(uint32_t index, const DirectoryEntry& entry,
                              const RunsOfShard& runs) {
    const uint64_t first = runs.empty() ? 0 : runs.front()->first_sequence;
    if (entry.first_sequence != first) {
        problem(kDirectory, index,
                fmt::format("directory: shard {} begins here at {}, its first run at {}",
                            entry.shard, entry.first_sequence, first));
        return;
    }
    if (uint64_t{entry.extent_index} + entry.extent_count > segment_.trailer.extent_count) {
        problem(kDirectory, index,
                fmt::format("directory: shard {} has extents that do not exist", entry.shard));
        return;
    }
    uint64_t run_bytes = 0;
    for (const IndexedRun* run : runs) run_bytes += run->bytes;
    if (entry.run_bytes != 0 && entry.run_bytes != run_bytes)
        problem(kDirectory, index,
                fmt::format("directory: shard {} has {} bytes here, its runs {}", entry.shard,
                            entry.run_bytes, run_bytes));
    size_t next = 0;
    for (uint32_t i = entry.extent_index; i < entry.extent_index + entry.extent_count; ++i) {
        const auto extent = this->entry<Extent>(kExtents, i);
        const bool begins = next < runs.size() &&
                            runs[next]->offset_bytes == extent.offset_bytes() &&
                            runs[next]->first_sequence == extent.first_sequence &&
                            runs[next]->arrival_ns == extent.arrival_ns;
        uint64_t records = 0;
        uint64_t end = extent.offset_bytes();
        while (begins && next < runs.size() && records < extent.record_count) {
            records += runs[next]->record_count;
            end = runs[next]->offset_bytes + runs[next]->bytes;
            ++next;
        }
        if (!begins || records != extent.record_count || end != extent.end_bytes()) {
            problem(kExtents, i,
                    fmt::format("index: extent {} of shard {} (offset {}, sequences {} to {}) does "
                                "not hold these runs",
                                i - entry.extent_index + 1, entry.shard, extent.offset_bytes(),
                                extent.first_sequence, extent.end_sequence() - 1));
            return;
        }
    }
    if (next != runs.size())
        problem(kDirectory, index,
                fmt::format("index: shard {} has {} runs here, its extents hold {}", entry.shard,
                            runs.size(), next));
}

void FooterCheck::check_runs(const std::vector<IndexedRun>& runs) {
    std::map<uint64_t, RunsOfShard> by_shard;
    for (const IndexedRun& run : runs) by_shard[run.shard].push_back(&run);
    uint64_t before = 0;
    for (uint32_t i = 0; i < segment_.trailer.shard_count; ++i) {
        const auto directory = entry<DirectoryEntry>(kDirectory, i);
        if (directory.shard <= before)
            problem(kDirectory, i, "directory: shards do not rise");
        before = directory.shard;
        const auto found = by_shard.find(directory.shard);
        check_entry(i, directory, found == by_shard.end() ? RunsOfShard{} : found->second);
        if (found != by_shard.end()) by_shard.erase(found);
    }
    for (const auto& [shard, rest] : by_shard)
        findings_.problem(segment_.path, plan_.page_offset(FooterSection::kDirectory, 0),
                          fmt::format("directory: shard {} with {} runs is missing", shard,
                                      rest.size()));
}

// What is remembered of a producer is what its run says.
void FooterCheck::check_producers(const std::vector<IndexedRun>& runs) {
    std::map<std::tuple<uint64_t, uint64_t, uint64_t>, const IndexedRun*> by_batch;
    for (const IndexedRun& run : runs) {
        if (run.producer != 0) by_batch[{run.producer, run.shard, run.batch_number}] = &run;
    }
    for (uint32_t i = 0; i < segment_.trailer.producer_count; ++i) {
        const auto record = entry<journal::ProducerRecord>(kProducers, i);
        if (record.result_count == 0 || record.result_count > std::size(record.results)) {
            problem(kProducers, i, "producers: an entry with an impossible number of results");
            continue;
        }
        for (uint32_t r = 0; r < record.result_count; ++r) {
            const journal::ResultRecord& result = record.results[r];
            const auto found =
                by_batch.find({record.producer, record.shard, result.batch_number});
            if (found == by_batch.end()) continue;
            const IndexedRun& run = *found->second;
            if (run.first_sequence != result.first_sequence ||
                run.record_count != result.record_count || run.payload_crc != result.payload_crc)
                problem(kProducers, i,
                        fmt::format("producers: batch {} of producer {:016x} on shard {} is "
                                    "remembered at sequence {}, stored at {}",
                                    result.batch_number, record.producer, record.shard,
                                    result.first_sequence, run.first_sequence));
        }
    }
}

std::unique_ptr<ShardTable> FooterCheck::load() {
    auto shards = std::make_unique<ShardTable>(kBoxShardCountMax);
    journal::ProducerTable producers(kProducersMax, UINT64_MAX);
    const Status loaded =
        journal::load_footer(pages_, segment_.trailer, *shards, producers);
    if (loaded) return shards;
    findings_.problem(segment_.path, segment_.trailer.footer_offset,
                      fmt::format("the facts and producers of the footer do not fit its trailer ({})",
                                  errc_name(loaded.error().code)));
    return nullptr;
}

void FooterCheck::check_tails(ShardTable& footer) {
    for (uint32_t i = 0; i < segment_.trailer.shard_count; ++i) {
        const auto directory = entry<DirectoryEntry>(kDirectory, i);
        const ShardState* state = footer.find(directory.shard);
        if (state == nullptr || state->appended_next != directory.next_sequence ||
            state->facts.trim_horizon.value != directory.trim_horizon ||
            state->last_arrival_ns != directory.last_arrival_ns)
            problem(kDirectory, i,
                    fmt::format("directory and facts of shard {} disagree", directory.shard));
    }
}

void FooterCheck::check_facts(ShardTable& footer, ShardTable& replayed) {
    const uint64_t offset = plan_.page_offset(FooterSection::kFacts, 0);
    for (const uint32_t slot : footer.sorted()) {
        const ShardState& told = footer.at_slot(slot);
        const ShardState* known = replayed.find(told.facts.shard.value);
        if (known == nullptr) {
            findings_.problem(segment_.path, offset,
                              fmt::format("facts: no run of the journal tells of shard {}",
                                          told.facts.shard.value));
            continue;
        }
        journal::FactRecord a = journal::to_record(told);
        journal::FactRecord b = journal::to_record(*known);
        // Which segment was live then is known only to the process that deleted the shard.
        a.deleted_segment = b.deleted_segment = 0;
        if (std::memcmp(&a, &b, sizeof(a)) == 0) continue;
        findings_.problem(
            segment_.path, offset,
            fmt::format("facts: shard {} is not as the journal tells it (tail {} and {}, trim "
                        "horizon {} and {})",
                        a.shard, a.next_sequence, b.next_sequence, a.trim_horizon, b.trim_horizon));
    }
    for (const uint32_t slot : replayed.sorted()) {
        const ShardState& known = replayed.at_slot(slot);
        if (!known.facts.deleted && footer.find(known.facts.shard.value) == nullptr)
            findings_.problem(segment_.path, offset,
                              fmt::format("facts: shard {} is missing", known.facts.shard.value));
    }
}

}  // namespace

std::unique_ptr<ShardTable> check_footer(const SegmentFile& segment,
                                         const std::vector<IndexedRun>* runs, ShardTable* facts,
                                         Findings& findings) {
    FooterCheck check(segment, findings);
    if (!check.read_pages()) return nullptr;
    if (runs != nullptr) {
        check.check_runs(*runs);
        check.check_producers(*runs);
    }
    auto footer = check.load();
    if (footer == nullptr) return nullptr;
    // A relocated segment has the facts as of its last whole source, and may go on behind it.
    if (!segment.relocated()) check.check_tails(*footer);
    if (facts != nullptr) check.check_facts(*footer, *facts);
    return footer;
}

}  // namespace eagre::inspect
