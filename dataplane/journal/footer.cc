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

/// Lays entries into pages one behind the other.
struct FooterBuilder::Cursor {
    std::byte* next_page;
    PageIdentity identity;
    std::byte* page = nullptr;
    uint32_t count = 0;
    uint32_t page_count = 0;

    void begin(FooterSection section) {
        identity.section = section;
        page = nullptr;
        count = 0;
        page_count = 0;
    }
    template <class Entry>
    void add(const Entry& entry) {
        constexpr uint32_t kPerPage = kPagePayloadBytes / sizeof(Entry);
        if (page == nullptr || count == kPerPage) {
            finish_page();
            page = next_page;
            next_page += kPageBytes;
            std::memset(page, 0, kPageBytes);
            count = 0;
        }
        std::memcpy(page + sizeof(PageHeader) + count * sizeof(Entry), &entry, sizeof(Entry));
        ++count;
    }
    void finish_page() {
        if (page == nullptr) return;
        PageHeader header;
        header.segment_number = identity.segment_number;
        header.incarnation = identity.incarnation;
        header.section = identity.section;
        header.page_index = page_count++;
        header.entry_count = count;
        std::memcpy(page, &header, sizeof(header));
        header.crc = crc32c({page + 8, kPageBytes - 8});
        std::memcpy(page, &header, sizeof(header));
        page = nullptr;
    }
};

FooterBuilder::FooterBuilder(const FooterCounts& counts_max)
    : buffer_(make_raw_array<std::byte>(counts_max.bytes())), capacity_(counts_max.bytes()) {}

void FooterBuilder::build_directory(const FooterSource& source, Cursor& cursor, Trailer& trailer) {
    uint32_t extent_index = 0;
    for (const uint32_t slot : source.shards.sorted()) {
        const ShardState& state = source.shards.at_slot(slot);
        DirectoryEntry entry;
        entry.shard = state.facts.shard.value;
        entry.next_sequence = state.appended_next;
        entry.last_arrival_ns = state.last_arrival_ns;
        entry.trim_horizon = std::max(state.facts.trim_horizon.value, state.pending_horizon);
        entry.extent_index = extent_index;
        for (uint32_t i = source.extents.first_of(slot); i != ExtentIndex::kNone;
             i = source.extents.next_of(i)) {
            if (entry.extent_count++ == 0) {
                entry.first_sequence = source.extents.at(i).extent.first_sequence;
                entry.first_arrival_ns = source.extents.at(i).extent.arrival_ns;
            }
            trailer.last_arrival_ns =
                std::max(trailer.last_arrival_ns, source.extents.at(i).last_arrival_ns);
        }
        if (entry.extent_count > 0 &&
            (trailer.first_arrival_ns == 0 || entry.first_arrival_ns < trailer.first_arrival_ns)) {
            trailer.first_arrival_ns = entry.first_arrival_ns;
        }
        extent_index += entry.extent_count;
        cursor.add(entry);
    }
    EAGRE_ASSERT_EQ(extent_index, source.extents.count());
}

void FooterBuilder::build_extents(const FooterSource& source, Cursor& cursor) {
    for (const uint32_t slot : source.shards.sorted()) {
        for (uint32_t i = source.extents.first_of(slot); i != ExtentIndex::kNone;
             i = source.extents.next_of(i)) {
            cursor.add(source.extents.at(i).extent);
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

    Cursor cursor{buffer_.get(), {trailer.segment_number, trailer.incarnation, {}, 0}};
    cursor.begin(FooterSection::kDirectory);
    build_directory(source, cursor, trailer);
    cursor.finish_page();
    trailer.directory_pages = cursor.page_count;
    cursor.begin(FooterSection::kExtents);
    build_extents(source, cursor);
    cursor.finish_page();
    trailer.extent_pages = cursor.page_count;
    cursor.begin(FooterSection::kFacts);
    for (const uint32_t slot : source.shards.sorted())
        cursor.add(to_record(source.shards.at_slot(slot)));
    cursor.finish_page();
    trailer.fact_pages = cursor.page_count;
    cursor.begin(FooterSection::kProducers);
    for (uint32_t i = 0; i < source.producers.count(); ++i)
        cursor.add(to_record(source.producers.at(i)));
    cursor.finish_page();
    trailer.producer_pages = cursor.page_count;
    EAGRE_ASSERT_EQ(static_cast<uint64_t>(cursor.next_page - buffer_.get()), bytes_);
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
    if (shards.count() != trailer.shard_count || producers.count() != trailer.producer_count) {
        return Errc::kCorruptDirectory;
    }
    shards.note_ids(trailer.shard_id_max, trailer.stream_id_max);
    return {};
}

}  // namespace eagre::journal
