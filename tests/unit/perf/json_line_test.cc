// What measuring programs print is read by perf/check: names and text must survive, and no number
// may break the syntax.
#include "perf/ceilings/json_line.h"

#include <limits>

#include <gtest/gtest.h>

namespace eagre::perf {
namespace {

TEST(JsonLine, EscapesTextAndWritesNullForWhatIsNoNumber) {
    JsonLine line;
    line.add("a", uint64_t{18446744073709551615U})
        .add("b", 0.5)
        .add("c", std::numeric_limits<double>::infinity())
        .add("d", "say \"hi\"\\\n")
        .add("e", true);
    EXPECT_EQ(
        line.text(),
        R"({"a": 18446744073709551615, "b": 0.5, "c": null, "d": "say \"hi\"\\\u000a", "e": true})");
}

TEST(JsonLine, HistogramsAreInMicroseconds) {
    Histogram ns;
    ns.record(1000, 99);
    ns.record(5'000'000);
    JsonLine line;
    line.add_us("ack_us", ns);
    const std::string few = R"({"ack_us": {"count": 100, "min": 1, "p50": 1.007, "p99": 1.007, )";
    const std::string rest = R"("p999": 5000, "p9999": 5000, "max": 5000}})";
    EXPECT_EQ(line.text(), few + rest);
}

}  // namespace
}  // namespace eagre::perf
