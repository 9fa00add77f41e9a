// Room and what is done without it: retention by bytes, a full disk, the box's own limit. Records are refused before the last
// segment is used up; facts, reads, retention and deletion go on; writes come back by themselves.
#include <algorithm>
#include <cerrno>
#include <map>

#include "tests/unit/dataplane/journal/journal_rig.h"

namespace eagre::journal {
namespace {

using io::sim::CrashPlan;

constexpr uint64_t kSecond = 1'000'000'000;

/// Appends until the journal refuses; what it said.
Errc fill_up(JournalRig& rig, uint64_t shard = 1, uint32_t most = 2000) {
    for (uint32_t i = 0; i < most; ++i) {
        const auto appended = rig.append({.shard = shard, .bytes = 4096});
        if (!appended) return appended.error().code;
    }
    return Errc::kOk;
}

bool comes_back(JournalRig& rig) {
    return rig.run_until([&] {
        rig.world.advance(10'000'000);
        return rig.try_append({.shard = 1, .bytes = 4096}).has_value();
    });
}

void retain(JournalRig& rig) {
    for (int i = 0; i < 4; ++i) {
        rig.journal->retain(rig.arrival_ns);
        for (int turn = 0; turn < 500; ++turn) rig.turn();
    }
}

/// What can be read is what was appended from the horizon on.
void expect_rest(JournalRig& rig, uint64_t shard, const char* when) {
    const uint64_t horizon = rig.journal->trim_horizon(ShardId{shard}).value;
    const auto back = rig.read_shard(shard, horizon);
    ASSERT_EQ(back.error, Errc::kOk) << when;
    const auto& told = rig.model[shard];
    const auto first = std::find_if(told.begin(), told.end(),
                                    [&](const ModelRun& run) { return run.first_sequence + run.record_count > horizon; });
    ASSERT_EQ(back.runs.size(), static_cast<size_t>(told.end() - first)) << when;
    for (size_t i = 0; i < back.runs.size(); ++i) {
        ASSERT_EQ(back.runs[i].first_sequence, first[static_cast<ptrdiff_t>(i)].first_sequence) << when;
        ASSERT_TRUE(back.runs[i].payload == first[static_cast<ptrdiff_t>(i)].payload) << when;
    }
}

uint64_t bytes_from(const JournalRig& rig, uint64_t shard, uint64_t horizon) {
    uint64_t bytes = 0;
    for (const ModelRun& run : rig.model.at(shard)) {
        if (run.first_sequence >= horizon) bytes += sizeof(RunHeader) + run.payload.size();
    }
    return bytes;
}

// ------------------------------------------------------------------------------------------------------------ by bytes

TEST(Room, StoredBytesAreThoseOfRuns) {
    JournalRig rig;
    ASSERT_TRUE(rig.start());
    ASSERT_TRUE(rig.open_shard(1));
    EXPECT_EQ(rig.journal->stored_bytes(StreamId{7}), 0U);
    EXPECT_EQ(rig.journal->stored_bytes(StreamId{8}), 0U);
    for (int i = 0; i < 300; ++i) ASSERT_TRUE(rig.append({.shard = 1, .bytes = 4096}));
    EXPECT_EQ(rig.journal->stored_bytes(StreamId{7}), 300 * (4096 + sizeof(RunHeader)));
    ASSERT_TRUE(rig.settle());
    for (const bool clean : {false, true}) {
        if (clean) {
            ASSERT_TRUE(rig.journal->close());
            rig.stop();
        } else {
            rig.crash(CrashPlan::power_lost());
        }
        ASSERT_TRUE(rig.start());
        retain(rig);
        EXPECT_EQ(rig.journal->stored_bytes(StreamId{7}), 300 * (4096 + sizeof(RunHeader))) << "clean " << clean;
    }
    ShardFacts facts;
    facts.shard = ShardId{1};
    facts.stream = StreamId{7};
    facts.deleted = true;
    facts.open = false;
    ASSERT_TRUE(rig.write_fact(facts));
    EXPECT_EQ(rig.journal->stored_bytes(StreamId{7}), 0U);
}

TEST(Room, ALimitInBytesTrimsTheOldestOfTheStreamAndNobodyElses) {
    constexpr uint64_t kLimit = 512 * 1024;
    JournalRig rig;
    ASSERT_TRUE(rig.start());
    ASSERT_TRUE(rig.open_shard(1));
    ASSERT_TRUE(rig.open_shard(2));
    ShardFacts other;
    other.shard = ShardId{3};
    other.stream = StreamId{8};
    other.first_sequence = SequenceNumber{1};
    ASSERT_TRUE(rig.write_fact(other));
    for (uint32_t i = 0; i < 900; ++i) {
        ASSERT_TRUE(rig.append({.shard = 1 + i % 3, .bytes = 2048}));
        rig.arrival_ns += 1'000'000;
        if (i % 30 == 0) {
            rig.journal->limit_stream(StreamId{7}, kLimit);
            rig.journal->retain(0);  // Whatever the clock says.
        }
        if (i % 100 == 0) {
            ASSERT_TRUE(rig.settle());
        }
    }
    rig.journal->limit_stream(StreamId{7}, kLimit);
    for (int i = 0; i < 4; ++i) {
        rig.journal->retain(0);
        for (int turn = 0; turn < 500; ++turn) rig.turn();
    }
    uint64_t kept = 0;
    std::map<uint64_t, uint64_t> horizons;
    for (const uint64_t shard : {1U, 2U}) {
        horizons[shard] = rig.journal->trim_horizon(ShardId{shard}).value;
        EXPECT_GT(horizons[shard], 1U);
        kept += bytes_from(rig, shard, horizons[shard]);
        expect_rest(rig, shard, "limited");
    }
    // To within an extent of each shard (here at most a segment) and the thirty-second part that a slice is.
    EXPECT_LE(kept, kLimit + 2 * 64 * 1024);
    EXPECT_GE(kept, kLimit - kLimit / 16);
    EXPECT_LE(rig.journal->stored_bytes(StreamId{7}), kLimit);
    // The same age in both shards: the stream is one.
    EXPECT_NEAR(static_cast<double>(horizons[1]), static_cast<double>(horizons[2]), 4.0 * 40);
    EXPECT_EQ(rig.journal->trim_horizon(ShardId{3}).value, 1U);
    rig.expect_all(3, "a stream without a limit");
    EXPECT_GT(rig.journal->stats().segments_live, 2U);

    rig.crash(CrashPlan::power_lost());
    ASSERT_TRUE(rig.start());
    for (const uint64_t shard : {1U, 2U}) {
        EXPECT_EQ(rig.journal->trim_horizon(ShardId{shard}).value, horizons[shard]) << "a horizon fell";
        expect_rest(rig, shard, "restarted");
    }
    rig.expect_all(3, "a stream without a limit, restarted");
    retain(rig);
    const double counted = static_cast<double>(rig.journal->stored_bytes(StreamId{7}));
    EXPECT_NEAR(counted, static_cast<double>(kept), static_cast<double>(kLimit) / 4) << "counted anew from footers";
}

TEST(Room, ALimitAloneFreesSegments) {
    JournalRig rig;
    ASSERT_TRUE(rig.start());
    ASSERT_TRUE(rig.open_shard(1));
    uint64_t most = 0;
    for (uint32_t i = 0; i < 3000; ++i) {
        ASSERT_TRUE(rig.append({.shard = 1, .bytes = 4096}));
        rig.arrival_ns += 1'000'000;
        if (i % 20 == 0) {
            rig.journal->limit_stream(StreamId{7}, 400 * 1024);
            rig.journal->retain(0);
            for (int turn = 0; turn < 50; ++turn) rig.turn();
        }
        most = std::max(most, rig.journal->stats().segments_live);
    }
    EXPECT_LE(most, 7U) << "12 MB went through";
    EXPECT_GT(rig.journal->stats().segments_recycled, 30U);
    ASSERT_TRUE(rig.settle());
    expect_rest(rig, 1, "limited");
}

// ----------------------------------------------------------------------------------------------------------- full disk

TEST(Room, OnAFullDiskFactsGoOnAndDeletionMakesRoom) {
    JournalRig rig;
    rig.disk->set_capacity(6 * rig.options.segment_bytes + 64 * 1024);
    ASSERT_TRUE(rig.start());
    ASSERT_TRUE(rig.open_shard(1));
    ASSERT_TRUE(rig.open_shard(2));
    ASSERT_EQ(fill_up(rig, 2), Errc::kDiskFull);
    EXPECT_TRUE(rig.journal->stats().disk_full);
    EXPECT_EQ(rig.try_append({.shard = 1, .bytes = 64}).error().code, Errc::kDiskFull);
    ASSERT_TRUE(rig.settle());
    rig.expect_all(2, "while full");
    // Facts go on, more of them than the live segment has room for.
    for (int i = 0; i < 800; ++i) ASSERT_TRUE(rig.open_shard(1, 1000 + static_cast<uint64_t>(i))) << i;
    EXPECT_EQ(rig.try_append({.shard = 1, .bytes = 64}).error().code, Errc::kDiskFull) << "records take what facts need";
    rig.expect_all(2, "while full");
    ShardFacts gone;
    gone.shard = ShardId{2};
    gone.stream = StreamId{7};
    gone.deleted = true;
    gone.open = false;
    ASSERT_TRUE(rig.write_fact(gone));
    ASSERT_TRUE(rig.settle());
    rig.journal->retain(rig.arrival_ns);
    ASSERT_TRUE(comes_back(rig));
    ASSERT_TRUE(rig.settle());
    rig.expect_all(1, "room again");
    EXPECT_FALSE(rig.journal->stats().disk_full);
}

TEST(Room, OnAFullDiskRetentionMakesRoom) {
    JournalRig rig;
    rig.disk->set_capacity(6 * rig.options.segment_bytes + 64 * 1024);
    ASSERT_TRUE(rig.start());
    ASSERT_TRUE(rig.open_shard(1, 1000));
    ASSERT_EQ(fill_up(rig), Errc::kDiskFull);
    ASSERT_TRUE(rig.settle());
    rig.arrival_ns += 10 * kSecond;
    rig.journal->retain(rig.arrival_ns);
    ASSERT_TRUE(comes_back(rig));
    ASSERT_TRUE(rig.settle());
    expect_rest(rig, 1, "room again");
}

TEST(Room, ABoxThatWasFullStartsAgainAndCanDelete) {
    for (const bool facts_too : {false, true}) {
        // A segment to start with is what the reserve of the disk is for.
        JournalOptions options = small_options();
        options.disk_reserve_bytes = options.segment_bytes;
        JournalRig rig(options);
        rig.disk->set_capacity(7 * options.segment_bytes + 64 * 1024);
        ASSERT_TRUE(rig.start());
        ASSERT_TRUE(rig.open_shard(1));
        ASSERT_TRUE(rig.open_shard(2));
        ASSERT_EQ(fill_up(rig, 2), Errc::kDiskFull);
        // The reserve is taken into use.
        for (int i = 0; facts_too && rig.journal->stats().segments_ready > 0 && i < 2000; ++i) {
            ASSERT_TRUE(rig.open_shard(1, 1000));
            ASSERT_TRUE(rig.settle());
        }
        ASSERT_TRUE(rig.settle());
        rig.crash(CrashPlan::killed());
        ASSERT_TRUE(rig.start()) << "facts too " << facts_too;
        rig.expect_all(2, "restarted");
        ShardFacts gone;
        gone.shard = ShardId{2};
        gone.stream = StreamId{7};
        gone.deleted = true;
        gone.open = false;
        ASSERT_TRUE(rig.write_fact(gone));
        ASSERT_TRUE(rig.settle());
        rig.journal->retain(rig.arrival_ns);
        ASSERT_TRUE(comes_back(rig));
    }
}

TEST(Room, TheReserveOfTheDiskIsNotTouched) {
    JournalOptions options = small_options();
    options.disk_reserve_bytes = 4 * options.segment_bytes;
    JournalRig rig(options);
    rig.disk->set_capacity(10 * options.segment_bytes);
    ASSERT_TRUE(rig.start());
    ASSERT_TRUE(rig.open_shard(1));
    ASSERT_EQ(fill_up(rig), Errc::kDiskFull);
    for (int i = 0; i < 300; ++i) {
        rig.world.advance(1'000'000);
        rig.turn();
        ASSERT_LE(rig.disk->used_bytes(), 6 * options.segment_bytes);
    }
    EXPECT_GT(rig.disk->used_bytes(), 5 * options.segment_bytes);
}

// ENOSPC from a write or a sync of a file that is being made ready, whichever: thin volumes and file systems that copy on write
// say so late.
class LateFull final : public io::Storage {
  public:
    LateFull(io::Storage& inner, uint64_t segment_bytes, uint64_t fail_nth) : inner_(inner), segment_bytes_(segment_bytes), fail_nth_(fail_nth) {}
    size_t submit(std::span<io::StorageOp* const> ops) override {
        for (size_t i = 0; i < ops.size(); ++i) {
            if (is_preparing(*ops[i]) && ++seen_ == fail_nth_) {
                ops[i]->result = -ENOSPC;
                failed_.push_back(ops[i]);
                failed = true;
                continue;
            }
            if (inner_.submit(ops.subspan(i, 1)) == 0) return i;
        }
        return ops.size();
    }
    size_t reap(std::span<io::StorageOp*> done) override {
        if (failed_.empty() || done.empty()) return inner_.reap(done);
        done[0] = failed_.back();
        failed_.pop_back();
        return 1;
    }
    size_t in_flight() const override { return inner_.in_flight() + failed_.size(); }
    bool failed = false;

