// Output to a pipe that nobody reads for a while: nothing waits longer than it was told, nothing is lost or doubled, and what
// counts as written has been.
#include "tools/eagre/paced_output.h"

#include <fcntl.h>
#include <unistd.h>

#include <string>

#include <gtest/gtest.h>

namespace eagre::cli {
namespace {

class PacedOutputTest : public ::testing::Test {
  protected:
    PacedOutputTest() {
        EXPECT_EQ(::pipe2(ends_, O_CLOEXEC), 0);
        EXPECT_EQ(::fcntl(ends_[0], F_SETFL, O_NONBLOCK), 0);
    }
    ~PacedOutputTest() override {
        ::close(ends_[0]);
        ::close(ends_[1]);
    }
    PacedOutputTest(const PacedOutputTest&) = delete;
    PacedOutputTest& operator=(const PacedOutputTest&) = delete;

    std::string add(PacedOutput& out, uint64_t shard, uint64_t sequence, size_t bytes) {
        const std::string data = std::to_string(shard) + ":" + std::to_string(sequence) + std::string(bytes, 'x');
        frame::RecordView record;
        record.partition_key = "k";
        record.data = std::as_bytes(std::span(data));
        out.add({ShardId{shard}, SequenceNumber{sequence}, 0}, record);
        return data + "\n";
    }
    std::string read() {
        std::string text;
        char piece[65536];
        for (ssize_t got = 0; (got = ::read(ends_[0], piece, sizeof(piece))) > 0;) text.append(piece, static_cast<size_t>(got));
        return text;
    }

    int ends_[2] = {-1, -1};
};

TEST_F(PacedOutputTest, WritesAsTheReaderTakes) {
    PacedOutput out(RecordFormat::kRaw, ends_[1]);
    std::string want;
    for (uint64_t i = 1; i <= 3000; ++i) want += add(out, 1, i, 200);
    EXPECT_TRUE(out.full());
    out.write(0);  // Returns, though the pipe is full.
    EXPECT_FALSE(out.empty());
    ASSERT_TRUE(out.written().contains(ShardId{1}));
    const std::string first = read();
    // Every record that counts as written is in the pipe.
    const uint64_t last = out.written().at(ShardId{1}).value;
    EXPECT_NE(first.find("1:" + std::to_string(last) + "x"), std::string::npos);
    EXPECT_LT(last, 3000U);
    std::string got = first;
    for (int i = 0; i < 100 && !out.empty(); ++i) {
        out.write(0);
        got += read();
    }
    EXPECT_TRUE(got == want);
    EXPECT_FALSE(out.full());
    EXPECT_EQ(out.written().at(ShardId{1}).value, 3000U);
    EXPECT_EQ(out.count(), 3000U);
}

TEST_F(PacedOutputTest, WhatIsGivenUpIsNotWrittenAndTheOthersAre) {
    PacedOutput out(RecordFormat::kRaw, ends_[1]);
    std::string want = add(out, 1, 1, 500'000);  // More than the pipe takes: it will have been begun.
    add(out, 1, 2, 10);
    want += add(out, 2, 1, 10);
    add(out, 1, 3, 10);
    out.write(0);
    out.give_up(ShardId{1}, 0);
    EXPECT_TRUE(out.holds(ShardId{1}));  // The rest of what was begun.
    EXPECT_TRUE(out.written().empty());
    std::string got;
    for (int i = 0; i < 100 && !out.empty(); ++i) {
        got += read();
        out.write(0);
    }
    got += read();
    EXPECT_TRUE(got == want);
    EXPECT_EQ(out.written().at(ShardId{1}).value, 1U);
    EXPECT_EQ(out.written().at(ShardId{2}).value, 1U);
}

}  // namespace
}  // namespace eagre::cli
