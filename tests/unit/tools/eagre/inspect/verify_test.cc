// What the offline check finds: nothing in any directory that the journal has left, however it
// ended; and each flipped byte, with its file and its offset, in every kind of structure.
#include <algorithm>

#include "dataplane/journal/footer.h"
#include "tests/unit/tools/eagre/inspect/inspect_rig.h"
#include "wire/base/prng.h"

namespace eagre::inspect {
namespace {

using io::sim::CrashPlan;
using journal::FooterPlan;
using journal::FooterSection;
using journal::kPageBytes;

void expect_clean(const DirectoryReport& report, const char* when) {
    EXPECT_EQ(report.findings.problem_count, 0U) << when << ":\n" << told(report.findings);
}

/// The first problem is the place itself, not one of its consequences.
void expect_problem(const DirectoryReport& report, const std::string& path, uint64_t offset_bytes,
                    const std::string& words) {
    ASSERT_GE(report.findings.problem_count, 1U) << words << ": not found";
    const bool found = std::any_of(
        report.findings.problems.begin(), report.findings.problems.end(), [&](const Finding& f) {
            return f.file == path && f.offset_bytes == offset_bytes &&
                   f.what.find(words) != std::string::npos;
        });
    EXPECT_TRUE(found) << words << " at " << offset_bytes << ", but:\n" << told(report.findings);
}

TEST(Verify, AJournalClosedInGoodOrderIsClean) {
    InspectRig inspect;
    inspect.fill();
    inspect.close();
    inspect.copy_out();
    const auto report = inspect.check();
    expect_clean(report, "closed");
    EXPECT_EQ(report.totals.run_count, 800U);
    EXPECT_EQ(report.totals.record_count, 2400U);
    EXPECT_GE(report.totals.fact_count, 2U);
    EXPECT_GE(report.totals.segment_count, 3U);
    EXPECT_EQ(report.totals.footer_count, report.totals.segment_count);
}

TEST(Verify, ARunningJournalThatIsKilledIsCleanAndItsTailIsTold) {
    InspectRig inspect;
    inspect.fill();
    inspect.rig.crash(CrashPlan::killed());
    inspect.copy_out();
    const auto report = inspect.check();
    expect_clean(report, "killed");
    EXPECT_EQ(report.totals.run_count, 800U);
    EXPECT_NE(told(report.findings).find("unclean stop"), std::string::npos);
}

TEST(Verify, CrashesAndRestartsLeaveNothingWrong) {
    for (uint64_t seed = 1; seed <= 12; ++seed) {
        InspectRig inspect;
        ASSERT_TRUE(inspect.rig.start().has_value());
        ASSERT_TRUE(inspect.rig.open_shard(1).has_value());
        ASSERT_TRUE(inspect.rig.open_shard(2).has_value());
        Prng random(seed);
        for (uint32_t life = 0; life < 5; ++life) {
            const uint64_t run_count = random.next() % 300;
            for (uint64_t i = 0; i < run_count; ++i) inspect.append(1 + i % 2, random.next() % 900);
            inspect.rig.crash(life % 2 == 0
                                  ? CrashPlan::power_lost_seeded(*inspect.rig.disk, random.next())
                                  : CrashPlan::killed());
            inspect.copy_out();
            expect_clean(inspect.check(), "after a crash");
            ASSERT_TRUE(inspect.rig.start().has_value());
            inspect.rig.adopt_recovered();
            for (const uint64_t shard : {1U, 2U}) {
                const uint64_t tail = inspect.rig.journal->durable_tail(ShardId{shard}).value;
                if (tail == 0) {
                    inspect.rig.next_sequence[shard] = 0;
                    ASSERT_TRUE(inspect.rig.open_shard(shard).has_value());
                } else {
                    inspect.rig.next_sequence[shard] = tail;
                }
            }
        }
        inspect.close();
        inspect.copy_out();
        expect_clean(inspect.check(), "closed after crashes");
    }
}

TEST(Verify, RecycledSegmentsLeaveNothingWrong) {
    InspectRig inspect;
    ASSERT_TRUE(inspect.rig.start().has_value());
    ASSERT_TRUE(inspect.rig.open_shard(1, 1).has_value());
    ASSERT_TRUE(inspect.rig.open_shard(2).has_value());
    inspect.append(2);
    for (uint32_t i = 0; i < 1500; ++i) {
        inspect.append(1, 400);
        if (i % 100 == 99) {
            ASSERT_TRUE(inspect.rig.settle());
            inspect.rig.journal->retain(inspect.rig.arrival_ns + 10'000'000);
            for (int turn = 0; turn < 200; ++turn) inspect.rig.turn();
            ASSERT_TRUE(inspect.rig.settle());
        }
    }
    inspect.close();
    inspect.copy_out();
    const auto report = inspect.check();
    expect_clean(report, "after retention");
    EXPECT_LT(report.totals.run_count, 1501U) << "nothing was recycled";
}

/// A journal of which the cleaner has moved something; one shard of two was deleted.
void fill_and_clean(InspectRig& inspect) {
    inspect.rig.options.cleaner_bytes_per_s = 1ULL << 40U;
    inspect.fill(6000);
    journal::ShardFacts facts;
    facts.shard = ShardId{1};
    facts.stream = StreamId{7};
    facts.stream_name = "stream";
    facts.first_sequence = SequenceNumber{1};
    facts.deleted = true;
    facts.open = false;
    ASSERT_TRUE(inspect.rig.write_fact(facts).has_value());
    for (uint64_t second = 1; second <= 60; ++second) {
        inspect.rig.journal->retain(second * 1'000'000'000);
        for (int turn = 0; turn < 100; ++turn) {
            inspect.rig.turn();
            inspect.rig.world.advance(1'000'000);
        }
    }
    ASSERT_TRUE(inspect.rig.settle());
    ASSERT_GT(inspect.rig.journal->stats().relocated_bytes, 0U);
}

TEST(Verify, RelocatedSegmentsLeaveNothingWrong) {
    InspectRig inspect;
    fill_and_clean(inspect);
    inspect.copy_out();
    expect_clean(inspect.check(), "running");
    inspect.close();
    inspect.copy_out();
    const auto report = inspect.check();
    expect_clean(report, "closed");
    EXPECT_GT(report.totals.relocated_count, 0U);
    EXPECT_LT(report.totals.run_count, 6000U);
    EXPECT_GE(report.totals.run_count, 3000U);
}

TEST(Verify, DamageInARelocatedSegmentIsFound) {
    InspectRig inspect;
    fill_and_clean(inspect);
    inspect.close();
    inspect.copy_out();
    const auto segments = inspect.segments();
    const auto relocated = std::find_if(segments.begin(), segments.end(),
                                        [](const SegmentFile& segment) { return segment.relocated(); });
    ASSERT_NE(relocated, segments.end());
    const Places places(*relocated);
    ASSERT_GT(places.runs.size(), 10U);
    EXPECT_EQ(places.facts.size(), 0U);
    const uint64_t stored = places.runs[5].offset_bytes + sizeof(journal::RunHeader) + 3;
    const FooterPlan plan{relocated->trailer};
    for (const uint64_t at : {stored, plan.page_offset(FooterSection::kDirectory, 0) + 100,
                              plan.page_offset(FooterSection::kExtents, 0) + 100,
                              offsetof(journal::SegmentHeader, relocation) + 1}) {
        InspectRig::flip(relocated->path, at);
        EXPECT_GT(inspect.check().findings.problem_count, 0U) << at;
        InspectRig::flip(relocated->path, at);
    }
    expect_clean(inspect.check(), "mended");
}

class Damage : public testing::Test {
  protected:
    void SetUp() override {
        inspect_.fill();
        inspect_.close();
        inspect_.copy_out();
        segment_ = inspect_.segment(2);
    }
    void expect_found(uint64_t flip_at, uint64_t offset_bytes, const std::string& words) {
        InspectRig::flip(segment_.path, flip_at);
        expect_problem(inspect_.check(), segment_.path, offset_bytes, words);
        InspectRig::flip(segment_.path, flip_at);
        expect_clean(inspect_.check(), "mended");
    }

    InspectRig inspect_;
    SegmentFile segment_;
};

TEST_F(Damage, InASegmentHeader) {
    expect_found(100, 0, "segment header");
    expect_found(2000, 512, "header block");
}

TEST_F(Damage, InACommitHeader) {
    const Places places(segment_);
    const auto& commit = places.commits[places.commits.size() / 2];
    expect_found(commit.offset_bytes + 20, commit.offset_bytes, "commit header");
    expect_found(commit.offset_bytes, commit.offset_bytes, "is missing");
}

TEST_F(Damage, InTheLastCommitHeaderOfASealedSegment) {
    const Places places(segment_);
    expect_found(places.commits.back().offset_bytes + 20, places.commits.back().offset_bytes,
                 "commit header");
}

TEST_F(Damage, InARunHeader) {
    const Places places(segment_);
    const auto& run = places.runs[places.runs.size() / 2];
    expect_found(run.offset_bytes + 24, run.offset_bytes, "header of run");
}

TEST_F(Damage, InStoredBytes) {
    const Places places(segment_);
    const auto& run = places.runs[places.runs.size() / 3];
    expect_found(run.offset_bytes + sizeof(journal::RunHeader) + 60, run.offset_bytes,
                 "stored bytes of the run of shard " + std::to_string(run.header.shard));
}

TEST_F(Damage, InAFact) {
    segment_ = inspect_.segment(1);
    const Places places(segment_);
    ASSERT_FALSE(places.facts.empty());
    const uint64_t at = places.facts[0].offset_bytes;
    expect_found(at + sizeof(journal::RunHeader) + 8, at, "stored bytes of the run of shard 1");
}

TEST_F(Damage, InEachSectionOfAFooter) {
    const FooterPlan plan{segment_.trailer};
    for (const auto section : {FooterSection::kDirectory, FooterSection::kExtents,
                               FooterSection::kFacts, FooterSection::kProducers}) {
        ASSERT_GT(plan.page_count(section), 0U);
        const uint64_t page = plan.page_offset(section, 0);
        expect_found(page + 100, page, "footer page");
        expect_found(page + 4000, page, "footer page");
    }
}

TEST_F(Damage, InATrailer) {
    const uint64_t trailer = segment_.size_bytes - kPageBytes;
    expect_found(trailer + 40, trailer, "trailer");
    expect_found(trailer, trailer, "trailer");
    expect_found(trailer + 3000, trailer + 512, "trailer block");
}

// Damage whose CRCs are right: what a journal that had a fault would have written.
TEST_F(Damage, InAnIndexThatVerifiesButIsWrong) {
    const FooterPlan plan{segment_.trailer};
    const uint64_t page = plan.page_offset(FooterSection::kExtents, 0);
    std::fstream file(segment_.path, std::ios::binary | std::ios::in | std::ios::out);
    std::vector<std::byte> bytes(kPageBytes);
    file.seekg(static_cast<std::streamoff>(page));
    file.read(reinterpret_cast<char*>(bytes.data()), kPageBytes);
    auto extent = journal::load<journal::Extent>(bytes.data() + sizeof(journal::PageHeader));
    ++extent.first_sequence;
    std::memcpy(bytes.data() + sizeof(journal::PageHeader), &extent, sizeof(extent));
    const uint32_t crc = crc32c(std::span(bytes).subspan(8));
    std::memcpy(bytes.data() + 4, &crc, sizeof(crc));
    file.seekp(static_cast<std::streamoff>(page));
    file.write(reinterpret_cast<const char*>(bytes.data()), kPageBytes);
    file.close();
    expect_problem(inspect_.check(), segment_.path, page + sizeof(journal::PageHeader), "index");
}

// A check costs forty times as much with the sanitizers, which are to look at the code and not at each
// byte: there every eleventh, which falls on other places in each structure.
#ifdef __SANITIZE_ADDRESS__
constexpr size_t kByteStep = 11;
constexpr uint32_t kRandomFlips = 60;
#else
constexpr size_t kByteStep = 1;
constexpr uint32_t kRandomFlips = 300;
#endif

/// A short journal, closed: few enough structures to go through their bytes one by one.
class DamageInAnyByte : public testing::Test {
  protected:
    void SetUp() override {
        inspect_.fill(12);
        inspect_.close();
        inspect_.copy_out();
        segment_ = inspect_.segment(1);
    }
    void expect_found(uint64_t at, uint8_t mask) {
        InspectRig::flip(segment_.path, at, mask);
        const auto report = inspect_.check();
        ASSERT_GE(report.findings.problem_count, 1U) << "a flip at " << at << " was not found";
        EXPECT_EQ(report.findings.problems[0].file, segment_.path) << "of a flip at " << at;
        EXPECT_LE(report.findings.problems[0].offset_bytes, at);
        InspectRig::flip(segment_.path, at, mask);
    }
    void expect_found_in_each_byte(uint64_t from, size_t bytes) {
        for (uint64_t at = from + from / 8 % kByteStep; at < from + bytes; at += kByteStep)
            expect_found(at, static_cast<uint8_t>(1U << (at % 8)));
    }

    InspectRig inspect_;
    SegmentFile segment_;
};

TEST_F(DamageInAnyByte, OfHeaderAndTrailerIsFound) {
    expect_found_in_each_byte(0, sizeof(journal::SegmentHeader));
    expect_found_in_each_byte(segment_.size_bytes - kPageBytes, sizeof(journal::Trailer));
}

TEST_F(DamageInAnyByte, OfCommitAndRunHeadersIsFound) {
    const Places places(segment_);
    ASSERT_GE(places.commits.size(), 3U);
    ASSERT_GE(places.runs.size(), 3U);
    ASSERT_FALSE(places.facts.empty());
    for (const auto* commit :
         {&places.commits.front(), &places.commits[places.commits.size() / 2], &places.commits.back()})
        expect_found_in_each_byte(commit->offset_bytes, sizeof(journal::CommitHeader));
    for (const auto* run : {&places.facts.front(), &places.runs.front(), &places.runs.back()})
        expect_found_in_each_byte(run->offset_bytes, sizeof(journal::RunHeader));
}

TEST_F(DamageInAnyByte, OfTheHeadsOfFooterPagesIsFound) {
    const FooterPlan plan{segment_.trailer};
    for (const auto section : {FooterSection::kDirectory, FooterSection::kExtents,
                               FooterSection::kFacts, FooterSection::kProducers}) {
        ASSERT_GT(plan.page_count(section), 0U);
        expect_found_in_each_byte(plan.page_offset(section, 0), sizeof(journal::PageHeader));
    }
}

TEST_F(DamageInAnyByte, ThatIsUsedIsFound) {
    const journal::Trailer& trailer = segment_.trailer;
    const uint64_t used = trailer.end_bytes + (segment_.size_bytes - trailer.footer_offset);
    Prng random(5);
    for (uint32_t i = 0; i < kRandomFlips; ++i) {
        uint64_t at = random.next() % used;
        if (at >= trailer.end_bytes) at = trailer.footer_offset + (at - trailer.end_bytes);
        expect_found(at, static_cast<uint8_t>(1U << (random.next() % 8)));
    }
}

TEST_F(Damage, OfAMissingJournalAndAForeignSegment) {
    const std::string stray = inspect_.data + "/journal-0000/segment-000099.eagre";
    std::filesystem::copy_file(segment_.path, stray);
    std::fstream file(stray, std::ios::binary | std::ios::in | std::ios::out);
    journal::SegmentHeader header = segment_.header;
    header.box_id_low = 2;
    journal::seal(header);
    file.write(reinterpret_cast<const char*>(&header), sizeof(header));
    file.close();
    expect_problem(inspect_.check(), stray, 16, "another box");
    std::filesystem::remove_all(inspect_.data + "/journal-0000");
    expect_problem(inspect_.check(), inspect_.data + "/journal-0000", 0, "missing");
}

TEST(Verify, RotBelowADurableMarkOfAnUnsealedTailIsFound) {
    InspectRig inspect;
    inspect.fill(60);
    inspect.rig.crash(CrashPlan::killed());
    inspect.copy_out();
    const SegmentFile segment = inspect.segment(1);
    SegmentFile as_sealed = segment;
    as_sealed.trailer.end_bytes = segment.size_bytes - kPageBytes;
    SegmentImage image;
    image.load(segment, as_sealed.trailer.end_bytes);
    class First final : public SegmentVisitor {
      public:
        void on_commit(const journal::ScannedCommit& commit) override {
            if (commit.header.number == 5) at = commit.offset_bytes;
        }
        void on_run(const Run& /*run*/) override {}
        void on_damage(uint64_t /*at*/, const std::string& what) override { FAIL() << what; }
        uint64_t at = 0;
    } fifth;
    walk_segment(image.bytes(), segment.header, {as_sealed.trailer.end_bytes, false, 0, 0}, fifth);
    ASSERT_NE(fifth.at, 0U);
    InspectRig::flip(segment.path, fifth.at + 30);
    const auto report = inspect.check();
    expect_problem(report, segment.path, fifth.at, "commit header (should be 5)");
    EXPECT_GE(report.totals.run_count, 55U) << "it did not go on behind the damage";
}

}  // namespace
}  // namespace eagre::inspect
