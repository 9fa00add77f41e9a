#pragma once
// The footer of a sealed segment: 4096-byte pages that each verify themselves, at the segment's end
// before the trailer. Sections: directory (every shard: tails, and where its extents are), extents
// by shard, facts, producers.

#include <cstdint>
#include <span>

#include "dataplane/journal/extent_index.h"
#include "dataplane/journal/facts.h"
#include "dataplane/journal/producers.h"
#include "dataplane/journal/raw_array.h"

namespace eagre::journal {

struct FooterCounts {
    uint64_t shards = 0;
    uint64_t extents = 0;
    uint64_t producers = 0;
    /// Without the trailer.
    constexpr uint64_t bytes() const {
        return (pages_for(shards, kDirectoryPerPage) + pages_for(extents, kExtentsPerPage) +
                pages_for(shards, kFactsPerPage) + pages_for(producers, kProducersPerPage)) *
               kPageBytes;
    }
};

/// Where the pages of a segment's footer lie, from its trailer.
struct FooterPlan {
    uint64_t page_offset(FooterSection section, uint64_t page) const;
    uint64_t page_count(FooterSection section) const;
    uint64_t page_count_all() const;
    const Trailer& trailer;
};

/// True when `page` is the page it should be, whole.
struct PageIdentity {
    uint64_t segment_number;
    uint64_t incarnation;
    FooterSection section;
    uint32_t page_index;
};
bool verify_page(const std::byte* page, const PageIdentity& identity);

/// Lays entries into pages one behind the other, and seals each page.
class PageWriter {
  public:
    /// `identity`: of the segment; section and page index are counted here.
    PageWriter(std::byte* first_page, const PageIdentity& identity)
        : next_page_(first_page), identity_(identity) {}

    /// The page before has been finished.
    void begin(FooterSection section);
    template <class Entry>
    void add(const Entry& entry) {
        constexpr uint32_t kPerPage = kPagePayloadBytes / sizeof(Entry);
        if (page_ == nullptr) begin_page();
        std::memcpy(page_ + sizeof(PageHeader) + entry_count_ * sizeof(Entry), &entry, sizeof(Entry));
        if (++entry_count_ == kPerPage) finish_page();
    }
    /// The entries of a page of another segment.
    void add_page(const std::byte* page);
    void finish_page();
    bool page_open() const { return page_ != nullptr; }
    /// Goes on at `first_page`, between two pages.
    void go_on_at(std::byte* first_page);
    /// Of the section, finished.
    uint32_t page_count() const { return identity_.page_index; }
    /// Where the next page goes.
    std::byte* next_page() const { return next_page_; }

  private:
    void begin_page();

    std::byte* next_page_;
    PageIdentity identity_;
    std::byte* page_ = nullptr;
    uint32_t entry_count_ = 0;
};

/// What a shard has in a segment, from the extents of its runs there: into its directory entry (but for where its extents
/// begin) and into the trailer's times.
void index_runs(const ExtentIndex& extents, uint32_t shard_slot, DirectoryEntry& entry,
                Trailer& trailer);

/// State that a footer is a snapshot of.
struct FooterSource {
    ShardTable& shards;
    ProducerTable& producers;
    const ExtentIndex& extents;
};

/// Builds footers in one buffer that is as large as the largest may be; memory is used as footers
/// grow.
class FooterBuilder {
  public:
    explicit FooterBuilder(const FooterCounts& counts_max);

    /// Writes all pages and fills in the trailer's counts, ids and times, and seals it. The caller
    /// has set the trailer's segment, incarnation, end and last commit; the footer ends where the
    /// trailer's page begins.
    void build(const FooterSource& source, uint64_t segment_bytes, Trailer& trailer);
    std::span<std::byte> pages() { return {buffer_.get(), bytes_}; }
    /// A page that was built, by its offset in the segment.
    const std::byte* page_at(const Trailer& trailer, uint64_t offset_bytes) const {
        return buffer_.get() + (offset_bytes - trailer.footer_offset);
    }

  private:
    void build_directory(const FooterSource& source, PageWriter& pages, Trailer& trailer);
    void build_extents(const FooterSource& source, PageWriter& pages);

    RawArray<std::byte> buffer_;
    uint64_t capacity_;
    uint64_t bytes_ = 0;
};

/// Takes the snapshot that the pages of a footer hold into empty tables. Pages have been verified.
/// Errors: kCorruptDirectory (counts that disagree), kLimitExceeded (more than the tables may
/// hold).
Status load_footer(std::span<const std::byte> pages, const Trailer& trailer, ShardTable& shards,
                   ProducerTable& producers);

}  // namespace eagre::journal
