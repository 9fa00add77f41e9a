// What the world does to a journal: rot, device errors, a full disk; retention and recycling;
// memory of producers; crash loops. Each degrades only what it touches.
#include <algorithm>

#include "tests/unit/dataplane/journal/journal_rig.h"

namespace eagre::journal {
namespace {

using io::sim::CrashPlan;

/// Offset of the stored bytes of a run in the only data file that has them; 0: not found.
struct Place {
    std::string path;
    uint64_t offset_bytes = 0;
};
Place find_payload(JournalRig& rig, const ModelRun& run) {
    for (const std::string& name : rig.disk->list("journal-0000")) {
        const std::string path = "journal-0000/" + name;
        const auto file = rig.disk->find(path);
        std::vector<std::byte> bytes(file->size_bytes);
        file->current.read(0, bytes);
        const auto at =
            std::search(bytes.begin(), bytes.end(), run.payload.begin(), run.payload.end());
        if (at != bytes.end()) return {path, static_cast<uint64_t>(at - bytes.begin())};
    }
    return {};
}

TEST(Faults, ADamagedRunInASealedSegmentStopsNobodyElse) {
    JournalRig rig;
    ASSERT_TRUE(rig.start());
    ASSERT_TRUE(rig.open_shard(1));
    ASSERT_TRUE(rig.open_shard(2));
    for (uint32_t i = 0; i < 200; ++i) ASSERT_TRUE(rig.append({.shard = 1 + i % 2, .bytes = 2048}));
    ASSERT_TRUE(rig.journal->close());
    rig.stop();
    const ModelRun victim = rig.model[1][10];
    const Place place = find_payload(rig, victim);
    ASSERT_NE(place.offset_bytes, 0U);
    ASSERT_TRUE(rig.disk->corrupt(place.path, place.offset_bytes + 100, 0x40));
    ASSERT_TRUE(rig.start());
    const auto back = rig.read_shard(1);
    EXPECT_EQ(back.error, Errc::kOk);
    EXPECT_EQ(back.damaged_count, 1U);
    EXPECT_EQ(back.runs.size(), rig.model[1].size() - 1);
    for (const ModelRun& run : back.runs)
        EXPECT_NE(run.first_sequence, victim.first_sequence) << "rot was served";
    EXPECT_GE(rig.journal->stats().damaged_run_count, 1U);
    rig.expect_all(2, "the other shard");
}

TEST(Faults, RotBelowADurableMarkIsDamageAndTheRestIsKept) {
    JournalRig rig;
    ASSERT_TRUE(rig.start());
    ASSERT_TRUE(rig.open_shard(1));
    ASSERT_TRUE(rig.open_shard(2));
    for (uint32_t i = 0; i < 60; ++i) {
        ASSERT_TRUE(rig.append({.shard = 1 + i % 2, .bytes = 1024}));
        ASSERT_TRUE(rig.settle());
    }
    const Place place = find_payload(rig, rig.model[1][3]);
    rig.crash(CrashPlan::killed());
    for (const uint64_t back :
         {0U, 100U}) {  // The payload; then the commit header in front of it too.
        ASSERT_TRUE(rig.disk->corrupt(place.path, place.offset_bytes - back, 0x01));
    }
    ASSERT_TRUE(rig.start());
    EXPECT_GE(rig.journal->recovery().damaged_run_count, 1U);
    const auto back = rig.read_shard(1);
    EXPECT_EQ(back.error, Errc::kOk);
    EXPECT_EQ(back.runs.size(), rig.model[1].size() - 1);
    EXPECT_EQ(rig.journal->durable_tail(ShardId{1}).value, rig.next_sequence[1]);
    rig.expect_all(2, "the other shard");
}

// The runs of a nearly empty tail move into one commit of a new segment, and nothing may ever be written behind it.
TEST(Faults, RotInWhatRecoveryMovedIsDamageThoughNothingFollows) {
    JournalRig rig;
    ASSERT_TRUE(rig.start());
    ASSERT_TRUE(rig.open_shard(1));
    for (uint32_t i = 0; i < 8; ++i) ASSERT_TRUE(rig.append({.shard = 1, .bytes = 1024}));
    ASSERT_TRUE(rig.settle());
    rig.crash(CrashPlan::killed());
    ASSERT_TRUE(rig.start());
    rig.expect_all(1, "moved");
    rig.crash(CrashPlan::killed());
    const Place place = find_payload(rig, rig.model[1][3]);
    ASSERT_NE(place.offset_bytes, 0U);
    ASSERT_TRUE(rig.disk->corrupt(place.path, place.offset_bytes + 100, 0x01));
    for (int start = 0; start < 2; ++start) {  // The second time it has been moved once more, rot and all.
        ASSERT_TRUE(rig.start());
        EXPECT_GE(rig.journal->recovery().damaged_run_count, 1U);
        const auto back = rig.read_shard(1);
        EXPECT_EQ(back.error, Errc::kOk);
        EXPECT_EQ(back.damaged_count, 1U);
        EXPECT_EQ(back.runs.size(), rig.model[1].size() - 1);
        EXPECT_EQ(rig.journal->durable_tail(ShardId{1}).value, rig.next_sequence[1]);
        rig.crash(CrashPlan::killed());
    }
}

TEST(Faults, AFailedSyncStopsTheWatermarkForGoodAndReadsGoOn) {
    for (const bool sync : {true, false}) {
        JournalRig rig;
        ASSERT_TRUE(rig.start());
        ASSERT_TRUE(rig.open_shard(1));
        ASSERT_TRUE(rig.append({.shard = 1}));
        ASSERT_TRUE(rig.settle());
        ASSERT_TRUE(rig.run_until([&] { return rig.journal->stats().segments_ready >= 1; }));
        ASSERT_TRUE(rig.settle());
        const CommitNumber durable = rig.journal->durable();
        (sync ? rig.world.faults().sync_error_nth : rig.world.faults().write_error_nth) = 1;
        ASSERT_TRUE(rig.append({.shard = 1}));
        ASSERT_TRUE(rig.run_until([&] { return rig.journal->failed(); }));
        for (int i = 0; i < 1000; ++i) rig.turn();
        EXPECT_EQ(rig.journal->durable(), durable);
        EXPECT_EQ(rig.try_append({.shard = 1}).error().code, Errc::kJournalFailed);
        EXPECT_EQ(rig.read_shard(1).runs.size(), 1U);
        EXPECT_EQ(rig.journal->close().error().code, Errc::kJournalFailed);
        rig.crash(CrashPlan::power_lost());
        ASSERT_TRUE(rig.start());
        rig.expect_prefix(1, durable.value, "reopened");
    }
}

TEST(Faults, AFullDiskIsATypedErrorThatClearsByItself) {
    JournalOptions options = small_options();
    JournalRig rig(options);
    rig.disk->set_capacity(3 * options.segment_bytes + 64 * 1024);
    ASSERT_TRUE(rig.start());
    ASSERT_TRUE(rig.open_shard(1));
    Result<CommitNumber> last = CommitNumber{0};
    for (uint32_t i = 0; i < 600 && last; ++i) last = rig.append({.shard = 1, .bytes = 4096});
    ASSERT_FALSE(last);
    EXPECT_EQ(last.error().code, Errc::kDiskFull);
    EXPECT_TRUE(rig.journal->stats().disk_full);
    ASSERT_TRUE(rig.run_until(
        [&] { return rig.journal->durable().value + 1 >= rig.journal->open_commit().value; }));
    rig.expect_all(1, "while full");
    rig.disk->set_capacity(1ULL << 40U);
    ASSERT_TRUE(rig.run_until([&] {
        rig.world.advance(10'000'000);
        return rig.try_append({.shard = 1, .bytes = 4096}).has_value();
    }));
    ASSERT_TRUE(rig.settle());
    EXPECT_FALSE(rig.journal->stats().disk_full);
    rig.expect_all(1, "room again");
}

TEST(Faults, ProducersAreRememberedExactlyOverRestarts) {
    for (const bool clean : {true, false}) {
        JournalRig rig;
        ASSERT_TRUE(rig.start());
        ASSERT_TRUE(rig.open_shard(1));
        ProducerFacts facts;
        facts.producer = ProducerId{77};
        facts.shard = ShardId{1};
        for (uint64_t number = 0; number < 150; ++number) {
            const uint64_t sequence = rig.next_sequence[1];
            const auto bytes = payload_of(1, sequence, 2048);
            if (facts.result_count == 16) {
                std::copy(facts.results + 1, facts.results + 16, facts.results);
                --facts.result_count;
            }
            facts.results[facts.result_count++] = {BatchNumber{number}, SequenceNumber{sequence}, 4,
                                                   crc32c(bytes)};
            facts.last_arrival_ns = rig.arrival_ns;
            ASSERT_TRUE(
                rig.append({.shard = 1, .bytes = 2048, .producer = 77, .batch_number = number}));
            ASSERT_TRUE(rig.journal->remember_producer(facts));
        }
        ASSERT_TRUE(rig.settle());
        if (clean) {
            ASSERT_TRUE(rig.journal->close());
        } else {
            rig.crash(CrashPlan::power_lost());
        }
        ASSERT_TRUE(rig.start());
        ASSERT_EQ(rig.journal->recovered_producers().size(), 1U);
        const ProducerFacts& got = rig.journal->recovered_producers()[0];
        ASSERT_EQ(got.result_count, 16U);
        EXPECT_EQ(got.last_arrival_ns, facts.last_arrival_ns);
        for (uint32_t i = 0; i < 16; ++i) {
            EXPECT_EQ(got.results[i].number, facts.results[i].number) << clean;
            EXPECT_EQ(got.results[i].first_sequence, facts.results[i].first_sequence);
            EXPECT_EQ(got.results[i].payload_crc, facts.results[i].payload_crc);
        }
    }
}

TEST(Faults, CrashLoopsDoNotUseUpSegments) {
    JournalRig rig;
    ASSERT_TRUE(rig.start());
    ASSERT_TRUE(rig.open_shard(1));
    for (uint32_t life = 0; life < 30; ++life) {
        ASSERT_TRUE(rig.append({.shard = 1, .bytes = 256}));
        ASSERT_TRUE(rig.settle());
        if (life % 3 == 2) {
            ASSERT_TRUE(rig.journal->close());
        } else {
            rig.crash(CrashPlan::killed());
        }
        ASSERT_TRUE(rig.start());
        rig.expect_all(1, "in the loop");
    }
    EXPECT_LE(rig.journal->stats().segments_live, 2U);
}

TEST(Faults, RetentionRaisesHorizonsThenRecyclesAndSurvivesRestarts) {
    JournalRig rig;
    ASSERT_TRUE(rig.start());
    ASSERT_TRUE(rig.open_shard(1, 1000));
    ASSERT_TRUE(rig.open_shard(2, 0));
    for (uint32_t i = 0; i < 400; ++i) {
        ASSERT_TRUE(rig.append({.shard = 1, .bytes = 4096}));
        rig.arrival_ns += 10'000'000;
    }
    ASSERT_TRUE(rig.settle());
    const uint64_t before = rig.journal->stats().segments_live;
    for (int i = 0; i < 5; ++i) {
        rig.journal->retain(rig.arrival_ns);
        for (int turn = 0; turn < 2000; ++turn) rig.turn();
    }
    const uint64_t horizon = rig.journal->trim_horizon(ShardId{1}).value;
    const uint64_t limit_ns = rig.arrival_ns - 1'000'000'000;
    for (const ModelRun& run : rig.model[1]) {
        if (run.arrival_ns >= limit_ns) {
            ASSERT_GE(run.first_sequence, horizon) << "something younger was trimmed";
        }
        if (run.arrival_ns + 200'000'000 < limit_ns) {
            ASSERT_LT(run.first_sequence, horizon) << "something old is still there";
        }
    }
    EXPECT_LT(rig.journal->stats().segments_live, before);
    EXPECT_GT(rig.journal->stats().segments_recycled, 0U);
    EXPECT_EQ(rig.read_shard(1, 1).error, Errc::kSequenceTrimmed);
    ASSERT_TRUE(rig.append({.shard = 1}));
    ASSERT_TRUE(rig.settle());
    rig.crash(CrashPlan::power_lost());
    ASSERT_TRUE(rig.start());
    EXPECT_EQ(rig.journal->trim_horizon(ShardId{1}).value, horizon);
    const auto back = rig.read_shard(1, horizon);
    EXPECT_EQ(back.error, Errc::kOk);
    EXPECT_EQ(back.damaged_count, 0U);
    EXPECT_EQ(back.runs.back().first_sequence, rig.model[1].back().first_sequence);
}

TEST(Faults, LocateTimeFindsTheFirstRecordAtOrAfter) {
    JournalRig rig;
    ASSERT_TRUE(rig.start());
    ASSERT_TRUE(rig.open_shard(1));
    for (uint32_t i = 0; i < 300; ++i) ASSERT_TRUE(rig.append({.shard = 1, .bytes = 4096}));
    ASSERT_TRUE(rig.settle());
    for (size_t i = 0; i < rig.model[1].size(); i += 37) {
        Result<SequenceNumber> found = Errc::kBusy;
        rig.run_until([&] {
            found = rig.journal->locate_time(ShardId{1}, rig.model[1][i].arrival_ns);
            return found || found.error().code != Errc::kBusy;
        });
        ASSERT_TRUE(found);
        EXPECT_EQ(found->value, rig.model[1][i].first_sequence);
    }
}

}  // namespace
}  // namespace eagre::journal
