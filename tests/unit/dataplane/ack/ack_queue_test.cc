// Nothing leaves the queue before its commit is durable, and everything leaves in order.
#include "dataplane/ack/ack_queue.h"

#include <gtest/gtest.h>

#include <vector>

namespace eagre::ack {
namespace {

AckEntry entry(uint64_t commit, uint64_t correlation) {
    AckEntry e;
    e.commit = journal::CommitNumber{commit};
    e.correlation = correlation;
    return e;
}

TEST(AckQueue, LeavesWithItsCommitAndNotBefore) {
    AckQueue queue(4);
    queue.push(entry(1, 10));
    queue.push(entry(1, 11));
    queue.push(entry(2, 12));
    std::vector<uint64_t> seen;
    const auto collect = [&](const AckEntry& e) { seen.push_back(e.correlation); };
    EXPECT_EQ(queue.drain(journal::CommitNumber{0}, collect), 0U);
    EXPECT_EQ(queue.drain(journal::CommitNumber{1}, collect), 2U);
    EXPECT_EQ(seen, (std::vector<uint64_t>{10, 11}));
    EXPECT_EQ(queue.drain(journal::CommitNumber{9}, collect), 1U);
    EXPECT_TRUE(queue.empty());
}

TEST(AckQueue, AnAnswerThatNamesAnOlderCommitWaitsForTheOneBeforeIt) {
    AckQueue queue(4);
    queue.push(entry(5, 1));
    queue.push(entry(3, 2));
    EXPECT_EQ(queue.drain(journal::CommitNumber{4}, [](const AckEntry&) {}), 0U);
    EXPECT_EQ(queue.drain(journal::CommitNumber{5}, [](const AckEntry&) {}), 2U);
}

TEST(AckQueue, IsBoundedAndWraps) {
    AckQueue queue(3);
    for (uint64_t round = 1; round < 10; ++round) {
        while (!queue.full()) queue.push(entry(round, round));
        EXPECT_EQ(queue.count(), 3U);
        EXPECT_EQ(queue.drain(journal::CommitNumber{round}, [](const AckEntry&) {}), 3U);
    }
}

}  // namespace
}  // namespace eagre::ack