  private:
    // A file is being made ready from its first byte of zeros until the second sync.
    bool is_preparing(const io::StorageOp& op) {
        if (op.kind == io::StorageOp::Kind::kRead) return false;
        uint64_t& zeroed = zeroed_[op.file.value];
        uint32_t& syncs = syncs_[op.file.value];
        if (op.kind == io::StorageOp::Kind::kWrite && op.offset_bytes == zeroed && zeroed < segment_bytes_ && syncs == 0) {
            zeroed += op.length_bytes;
            return true;
        }
        if (zeroed != segment_bytes_ || syncs == 2) return false;
        if (op.kind == io::StorageOp::Kind::kSync) ++syncs;
        return true;
    }
    io::Storage& inner_;
    uint64_t segment_bytes_;
    uint64_t fail_nth_;
    uint64_t seen_ = 0;
    std::map<uint32_t, uint64_t> zeroed_;
    std::map<uint32_t, uint32_t> syncs_;
    std::vector<io::StorageOp*> failed_;
};

TEST(Room, ADiskThatSaysFullLateRefusesAndComesBack) {
    uint32_t refused = 0;
    for (uint64_t nth = 8; nth < 56; ++nth) {
        JournalRig rig;
        std::unique_ptr<LateFull> late;
        rig.wrap = [&](io::Io io) {
            late = std::make_unique<LateFull>(io.storage, rig.options.segment_bytes, nth);
            return io::Io{io.events, io.connections, io.datagrams, *late, io.files, io.clock, io.seed};
        };
        ASSERT_TRUE(rig.start()) << nth;
        ASSERT_TRUE(rig.open_shard(1)) << nth;
        for (uint32_t i = 0; i < 1000; ++i) {
            const auto appended = rig.append({.shard = 1, .bytes = 4096});
            if (appended) continue;
            ASSERT_EQ(appended.error().code, Errc::kDiskFull) << nth;
            ++refused;
            ASSERT_TRUE(rig.open_shard(1, 5000)) << "no fact goes, nth " << nth;
            ASSERT_TRUE(comes_back(rig)) << nth;
        }
        ASSERT_TRUE(late->failed) << nth;
        ASSERT_TRUE(rig.settle());
        ASSERT_FALSE(rig.journal->failed()) << nth;
        rig.expect_all(1, "behind a late ENOSPC");
        rig.stop();
    }
    EXPECT_GT(refused, 0U);
}

// ------------------------------------------------------------------------------------------------------- the box's limit

TEST(Room, TheLimitOfTheBoxIsAnErrorOfItsOwn) {
    StoreBudget budget;
    JournalOptions options = small_options();
    budget.shared_bytes_max = 2 * options.segment_bytes;
    options.budget = &budget;
    JournalRig rig(options);
    ASSERT_TRUE(rig.start());
    ASSERT_TRUE(rig.open_shard(1));
    ASSERT_EQ(fill_up(rig), Errc::kStoreFull);
    ASSERT_TRUE(rig.settle());
    EXPECT_EQ(rig.disk->list("journal-0000").size(), kGuaranteedSegments + 2);
    EXPECT_EQ(budget.shared_bytes, 2 * options.segment_bytes);
    rig.expect_all(1, "at the limit");
    budget.shared_bytes_max = 4 * options.segment_bytes;
    ASSERT_TRUE(comes_back(rig));
}

TEST(Room, ASmallerLimitGivesFilesBack) {
    StoreBudget budget;
    JournalOptions options = small_options();
    options.budget = &budget;
    JournalRig rig(options);
    ASSERT_TRUE(rig.start());
    ASSERT_TRUE(rig.open_shard(1, 1000));
    for (int i = 0; i < 1000; ++i) ASSERT_TRUE(rig.append({.shard = 1, .bytes = 4096}));
    ASSERT_TRUE(rig.settle());
    const size_t before = rig.disk->list("journal-0000").size();
    ASSERT_GT(before, 12U);
    budget.shared_bytes_max = options.segment_bytes;
    rig.arrival_ns += 10 * kSecond;
    rig.journal->retain(rig.arrival_ns);
    EXPECT_TRUE(rig.run_until([&] { return rig.disk->list("journal-0000").size() <= kGuaranteedSegments + 1; }));
    EXPECT_LE(budget.shared_bytes, budget.shared_bytes_max);
    ASSERT_TRUE(rig.append({.shard = 1}));
}

TEST(Room, TheOldestMakesRoomWhenItIsToldTo) {
    for (const bool by_limit : {true, false}) {
        StoreBudget budget;
        JournalOptions options = small_options();
        options.trim_when_full = true;
        JournalRig rig(options);
        if (by_limit) {
            budget.shared_bytes_max = 2 * options.segment_bytes;
            rig.options.budget = &budget;
        } else {
            rig.disk->set_capacity(8 * options.segment_bytes + 64 * 1024);
        }
        ASSERT_TRUE(rig.start());
        ASSERT_TRUE(rig.open_shard(1));
        ASSERT_TRUE(rig.open_shard(2));
        for (uint32_t i = 0; i < 40; ++i) ASSERT_TRUE(rig.append({.shard = 2, .bytes = 4096}));
        for (uint32_t i = 0; i < 2000; ++i) {
            Result<CommitNumber> appended = Errc::kBusy;
            ASSERT_TRUE(rig.run_until([&] {
                appended = rig.try_append({.shard = 1, .bytes = 4096});
                if (!appended) rig.world.advance(1'000'000);
                return appended.has_value();
            })) << i << " " << errc_name(appended.error().code);
            ASSERT_LE(rig.disk->list("journal-0000").size(), 8U);
        }
        for (int turn = 0; turn < 20'000; ++turn) rig.turn();
        EXPECT_GT(rig.journal->stats().segments_trimmed, 10U);
        EXPECT_EQ(rig.journal->trim_horizon(ShardId{2}).value, rig.next_sequence[2]) << "the oldest of all went first";
        const uint64_t horizon = rig.journal->trim_horizon(ShardId{1}).value;
        EXPECT_GT(horizon, 1U);
        EXPECT_GE(bytes_from(rig, 1, horizon), 3 * options.segment_bytes) << "more was given up than had to be";
        expect_rest(rig, 1, "at the limit");
        rig.crash(CrashPlan::power_lost());
        ASSERT_TRUE(rig.start());
        EXPECT_GE(rig.journal->trim_horizon(ShardId{1}).value, horizon);
        // The start took a segment of its own: room for it may have to be made.
        for (int turn = 0; turn < 20'000; ++turn) rig.turn();
        expect_rest(rig, 1, "restarted at the limit");
    }
}

}  // namespace
}  // namespace eagre::journal
