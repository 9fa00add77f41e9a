// How a producer lives with a stream's limits: it waits as long as a quota says and keeps its order, outlasts a full box until
// its delivery timeout, and learns another record limit while it is connected.
#include <gtest/gtest.h>

#include "tests/support/fake_box.h"
#include "wire/client/client.h"

namespace eagre::client {
namespace {

using test::FakeBox;

constexpr uint64_t kMs = 1'000'000;

frame::RecordView record(std::string_view key, std::string_view data) {
    return {key, std::as_bytes(std::span(data.data(), data.size())), {}, 0, 0};
}

std::unique_ptr<Client> connect(FakeBox& box) {
    auto client = Client::connect(box.transport(), {});
    EXPECT_TRUE(client.has_value());
    return std::move(*client);
}

TEST(ProducerLimits, WaitsAsLongAsTheQuotaSaysAndKeepsItsOrder) {
    FakeBox box(1);
    auto client = connect(box);
    auto producer = client->make_producer("ticks", {.linger_ns = 0});
    ASSERT_TRUE(producer.has_value());
    // One batch every 100 ms.
    constexpr uint64_t kEveryNs = 100 * kMs;
    uint64_t free_ns = 0;
    std::vector<uint64_t> early;
    box.refuse = [&](const frame::FrameHeader&) {
        if (box.now_ns < free_ns) {
            early.push_back(free_ns - box.now_ns);
            return error_of(Errc::kThrottled, free_ns - box.now_ns);
        }
        free_ns = box.now_ns + kEveryNs;
        return Error{};
    };
    const uint64_t began_ns = box.now_ns;
    std::vector<std::string> expected;
    for (int i = 0; i < 20; ++i) {
        ASSERT_TRUE((*producer)->put(record("a", std::to_string(i))).has_value());
        expected.push_back("a=" + std::to_string(i));
    }
    ASSERT_TRUE((*producer)->drain(30'000 * kMs).has_value());
    EXPECT_EQ(box.records(1), expected);
    EXPECT_GE(box.now_ns - began_ns, 19 * kEveryNs);
    EXPECT_LE(box.now_ns - began_ns, 25 * kEveryNs);
    EXPECT_GE((*producer)->stats().throttled_count, 19U);
    // Whoever was refused came back when told, not before: each wait begins with a batch that was let through.
    for (const uint64_t wait_ns : early) EXPECT_GE(wait_ns, kEveryNs * 9 / 10);
}

TEST(ProducerLimits, OutlastsAFullBox) {
    for (const Errc full : {Errc::kDiskFull, Errc::kStoreFull}) {
        FakeBox box(1);
        auto client = connect(box);
        auto producer = client->make_producer("ticks", {.linger_ns = 0});
        const uint64_t room_ns = box.now_ns + 5000 * kMs;
        box.refuse = [&](const frame::FrameHeader&) { return box.now_ns < room_ns ? error_of(full) : Error{}; };
        for (int i = 0; i < 3; ++i) ASSERT_TRUE((*producer)->put(record("a", std::to_string(i))).has_value());
        ASSERT_TRUE((*producer)->drain(20'000 * kMs).has_value());
        EXPECT_EQ(box.records(1), (std::vector<std::string>{"a=0", "a=1", "a=2"}));
        EXPECT_LT(box.append_count, 500U) << "no back-off";
    }
}

TEST(ProducerLimits, GivesUpAFullBoxAtTheDeliveryTimeout) {
    FakeBox box(1);
    auto client = connect(box);
    auto producer = client->make_producer("ticks", {.linger_ns = 0, .delivery_timeout_ns = 300 * kMs});
    box.refuse = [&](const frame::FrameHeader&) { return error_of(Errc::kDiskFull); };
    ASSERT_TRUE((*producer)->put(record("a", "1")).has_value());
    const Status drained = (*producer)->drain(20'000 * kMs);
    ASSERT_FALSE(drained.has_value());
    EXPECT_EQ(drained.error().code, Errc::kTimeout);
    EXPECT_EQ((*producer)->stats().failed_count, 1U);
}

TEST(ProducerLimits, LearnsAnotherRecordLimitWhileConnected) {
    FakeBox box(1);
    box.record_bytes_max = 100;
    auto client = connect(box);
    auto producer = client->make_producer("ticks", {.linger_ns = 0});
    const std::string large(200, 'x');
    const Status refused = (*producer)->put(record("a", large));
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, Errc::kRecordTooLarge);
    EXPECT_EQ(refused.error().detail, 100U);
    box.record_bytes_max = 200;
    Status taken = refused;
    for (int i = 0; i < 100 && !taken; ++i) {
        client->poll(10 * kMs);
        taken = (*producer)->put(record("a", large));
    }
    ASSERT_TRUE(taken.has_value());
    ASSERT_TRUE((*producer)->drain(1000 * kMs).has_value());
    EXPECT_EQ(box.records(1).size(), 1U);
    // Lowered again: the new version of the map tells it before the box has to refuse.
    box.record_bytes_max = 50;
    ++box.map_version;
    box.refuse = [&](const frame::FrameHeader& header) {
        return header.sequence != box.map_version ? error_of(Errc::kStaleMap, box.map_version) : Error{};
    };
    ASSERT_TRUE((*producer)->put(record("a", "small")).has_value());
    ASSERT_TRUE((*producer)->drain(1000 * kMs).has_value());
    EXPECT_EQ((*producer)->put(record("a", large)).error().detail, 50U);
}

}  // namespace
}  // namespace eagre::client
