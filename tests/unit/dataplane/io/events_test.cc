// Conformance of Events and Clock: waiting ends by time, by wake() and by what arrives; time does
// not run backwards.
#include "dataplane/io/events.h"

#include <chrono>
#include <thread>

#include "tests/unit/dataplane/io/io_rig.h"

namespace eagre::io {
namespace {

class EventsConformance : public IoConformance {
  protected:
    uint64_t wait_ns(uint64_t timeout_ns) {
        const uint64_t before_ns = io().clock.monotonic_ns();
        io().events.wait(timeout_ns);
        return io().clock.monotonic_ns() - before_ns;
    }
};

TEST_P(EventsConformance, WaitEndsWithItsTimeout) {
    const uint64_t waited_ns = wait_ns(20'000'000);
    EXPECT_GE(waited_ns, 19'000'000U);
    EXPECT_LT(waited_ns, 5'000'000'000U);
}

TEST_P(EventsConformance, WaitEndsWhenADiskOperationCompletes) {
    const FileId file = *io().files.create("f", 4096);
    StorageOp write = op(StorageOp::Kind::kWrite, file, 0, 0, 4096);
    submit(write);
    EXPECT_LT(wait_ns(60'000'000'000), 10'000'000'000U);
    std::array<StorageOp*, 1> done{};
    EXPECT_EQ(io().storage.reap(done), 1U);
}

TEST_P(EventsConformance, WakeBeforeWaitIsNotLost) {
    io().events.wake();
    EXPECT_LT(wait_ns(60'000'000'000), 10'000'000'000U);
    EXPECT_GE(wait_ns(20'000'000), 15'000'000U) << "one wake ends one wait";
}

TEST_P(EventsConformance, WakeFromAnotherThreadEndsAWait) {
    if (is_sim()) GTEST_SKIP() << "the simulator has one thread";
    for (int round = 0; round < 50; ++round) {
        Events& events = io().events;
        std::thread other([&events, round] {
            std::this_thread::sleep_for(std::chrono::microseconds(round * 40));
            events.wake();
        });
        EXPECT_LT(wait_ns(60'000'000'000), 10'000'000'000U);
        other.join();
    }
}

TEST_P(EventsConformance, PollDoesNotBlock) {
    const uint64_t before_ns = io().clock.monotonic_ns();
    for (int i = 0; i < 100; ++i) {
        io().events.poll();
        io().events.yield();
    }
    EXPECT_LT(io().clock.monotonic_ns() - before_ns, 5'000'000'000U);
}

TEST_P(EventsConformance, MonotonicTimeNeverFalls) {
    uint64_t last_ns = io().clock.monotonic_ns();
    for (int i = 0; i < 1000; ++i) {
        io().events.poll();
        const uint64_t now_ns = io().clock.monotonic_ns();
        ASSERT_GE(now_ns, last_ns);
        last_ns = now_ns;
    }
}

TEST_P(EventsConformance, WallClockIsNsSince1970) {
    EXPECT_GT(io().clock.wall_ns(), 1'600'000'000'000'000'000U);  // September 2020.
}

EAGRE_BOTH_BACK_ENDS(EventsConformance);

}  // namespace
}  // namespace eagre::io
