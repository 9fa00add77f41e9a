// What a simulated disk keeps and loses: the model that every crash test of the journal stands on.
// Method: write, sync and crash by hand, then look at every sector and name that is left.
#include "dataplane/io/sim/sim_disk.h"

#include <algorithm>
#include <array>
#include <cstring>

#include <gtest/gtest.h>

#include "dataplane/io/memory.h"
#include "dataplane/io/sim/sim_world.h"

namespace eagre::io::sim {
namespace {

class SimDiskTest : public ::testing::Test {
  protected:
    void SetUp() override {
        buffer_ = *AlignedBuffer::create(64 * 1024);
        start(disk_);
        file_ = *io().files.create("a", 8192);
        ASSERT_TRUE(io().files.sync_directory(""));
    }
    void start(SimDisk& disk) { node_ = &world_.start_node(disk); }
    Io io() { return node_->io(); }

    StorageOp write(uint64_t offset_bytes, uint32_t length_bytes, int fill, size_t slot = 0) {
        std::byte* data = buffer_.data() + slot * 8192;
        std::memset(data, fill, length_bytes);
        return {StorageOp::Kind::kWrite, file_, offset_bytes, data, length_bytes, 0, 0, nullptr};
    }
    StorageOp sync() { return {StorageOp::Kind::kSync, file_, 0, nullptr, 0, 0, 0, nullptr}; }
    void submit(StorageOp& op) {
        StorageOp* ops[] = {&op};
        ASSERT_EQ(io().storage.submit(ops), 1U);
        io().events.poll();
    }
    void reap_one() {
        std::array<StorageOp*, 1> done{};
        for (int turn = 0; io().storage.reap(done) == 0; ++turn) {
            ASSERT_LT(turn, 1000);
            io().events.wait(1'000'000'000);
        }
    }
    void run(StorageOp op) {
        submit(op);
        reap_one();
    }
    /// First byte of each sector.
    static std::string sectors(const SimDisk& disk, uint32_t count) {
        std::string text;
        const auto file = disk.find("a");
        if (!file) return "gone";
        for (uint32_t s = 0; s < count; ++s) {
            std::byte value{};
            file->current.read(uint64_t{s} * kSectorBytes, {&value, 1});
            text += static_cast<char>(value == std::byte{0} ? '.' : std::to_integer<char>(value));
        }
        return text;
    }
    std::string after(const CrashPlan& plan, uint32_t count = 4) {
        return sectors(*disk_.image_after(plan), count);
    }

    SimWorld world_{7};
    SimDisk disk_;
    SimNode* node_ = nullptr;
    AlignedBuffer buffer_;
    FileId file_;
};

TEST_F(SimDiskTest, UnsyncedSectorsSurviveEachForItself) {
    run(write(0, 2048, 'A'));
    ASSERT_EQ(disk_.unsynced_sectors().size(), 4U);
    EXPECT_EQ(after(CrashPlan::power_lost(0b0000)), "....");
    EXPECT_EQ(after(CrashPlan::power_lost(0b0101)), "A.A.");
    EXPECT_EQ(after(CrashPlan::power_lost(0b1111)), "AAAA");
    EXPECT_EQ(sectors(disk_, 4), "AAAA") << "an image leaves the disk alone";
}

TEST_F(SimDiskTest, SyncCoversOnlyWritesReapedBeforeItWasSubmitted) {
    run(write(0, 512, 'A'));
    StorageOp second = write(512, 512, 'B', 1);
    submit(second);  // In flight when the sync is submitted ...
    StorageOp barrier = sync();
    submit(barrier);
    reap_one();
    reap_one();  // ... and completed before it is over: no difference.
    EXPECT_EQ(after(CrashPlan::power_lost(0)), "A...");
    run(sync());
    EXPECT_EQ(after(CrashPlan::power_lost(0)), "AB..");
    EXPECT_TRUE(disk_.unsynced_sectors().empty());
}

TEST_F(SimDiskTest, CompletedButUnreapedWriteIsNotCovered) {
    StorageOp op = write(0, 512, 'A');
    submit(op);
    world_.advance(1'000'000);
    io().events.poll();  // It could be reaped, and is not.
    StorageOp barrier = sync();
    submit(barrier);
    world_.advance(1'000'000);
    EXPECT_EQ(after(CrashPlan::power_lost(0)), "....");
    reap_one();
    reap_one();
}

TEST_F(SimDiskTest, SyncIsPerFile) {
    const FileId other = *io().files.create("b", 4096);
    run(write(0, 512, 'A'));
    StorageOp barrier = sync();
    barrier.file = other;
    run(barrier);
    EXPECT_EQ(after(CrashPlan::power_lost(0)), "....");
}

TEST_F(SimDiskTest, OldUnsyncedContentsNeverComeBackOverDurableNewOnes) {
    run(write(0, 512, 'A'));
    run(write(0, 512, 'B'));
    ASSERT_EQ(disk_.unsynced_sectors().size(), 2U);
    EXPECT_EQ(after(CrashPlan::power_lost(0b01)), "A...");
    EXPECT_EQ(after(CrashPlan::power_lost(0b11)), "B...");
    run(sync());
    run(write(0, 512, 'C'));
    EXPECT_EQ(after(CrashPlan::power_lost(0)), "B...");
    EXPECT_EQ(after(CrashPlan::power_lost(1)), "C...");
}

TEST_F(SimDiskTest, KillKeepsWhatCompletedAndMayLandTheRestLate) {
    run(write(0, 512, 'A'));
    StorageOp second = write(512, 512, 'B', 1);
    submit(second);
    world_.crash(*node_, CrashPlan::killed(true));
    start(disk_);
    EXPECT_EQ(sectors(disk_, 4), "A...");
    file_ = *io().files.open("a");
    run(sync());  // Recovery makes durable what it has seen ...
    EXPECT_EQ(after(CrashPlan::power_lost(0)), "A...");
    ASSERT_EQ(disk_.late_write_count(), 1U);
    EXPECT_EQ(disk_.land_late_writes(), 1U);
    EXPECT_EQ(sectors(disk_, 4), "AB..");
    EXPECT_EQ(after(CrashPlan::power_lost(0)), "A...") << "... but not what lands behind its back";
    EXPECT_EQ(after(CrashPlan::power_lost(1)), "AB..");
}

TEST_F(SimDiskTest, NamesNeedASyncOfTheirDirectory) {
    ASSERT_TRUE(io().files.make_directory("d"));
    ASSERT_TRUE(io().files.create("d/x", 4096));
    ASSERT_TRUE(io().files.rename("a", "z"));
    auto lost = disk_.image_after(CrashPlan::power_lost(0));
    EXPECT_EQ(lost->list(""), (std::vector<std::string>{"a"}));
    ASSERT_TRUE(io().files.sync_directory("d"));
    lost = disk_.image_after(CrashPlan::power_lost(0));
    EXPECT_FALSE(lost->find("d/x")) << "its directory is not durable";
    ASSERT_TRUE(io().files.sync_directory(""));
    lost = disk_.image_after(CrashPlan::power_lost(0));
    EXPECT_EQ(lost->list(""), (std::vector<std::string>{"d", "z"}));
    EXPECT_TRUE(lost->find("d/x"));
}

TEST_F(SimDiskTest, NameOperationsSurviveOldestFirst) {
    ASSERT_TRUE(io().files.create("b", 512));
    ASSERT_TRUE(io().files.remove("a"));
    CrashPlan plan = CrashPlan::power_lost(0);
    plan.name_operations_survive = 1;
    EXPECT_EQ(disk_.image_after(plan)->list(""), (std::vector<std::string>{"a", "b"}));
    plan.name_operations_survive = 2;
    EXPECT_EQ(disk_.image_after(plan)->list(""), (std::vector<std::string>{"b"}));
}

TEST_F(SimDiskTest, RotAndBadSectorsAreSeenByReads) {
    run(write(0, 1024, 'A'));
    run(sync());
    ASSERT_TRUE(disk_.corrupt("a", 512, 0x03));
    EXPECT_EQ(sectors(disk_, 2), "AB");
    ASSERT_TRUE(disk_.spoil_sector("a", 512));
    StorageOp read{StorageOp::Kind::kRead, file_, 0, buffer_.data() + 8192, 1024, 0, 0, nullptr};
    submit(read);
    reap_one();
    EXPECT_LT(read.result, 0);
    run(write(512, 512, 'C'));
    submit(read);
    reap_one();
    EXPECT_EQ(read.result, 1024) << "writing a bad sector makes it good";
}

TEST_F(SimDiskTest, FailedWriteIsToldAndAFailedSyncCoversNothing) {
    world_.faults().write_error_nth = 1;
    StorageOp op = write(0, 2048, 'A');
    submit(op);
    reap_one();
    EXPECT_LT(op.result, 0);
    run(write(0, 512, 'B'));
    world_.faults().sync_error_nth = 1;
    StorageOp barrier = sync();
    submit(barrier);
    reap_one();
    EXPECT_LT(barrier.result, 0);
    EXPECT_EQ(after(CrashPlan::power_lost(0)), "....");
}

TEST_F(SimDiskTest, FullDiskIsATypedError) {
    disk_.set_capacity(16384);
    EXPECT_EQ(io().files.create("big", 32768).error().code, Errc::kDiskFull);
    EXPECT_EQ(*io().files.free_bytes(), 8192U);
    EXPECT_TRUE(io().files.create("small", 8192));
}

TEST_F(SimDiskTest, LockIsHeldUntilTheProcessEnds) {
    ASSERT_TRUE(io().files.lock("LOCK"));
    SimNode& rival = world_.start_node(disk_);
    const Status refused = rival.io().files.lock("LOCK");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::kLocked);
    EXPECT_EQ(refused.error().detail, node_->id());
    world_.stop(*node_);
    EXPECT_TRUE(rival.io().files.lock("LOCK"));
}

TEST_F(SimDiskTest, AssertsOverlapOfWritesInFlight) {
    StorageOp first = write(0, 1024, 'A');
    StorageOp second = write(512, 512, 'B', 1);
    EXPECT_DEATH(
        {
            submit(first);
            submit(second);
        },
        "share a block");
}

TEST_F(SimDiskTest, AssertsThatASubmittedBufferIsFrozen) {
    EXPECT_DEATH(
        {
            StorageOp op = write(0, 512, 'A');
            submit(op);
            buffer_.data()[1] = std::byte{'x'};
            reap_one();
        },
        "frozen buffer");
}

TEST(SimWorld, SameSeedSameHistory) {
    const auto history = [](uint64_t seed) {
        SimFaults faults;
        faults.write_error_per_million = 200'000;
        faults.chunk_bytes_max = 7;
        SimWorld world(seed, faults);
        SimDisk disk;
        SimNode& node = world.start_node(disk);
        Io io = node.io();
        AlignedBuffer buffer = *AlignedBuffer::create(4096);
        const FileId file = *io.files.create("f", 4096);
        for (int i = 0; i < 50; ++i) {
            StorageOp op{StorageOp::Kind::kWrite,
                         file,
                         512 * (world.prng().below(8)),
                         buffer.data(),
                         512,
                         0,
                         0,
                         nullptr};
            StorageOp* ops[] = {&op};
            EXPECT_EQ(io.storage.submit(ops), 1U);
            std::array<StorageOp*, 1> done{};
            while (io.storage.reap(done) == 0) io.events.wait(1'000'000);
        }
        return world.history_hash();
    };
    EXPECT_EQ(history(1), history(1));
    EXPECT_NE(history(1), history(2));
}

TEST(SimWorld, WallClockJumpsAndTheMonotonicOneDoesNot) {
    SimWorld world(1);
    SimDisk disk;
    SimNode& node = world.start_node(disk);
    const uint64_t wall_ns = node.io().clock.wall_ns();
    const uint64_t monotonic_ns = node.io().clock.monotonic_ns();
    node.jump_wall(-5'000'000'000);
    world.advance(1'000);
    EXPECT_EQ(node.io().clock.wall_ns(), wall_ns - 5'000'000'000 + 1'000);
    EXPECT_EQ(node.io().clock.monotonic_ns(), monotonic_ns + 1'000);
}

}  // namespace
}  // namespace eagre::io::sim
