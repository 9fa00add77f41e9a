#include "dataplane/journal/footer.h"

#include <algorithm>

#include "wire/base/assert.h"

namespace eagre::journal {

uint64_t FooterPlan::page_count(FooterSection section) const {
    switch (section) {
        case FooterSection::kDirectory:
            return trailer.directory_pages;
        case FooterSection::kExtents:
            return trailer.extent_pages;
        case FooterSection::kFacts:
            return trailer.fact_pages;
        case FooterSection::kProducers:
            return trailer.producer_pages;
    }
    return 0;
}

uint64_t FooterPlan::page_count_all() const {
    return uint64_t{trailer.directory_pages} + trailer.extent_pages + trailer.fact_pages +
           trailer.producer_pages;
}

uint64_t FooterPlan::page_offset(FooterSection section, uint64_t page) const {
    uint64_t before = 0;
    for (uint32_t s = 1; s < static_cast<uint32_t>(section); ++s)
        before += page_count(static_cast<FooterSection>(s));
    return trailer.footer_offset + (before + page) * kPageBytes;
}

bool verify_page(const std::byte* page, const PageIdentity& identity) {
    const auto header = load<PageHeader>(page);
    return header.magic == kPageMagic && header.segment_number == identity.segment_number &&
           header.incarnation == identity.incarnation && header.section == identity.section &&
           header.page_index == identity.page_index &&
           header.crc == crc32c({page + 8, kPageBytes - 8});
}

void PageWriter::begin(FooterSection section) {
    EAGRE_ASSERT(page_ == nullptr);
    identity_.section = section;
    identity_.page_index = 0;
    entry_count_ = 0;
}

void PageWriter::begin_page() {
    page_ = next_page_;
    next_page_ += kPageBytes;
    std::memset(page_, 0, kPageBytes);
    entry_count_ = 0;
}

void PageWriter::add_page(const std::byte* page) {
    EAGRE_ASSERT(page_ == nullptr);
    begin_page();
    entry_count_ = load<PageHeader>(page).entry_count;
    std::memcpy(page_ + sizeof(PageHeader), page + sizeof(PageHeader), kPagePayloadBytes);
    finish_page();
}

void PageWriter::go_on_at(std::byte* first_page) {
    EAGRE_ASSERT(page_ == nullptr);
    next_page_ = first_page;
}

void PageWriter::finish_page() {
    if (page_ == nullptr) return;
    PageHeader header;
    header.segment_number = identity_.segment_number;
    header.incarnation = identity_.incarnation;
    header.section = identity_.section;
    header.page_index = identity_.page_index++;
    header.entry_count = entry_count_;
    std::memcpy(page_, &header, sizeof(header));
    header.crc = crc32c({page_ + 8, kPageBytes - 8});
    std::memcpy(page_, &header, sizeof(header));
    page_ = nullptr;
}

void index_runs(const ExtentIndex& extents, uint32_t shard_slot, DirectoryEntry& entry,
                Trailer& trailer) {
    entry.first_sequence = 0;
    entry.first_arrival_ns = 0;
    entry.extent_count = 0;
    entry.run_bytes = 0;
    for (uint32_t i = extents.first_of(shard_slot); i != ExtentIndex::kNone;
         i = extents.next_of(i)) {
        const LiveExtent& extent = extents.at(i);
        if (entry.extent_count++ == 0) {
            entry.first_sequence = extent.extent.first_sequence;
            entry.first_arrival_ns = extent.extent.arrival_ns;
        }
        entry.run_bytes += extent.run_bytes;
        trailer.last_arrival_ns = std::max(trailer.last_arrival_ns, extent.last_arrival_ns);
    }
    if (entry.extent_count > 0 &&
        (trailer.first_arrival_ns == 0 || entry.first_arrival_ns < trailer.first_arrival_ns)) {
        trailer.first_arrival_ns = entry.first_arrival_ns;
    }
}

FooterBuilder::FooterBuilder(const FooterCounts& counts_max)
    : buffer_(make_raw_array<std::byte>(counts_max.bytes())), capacity_(counts_max.bytes()) {}

void FooterBuilder::build_directory(const FooterSource& source, PageWriter& pages, Trailer& trailer) {
    uint32_t extent_index = 0;
    for (const uint32_t slot : source.shards.sorted()) {
        const ShardState& state = source.shards.at_slot(slot);
        DirectoryEntry entry;
        entry.shard = state.facts.shard.value;
        entry.next_sequence = state.appended_next;
        entry.last_arrival_ns = state.last_arrival_ns;
        entry.trim_horizon = std::max(state.facts.trim_horizon.value, state.pending_horizon);
        entry.extent_index = extent_index;
        index_runs(source.extents, slot, entry, trailer);
        extent_index += entry.extent_count;
        pages.add(entry);
    }
    EAGRE_ASSERT_EQ(extent_index, source.extents.count());
}

void FooterBuilder::build_extents(const FooterSource& source, PageWriter& pages) {
    for (const uint32_t slot : source.shards.sorted()) {
        for (uint32_t i = source.extents.first_of(slot); i != ExtentIndex::kNone;
             i = source.extents.next_of(i)) {
            pages.add(source.extents.at(i).extent);
        }
    }
}

void FooterBuilder::build(const FooterSource& source, uint64_t segment_bytes, Trailer& trailer) {
    const FooterCounts counts{source.shards.count(), source.extents.count(),
                              source.producers.count()};
    bytes_ = counts.bytes();
    EAGRE_ASSERT_LE(bytes_, capacity_);
    trailer.footer_offset = segment_bytes - kPageBytes - bytes_;
    EAGRE_ASSERT_LE(trailer.end_bytes, trailer.footer_offset);
    trailer.shard_count = static_cast<uint32_t>(counts.shards);
    trailer.extent_count = static_cast<uint32_t>(counts.extents);
    trailer.producer_count = static_cast<uint32_t>(counts.producers);
    trailer.shard_id_max = source.shards.shard_id_max;
    trailer.stream_id_max = source.shards.stream_id_max;

    PageWriter pages(buffer_.get(), {trailer.segment_number, trailer.incarnation, {}, 0});
    pages.begin(FooterSection::kDirectory);
    build_directory(source, pages, trailer);
    pages.finish_page();
    trailer.directory_pages = pages.page_count();
    pages.begin(FooterSection::kExtents);
    build_extents(source, pages);
    pages.finish_page();
    trailer.extent_pages = pages.page_count();
    pages.begin(FooterSection::kFacts);
    for (const uint32_t slot : source.shards.sorted())
        pages.add(to_record(source.shards.at_slot(slot)));
    pages.finish_page();
    trailer.fact_pages = pages.page_count();
    pages.begin(FooterSection::kProducers);
    for (uint32_t i = 0; i < source.producers.count(); ++i)
        pages.add(to_record(source.producers.at(i)));
    pages.finish_page();
    trailer.producer_pages = pages.page_count();
    EAGRE_ASSERT_EQ(static_cast<uint64_t>(pages.next_page() - buffer_.get()), bytes_);
    seal(trailer);
}

Status load_footer(std::span<const std::byte> pages, const Trailer& trailer, ShardTable& shards,
                   ProducerTable& producers) {
    const FooterPlan plan{trailer};
    const auto page = [&](FooterSection section, uint64_t index) {
        return pages.data() + (plan.page_offset(section, index) - trailer.footer_offset);
    };
    if (plan.page_count_all() * kPageBytes > pages.size()) return Errc::kCorruptDirectory;
    for (uint32_t p = 0; p < trailer.fact_pages; ++p) {
        const std::byte* bytes = page(FooterSection::kFacts, p);
        const uint32_t count = std::min(load<PageHeader>(bytes).entry_count, kFactsPerPage);
        for (uint32_t i = 0; i < count; ++i) {
            const auto record =
                load<FactRecord>(bytes + sizeof(PageHeader) + i * sizeof(FactRecord));
            if (record.shard == 0) return Errc::kCorruptDirectory;
            ShardState* state = shards.take(record.shard);
            if (state == nullptr) return error_of(Errc::kLimitExceeded, record.shard);
            if (!from_record(record, *state)) return Errc::kCorruptDirectory;
        }
    }
    for (uint32_t p = 0; p < trailer.producer_pages; ++p) {
        const std::byte* bytes = page(FooterSection::kProducers, p);
        const uint32_t count = std::min(load<PageHeader>(bytes).entry_count, kProducersPerPage);
        for (uint32_t i = 0; i < count; ++i) {
            const auto record =
                load<ProducerRecord>(bytes + sizeof(PageHeader) + i * sizeof(ProducerRecord));
            ProducerFacts facts;
            if (!from_record(record, facts)) return Errc::kCorruptDirectory;
            if (!producers.remember(facts)) return error_of(Errc::kLimitExceeded, record.producer);
        }
    }
    const uint32_t fact_count = trailer.fact_count == 0 ? trailer.shard_count : trailer.fact_count;
    if (shards.count() != fact_count || producers.count() != trailer.producer_count) {
        return Errc::kCorruptDirectory;
    }
    shards.note_ids(trailer.shard_id_max, trailer.stream_id_max);
    return {};
}

}  // namespace eagre::journal
