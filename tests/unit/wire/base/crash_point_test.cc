// A point that is not armed does nothing; an armed one kills at the visit asked for, and at no other.
#include "wire/base/crash_point.h"

#include <signal.h>

#include <gtest/gtest.h>

namespace eagre {
namespace {

CrashPoint first("test-first", "nothing is done");
CrashPoint second("test-second", "half is done");

TEST(CrashPoint, ListsItselfByNameWithItsState) {
    EXPECT_EQ(CrashPoint::list(), "test-first  nothing is done\ntest-second  half is done\n");
}

TEST(CrashPoint, DoesNothingUnlessArmed) {
    for (int i = 0; i < 10; ++i) first.reach();
    EXPECT_FALSE(CrashPoint::arm("test-third", 1));
}

TEST(CrashPointDeathTest, KillsAtTheVisitAskedFor) {
    EXPECT_EXIT(
        {
            ASSERT_TRUE(CrashPoint::arm("test-second", 3));
            first.reach();
            second.reach();
            second.reach();
            std::fputs("two visits survived", stderr);
            second.reach();
        },
        testing::KilledBySignal(SIGKILL), "two visits survived");
}

TEST(CrashPointDeathTest, TakesItsOrdersFromTheEnvironment) {
    EXPECT_EXIT(
        {
            setenv("EAGRE_CRASH_AT", "of-another-program", 1);
            if (CrashPoint::arm_from_environment()) std::_Exit(1);
            setenv("EAGRE_CRASH_AT", "test-first:2", 1);
            if (!CrashPoint::arm_from_environment()) std::_Exit(2);
            first.reach();
            std::fputs("one visit survived", stderr);
            first.reach();
        },
        testing::KilledBySignal(SIGKILL), "one visit survived");
}

}  // namespace
}  // namespace eagre
