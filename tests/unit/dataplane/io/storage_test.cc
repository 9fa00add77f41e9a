// Conformance of Storage, the same for the real device and the simulated one: what is written is
// read, bounds of the queue, ends of files, and that an operation comes back exactly once.
#include "dataplane/io/storage.h"

#include <set>

#include "tests/unit/dataplane/io/io_rig.h"

namespace eagre::io {
namespace {

using Kind = StorageOp::Kind;

class StorageConformance : public IoConformance {
  protected:
    void SetUp() override {
        IoConformance::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        block_ = io().files.block_bytes();
        const auto made = io().files.create("data", 1024 * 1024);
        ASSERT_TRUE(made);
        file_ = *made;
    }
    uint32_t block_ = 0;
    FileId file_;
};

TEST_P(StorageConformance, BlocksAreOfAUsualSize) {
    EXPECT_TRUE(block_ == 512 || block_ == 4096) << block_;
}

TEST_P(StorageConformance, WhatIsWrittenAndSyncedIsRead) {
    for (size_t i = 0; i < 64 * 1024; ++i) buffer_.data()[i] = static_cast<std::byte>(i * 31 >> 3U);
    StorageOp write = op(Kind::kWrite, file_, 4096, 0, 64 * 1024);
    EXPECT_EQ(run(write), 64 * 1024);
    StorageOp sync = op(Kind::kSync, file_, 0, 0, 0);
    EXPECT_EQ(run(sync), 0);
    StorageOp read = op(Kind::kRead, file_, 4096, 128 * 1024, 64 * 1024);
    EXPECT_EQ(run(read), 64 * 1024);
    EXPECT_EQ(std::memcmp(buffer_.data(), buffer_.data() + 128 * 1024, 64 * 1024), 0);
    EXPECT_EQ(io().storage.in_flight(), 0U);
}

TEST_P(StorageConformance, NewFileReadsAsZeros) {
    std::memset(buffer_.data(), 0xff, 8192);
    StorageOp read = op(Kind::kRead, file_, 512 * 1024, 0, 8192);
    EXPECT_EQ(run(read), 8192);
    for (size_t i = 0; i < 8192; ++i) ASSERT_EQ(buffer_.data()[i], std::byte{0});
}

TEST_P(StorageConformance, ReadEndsWithTheFile) {
    StorageOp across = op(Kind::kRead, file_, 1024 * 1024 - 4096, 0, 16384);
    EXPECT_EQ(run(across), 4096);
    StorageOp behind = op(Kind::kRead, file_, 2 * 1024 * 1024, 0, 4096);
    EXPECT_EQ(run(behind), 0);
}

TEST_P(StorageConformance, SubmittedIsInFlightUntilItIsReaped) {
    StorageOp write = op(Kind::kWrite, file_, 0, 0, 4096);
    submit(write);
    EXPECT_EQ(io().storage.in_flight(), 1U);
    std::array<StorageOp*, 1> none{};
    EXPECT_EQ(io().storage.reap(none), 0U) << "nothing goes out before poll";
    ASSERT_TRUE(until([&] { return io().storage.reap(none) == 1; }));
    EXPECT_EQ(io().storage.in_flight(), 0U);
    EXPECT_EQ(write.result, 4096);
}

TEST_P(StorageConformance, FullQueueTakesFewerAndLosesNone) {
    std::vector<StorageOp> ops(2000);
    std::vector<StorageOp*> waiting;
    for (size_t i = 0; i < ops.size(); ++i) {
        ops[i] = op(Kind::kRead, file_, (i % 16) * 4096, (i % 64) * 4096, 4096);
        ops[i].tag = i;
        waiting.push_back(&ops[i]);
    }
    size_t submitted = io().storage.submit(waiting);
    EXPECT_GT(submitted, 0U);
    EXPECT_LT(submitted, ops.size()) << "the queue has a bound";
    EXPECT_EQ(io().storage.in_flight(), submitted);
    std::set<uint64_t> reaped;
    std::array<StorageOp*, 7> done{};
    ASSERT_TRUE(until([&] {
        for (size_t count = io().storage.reap(done); count != 0; count = io().storage.reap(done)) {
            for (size_t i = 0; i < count; ++i) {
                EXPECT_EQ(done[i]->result, 4096);
                EXPECT_TRUE(reaped.insert(done[i]->tag).second) << "given twice";
            }
        }
        submitted += io().storage.submit(std::span(waiting).subspan(submitted));
        return reaped.size() == ops.size();
    }));
}

TEST_P(StorageConformance, ManyWritesAndThenOneSync) {
    std::vector<StorageOp> writes(32);
    std::vector<StorageOp*> all;
    for (size_t i = 0; i < writes.size(); ++i) {
        std::memset(buffer_.data() + i * 4096, static_cast<int>(i + 1), 4096);
        writes[i] = op(Kind::kWrite, file_, i * 4096, i * 4096, 4096);
        all.push_back(&writes[i]);
    }
    ASSERT_EQ(io().storage.submit(all), all.size());
    std::array<StorageOp*, 32> done{};
    size_t count = 0;
    ASSERT_TRUE(until([&] { return (count += io().storage.reap(done)) == writes.size(); }));
    StorageOp sync = op(Kind::kSync, file_, 0, 0, 0);
    EXPECT_EQ(run(sync), 0);
    StorageOp read = op(Kind::kRead, file_, 0, 512 * 1024, 32 * 4096);
    EXPECT_EQ(run(read), 32 * 4096);
    EXPECT_EQ(std::memcmp(buffer_.data(), buffer_.data() + 512 * 1024, 32 * 4096), 0);
}

EAGRE_BOTH_BACK_ENDS(StorageConformance);

}  // namespace
}  // namespace eagre::io
