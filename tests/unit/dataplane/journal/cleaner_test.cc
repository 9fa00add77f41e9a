// The cleaner: what is alive is moved out of mostly dead segments and read back byte for byte, space follows what is alive,
// damage is left where it is, and a reader that has a segment in its hands keeps it.
#include <algorithm>
#include <utility>

#include "dataplane/journal/segment_order.h"
#include "tests/unit/dataplane/journal/cleaner_rig.h"

namespace eagre::journal {
namespace {

TEST(Cleaner, MovesWhatIsAliveAndSpaceFollows) {
    CleanerRig rig;
    rig.open_both();
    rig.fill(2000, 8);
    const uint64_t before = rig.journal->stats().segments_live;
    rig.delete_shard(kShort);
    rig.clean();
    const JournalStats& stats = rig.journal->stats();
    EXPECT_GT(before, 30U);
    EXPECT_GT(stats.relocated_bytes, 500'000U);
    EXPECT_LE(rig.used_bytes(), rig.model_bytes() * 13 / 10) << stats.segments_live << " of " << before;
    EXPECT_EQ(stats.segments_damaged, 0U);
    rig.expect_all(kLong, "moved");
    EXPECT_EQ(rig.read_shard(kShort).error, Errc::kUnknownShard);
    rig.fill(40, 1);
    rig.expect_all(kLong, "written on");
}

TEST(Cleaner, AWindowThatIsMostlyAliveIsPackedToo) {
    CleanerRig rig;
    rig.open_both();
    rig.fill(2000, 3);
    rig.delete_shard(kLong);  // Two thirds stay.
    rig.clean();
    EXPECT_LE(rig.used_bytes(), rig.model_bytes() * 13 / 10) << rig.journal->stats().segments_live;
    rig.expect_all(kShort, "packed");
}

TEST(Cleaner, WhatWasMovedIsThereAfterRestartsAndMovesAgain) {
    CleanerRig rig;
    rig.open_both();
    ASSERT_TRUE(rig.open_shard(3));
    for (uint32_t round = 0; round < 3; ++round) {
        for (uint32_t i = 0; i < 600; ++i) {
            const uint64_t shard = i % 6 == 0 ? kLong : i % 6 == 1 ? 3 : 10 + round;
            if (i == 0) {
                ASSERT_TRUE(rig.open_shard(10 + round));
            }
            ASSERT_TRUE(rig.append({.shard = shard, .bytes = 4096 + 8 * (i % 50)}));
        }
        rig.delete_shard(10 + round);
        rig.clean();
        rig.expect_all(kLong, "moved");
        rig.expect_all(3, "moved");
        if (round % 2 == 0) {
            ASSERT_TRUE(rig.journal->close());
        } else {
            rig.crash(io::sim::CrashPlan::power_lost_seeded(*rig.disk, round));
        }
        ASSERT_TRUE(rig.start());
        EXPECT_EQ(rig.journal->recovery().damaged_run_count, 0U);
        rig.adopt_recovered();
        rig.expect_all(kLong, "after a restart");
        rig.expect_all(3, "after a restart");
    }
    rig.delete_shard(3);
    rig.clean();
    rig.expect_all(kLong, "moved again");
    EXPECT_LE(rig.used_bytes(), rig.model_bytes() * 13 / 10 + rig.options.segment_bytes);
}

TEST(Cleaner, HorizonsWithinSegmentsAreFollowed) {
    CleanerRig rig;
    ASSERT_TRUE(rig.start());
    ASSERT_TRUE(rig.open_shard(kShort, 1000));
    ASSERT_TRUE(rig.open_shard(kLong, 3'600'000));
    rig.fill(1500, 6);
    rig.retain_ns = rig.arrival_ns + 10 * kRetainStepNs;
    rig.clean();
    const uint64_t horizon = rig.journal->trim_horizon(ShardId{kShort}).value;
    EXPECT_GT(horizon, 1000U);
    rig.expect_all(kLong, "moved");
    EXPECT_LE(rig.used_bytes(), rig.model_bytes() / 5);
    EXPECT_EQ(rig.read_shard(kShort).error, Errc::kSequenceTrimmed);
}

TEST(Cleaner, WhatDiesSoonIsNotMoved) {
    CleanerRig rig;
    ASSERT_TRUE(rig.start());
    ASSERT_TRUE(rig.open_shard(kShort, 1000));
    ASSERT_TRUE(rig.open_shard(kLong, 40'000));
    rig.fill(1500, 6);
    rig.retain_ns = rig.arrival_ns + 10 * kRetainStepNs;
    for (uint32_t i = 0; i < 5; ++i) rig.clean_once();
    EXPECT_EQ(rig.journal->stats().relocated_bytes, 0U);
    rig.expect_all(kLong, "where it was");
    rig.retain_ns += 40 * kRetainStepNs;
    rig.clean();
    EXPECT_LE(rig.journal->stats().segments_live, 4U);
}

TEST(Cleaner, RunsLargerThanAStepAreMovedInPieces) {
    JournalOptions options = cleaner_options();
    options.segment_bytes = 4 * 1024 * 1024;
    options.window_bytes = 2 * 1024 * 1024;
    CleanerRig rig(options);
    rig.open_both();
    for (uint32_t i = 0; i < 90; ++i) {
        const bool stays = i % 5 == 0;
        ASSERT_TRUE(rig.append({.shard = stays ? kLong : kShort, .bytes = stays ? 700'000U : 400'000U}));
        ASSERT_TRUE(rig.append({.shard = kLong, .bytes = 2000}));
    }
    rig.delete_shard(kShort);
    rig.clean();
    EXPECT_GT(rig.journal->stats().relocated_bytes, 2'000'000U);
    rig.expect_all(kLong, "moved");
    ASSERT_TRUE(rig.journal->close());
    ASSERT_TRUE(rig.start());
    rig.expect_all(kLong, "after a restart");
}

TEST(Cleaner, AReaderOfASourceReadsOn) {
    CleanerRig rig;
    rig.open_both();
    rig.fill(2000, 8);
    auto reader = rig.journal->open_reader(ShardId{kLong}, SequenceNumber{1});
    ASSERT_TRUE(reader);
    rig.delete_shard(kShort);
    // A run every few turns, while sources are replaced and recycled under the reader's hands.
    size_t next = 0;
    const auto& told = rig.model[kLong];
    uint32_t rounds = 0;
    while (next < told.size()) {
        ASSERT_LT(++rounds, 100'000U);
        rig.retain_ns += kRetainStepNs;
        rig.journal->retain(rig.retain_ns);
        rig.turn();
        rig.world.advance(500'000);
        if (rounds % 16 != 0) continue;
        RunView view;
        const auto step = (*reader)->peek(view);
        ASSERT_TRUE(step) << errc_name(step.error().code) << " at run " << next;
        if (*step != ShardReader::Step::kRun) continue;
        ASSERT_EQ(view.header.first_sequence, told[next].first_sequence);
        ASSERT_TRUE(std::equal(view.payload.begin(), view.payload.end(), told[next].payload.begin()));
        ++next;
        (*reader)->advance();
    }
    EXPECT_GT(rig.journal->stats().relocated_bytes, 0U);
    reader->reset();
}

/// The file and place of a run's stored bytes, of whatever kind the segment is.
std::pair<std::string, uint64_t> place_of(CleanerRig& rig, const ModelRun& run) {
    for (const std::string& name : rig.disk->list("journal-0000")) {
        const std::string path = "journal-0000/" + name;
        std::vector<std::byte> bytes(rig.disk->find(path)->size_bytes);
        rig.disk->find(path)->current.read(0, bytes);
        if (load<SegmentHeader>(bytes.data()).kind == SegmentKind::kReady) continue;
        const auto at = std::search(bytes.begin(), bytes.end(), run.payload.begin(), run.payload.end());
        if (at != bytes.end()) return {path, static_cast<uint64_t>(at - bytes.begin())};
    }
    return {};
}

TEST(Cleaner, DamageIsLeftWhereItIsAndNeverFree) {
    CleanerRig rig;
    rig.open_both();
    rig.fill(2000, 8);
    const ModelRun& victim = rig.model[kLong][100];
    const auto [path, offset] = place_of(rig, victim);
    ASSERT_FALSE(path.empty());
    ASSERT_TRUE(rig.disk->corrupt(path, offset + 11, 0x40));
    rig.delete_shard(kShort);
    rig.clean();
    EXPECT_EQ(rig.journal->stats().segments_damaged, 1U);
    EXPECT_GT(rig.journal->stats().relocated_bytes, 0U);
    const auto back = rig.read_shard(kLong);
    EXPECT_EQ(back.damaged_count, 1U);
    EXPECT_EQ(back.runs.size() + 1, rig.model[kLong].size());
    EXPECT_EQ(place_of(rig, rig.model[kLong][101]).first, path) << "its neighbours stay with it";
}

TEST(Cleaner, ASegmentWithoutAFooterStaysUntilAllInItIsDead) {
    CleanerRig rig;
    rig.open_both();
    rig.fill(400, 8);
    // One segment in which there is nothing but the long shard, then only the short one.
    rig.fill(120, 1);
    rig.fill(1200, 2000);
    const ModelRun& victim = rig.model[kLong][100];
    const std::string path = place_of(rig, victim).first;
    ASSERT_FALSE(path.empty());
    ASSERT_TRUE(rig.journal->close());
    rig.stop();
    ASSERT_TRUE(rig.disk->corrupt(path, rig.options.segment_bytes - kPageBytes + 20, 0xFF));
    ASSERT_TRUE(rig.start());
    rig.delete_shard(kShort);
    rig.clean();
    rig.expect_all(kLong, "from a segment without a footer, after all its neighbours died");
    EXPECT_EQ(rig.journal->stats().segments_damaged, 1U);
    rig.delete_shard(kLong);
    for (uint32_t i = 0; i < 3; ++i) {
        rig.retain_ns += 20 * kRetainStepNs;
        rig.clean();
    }
    EXPECT_EQ(rig.journal->stats().segments_damaged, 0U) << "dead at last";
}

TEST(Cleaner, ItsShareIsBounded) {
    JournalOptions options = cleaner_options();
    options.cleaner_bytes_per_s = 1 << 20U;
    CleanerRig rig(options);
    rig.open_both();
    rig.fill(2000, 8);
    rig.delete_shard(kShort);
    const uint64_t began_ns = rig.world.now_ns();
    const uint64_t before = rig.journal->stats().device_read_bytes;
    for (uint32_t i = 0; i < 20'000 && rig.journal->stats().relocated_bytes == 0; ++i) {
        rig.retain_ns += kRetainStepNs;
        rig.journal->retain(rig.retain_ns);
        rig.turn();
        rig.world.advance(100'000);
    }
    EXPECT_GT(rig.journal->stats().relocated_bytes, 0U);
    const double seconds = static_cast<double>(rig.world.now_ns() - began_ns) / 1e9;
    const double read = static_cast<double>(rig.journal->stats().device_read_bytes - before);
    // Footer pages are read beside it; they are few.
    EXPECT_LE(read, seconds * 1.2e6 + 2'000'000);
}

SegmentHeader header_of(uint64_t number, uint64_t incarnation) {
    SegmentHeader header;
    header.kind = SegmentKind::kNormal;
    header.segment_number = number;
    header.incarnation = incarnation;
    return header;
}
SegmentHeader relocated_of(uint64_t first, uint64_t last, uint64_t incarnation, uint64_t serial) {
    SegmentHeader header = header_of(first, incarnation);
    header.kind = SegmentKind::kRelocated;
    header.relocation.last_number = last;
    header.relocation.serial = serial;
    return header;
}

TEST(SegmentOrder, ARelocatedSegmentStandsForItsSources) {
    const std::vector<SegmentHeader> headers{header_of(1, 1), header_of(2, 1), header_of(3, 1),
                                             header_of(4, 2), relocated_of(2, 3, 2, 1)};
    EXPECT_EQ(order_segments(headers), (std::vector<size_t>{0, 4, 3}));
    EXPECT_TRUE(replaces(headers[4], headers[2]));
    EXPECT_FALSE(replaces(headers[4], headers[3]));
}

TEST(SegmentOrder, OfTwoThatOverlapTheLaterCounts) {
    const std::vector<SegmentHeader> headers{relocated_of(1, 2, 3, 7), relocated_of(1, 3, 3, 8), header_of(3, 1),
                                             header_of(4, 3), relocated_of(1, 1, 2, 9)};
    EXPECT_EQ(order_segments(headers), (std::vector<size_t>{1, 3}));
}

TEST(SegmentOrder, ALaterIncarnationThatTakesANumberCutsItOff) {
    const std::vector<SegmentHeader> headers{header_of(1, 1), relocated_of(2, 4, 2, 1), header_of(3, 3)};
    EXPECT_EQ(order_segments(headers), (std::vector<size_t>{0, 2}));
}

}  // namespace
}  // namespace eagre::journal
