// What the producer must never do, whatever the box does: store a record twice, reorder a key, call
// a record stored that is not, or touch memory that is gone. Hand-written faults first, then seeded
// mixtures of all of them.
#include <algorithm>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "tests/support/fake_box.h"
#include "wire/client/client.h"

namespace eagre::client {
namespace {

using test::FakeBox;

frame::RecordView record(std::string_view key, std::string_view data) {
    return {key, std::as_bytes(std::span(data.data(), data.size())), {}, 0, 0};
}

std::unique_ptr<Client> connect(FakeBox& box, ClientOptions options = {}) {
    auto client = Client::connect(box.transport(), options);
    EXPECT_TRUE(client.has_value());
    return std::move(*client);
}

ProducerOptions one_record_batches() {
    ProducerOptions options;
    options.linger_ns = 0;
    return options;
}

void put(Producer& producer, std::string_view data) {
    ASSERT_TRUE(producer.put(record("a", data)).has_value());
}

void poll(Client& client, int times) {
    for (int i = 0; i < times; ++i) client.poll(1'000'000);
}

TEST(ProducerFaults, AProducerMayGoWhileItsBatchesWaitForTheSocket) {
    FakeBox box(1);
    auto client = connect(box);
    auto producer = client->make_producer("ticks", one_record_batches());
    for (int i = 0; i < 5; ++i) put(**producer, std::string(1000, 'x'));
    box.piece_bytes_max = 10;
    client->poll(0);
    producer->reset();
    box.piece_bytes_max = 0;
    poll(*client, 5);
    EXPECT_EQ(box.records(1).size(), 5U);
}

TEST(ProducerFaults, ARefusalWhileLaterBatchesStillWaitForTheSocket) {
    FakeBox box(1);
    auto client = connect(box);
    auto producer = client->make_producer("ticks", one_record_batches());
    uint64_t count = 0;
    box.refuse = [&](const frame::FrameHeader&) {
        return ++count % 3 == 1 ? error_of(Errc::kBusy) : Error{};
    };
    box.piece_bytes_max = 40;
    std::vector<std::string> expected;
    for (int i = 0; i < 200; ++i) {
        put(**producer, std::to_string(i));
        expected.push_back("a=" + std::to_string(i));
        if (i % 3 == 0) client->poll(100'000);
    }
    ASSERT_TRUE((*producer)->drain(100'000'000'000ULL).has_value());
    EXPECT_EQ(box.records(1), expected);
}

// The first batch times out, but is stored, as is the second. Sending the second anew under another
// number would store it twice.
TEST(ProducerFaults, ABatchBehindOneThatTimedOutIsNotSentUnderAnotherNumber) {
    FakeBox box(1);
    auto client = connect(box);
    ProducerOptions options = one_record_batches();
    options.delivery_timeout_ns = 50'000'000;
    auto producer = client->make_producer("ticks", options);
    std::vector<Errc> outcomes;
    (*producer)->on_outcome(
        [&](const BatchOutcome& outcome) { outcomes.push_back(outcome.error.code); });
    bool silent = true;
    box.lose_answer = [&](const frame::FrameHeader&) { return silent; };
    put(**producer, "1");
    poll(*client, 40);
    put(**producer, "2");
    poll(*client, 40);
    silent = false;
    put(**producer, "3");
    ASSERT_FALSE((*producer)->drain(1'000'000'000ULL).has_value());
    EXPECT_EQ(outcomes, (std::vector<Errc>{Errc::kTimeout, Errc::kTimeout, Errc::kOk}));
    EXPECT_EQ(box.records(1), (std::vector<std::string>{"a=1", "a=2", "a=3"}));
}

TEST(ProducerFaults, WithoutIdentityNothingThatMayBeStoredGoesTwice) {
    FakeBox box(1);
    auto client = connect(box);
    ProducerOptions options = one_record_batches();
    options.idempotent = false;
    auto producer = client->make_producer("ticks", options);
    std::vector<Errc> outcomes;
    (*producer)->on_outcome(
        [&](const BatchOutcome& outcome) { outcomes.push_back(outcome.error.code); });
    // The answer comes broken: the connection is lost for a reason of the client's own.
    bool lie = true;
    box.tamper = [&](std::vector<std::byte>& bytes) {
        if (std::exchange(lie, false)) bytes[20] ^= std::byte{1};
    };
    put(**producer, "1");
    EXPECT_EQ((*producer)->drain(1'000'000'000ULL).error().code, Errc::kOutcomeUnknown);
    EXPECT_EQ(box.records(1), (std::vector<std::string>{"a=1"}));
    box.refuse = [](const frame::FrameHeader& header) {
        return header.number == 1 ? error_of(Errc::kOutcomeUnknown) : Error{};
    };
    put(**producer, "2");
    EXPECT_EQ((*producer)->drain(1'000'000'000ULL).error().code, Errc::kOutcomeUnknown);
    EXPECT_EQ(outcomes, (std::vector<Errc>{Errc::kOutcomeUnknown, Errc::kOutcomeUnknown}));
    EXPECT_EQ(box.records(1), (std::vector<std::string>{"a=1"}));
}

TEST(ProducerFaults, WithoutIdentityARefusalAtTheDoorIsRetried) {
    FakeBox box(1);
    auto client = connect(box);
    ProducerOptions options = one_record_batches();
    options.idempotent = false;
    auto producer = client->make_producer("ticks", options);
    uint64_t count = 0;
    box.refuse = [&](const frame::FrameHeader&) {
        return ++count <= 3 ? error_of(Errc::kBusy) : Error{};
    };
    for (const char* data : {"1", "2", "3", "4"}) put(**producer, data);
    ASSERT_TRUE((*producer)->drain(1'000'000'000ULL).has_value());
    auto stored = box.records(1);
    std::sort(stored.begin(), stored.end());
    EXPECT_EQ(stored, (std::vector<std::string>{"a=1", "a=2", "a=3", "a=4"}));
}

TEST(ProducerFaults, WithoutAcknowledgementTheOutcomeIsThatTheSocketTookIt) {
    FakeBox box(1);
    auto client = connect(box);
    ProducerOptions options = one_record_batches();
    options.ack = frame::AckMode::kNone;
    auto producer = client->make_producer("ticks", options);
    put(**producer, "1");
    EXPECT_GT((*producer)->in_flight_bytes(), 0U);
    ASSERT_TRUE((*producer)->drain(1'000'000'000ULL).has_value());
    EXPECT_EQ((*producer)->stats().acknowledged_count, 1U);
    EXPECT_EQ(box.records(1), (std::vector<std::string>{"a=1"}));
}

TEST(ProducerFaults, ForgottenProducerGoesOnUnderANewIdAndLosesNothing) {
    FakeBox box(1);
    auto client = connect(box);
    auto producer = client->make_producer("ticks", one_record_batches());
    for (const char* data : {"1", "2"}) put(**producer, data);
    ASSERT_TRUE((*producer)->drain(1'000'000'000ULL).has_value());
    box.shards.at(1).producers.clear();  // Idle too long.
    for (const char* data : {"3", "4", "5"}) put(**producer, data);
    ASSERT_TRUE((*producer)->drain(1'000'000'000ULL).has_value());
    EXPECT_EQ(box.records(1), (std::vector<std::string>{"a=1", "a=2", "a=3", "a=4", "a=5"}));
}

// The answer to 3 was lost, so 3 may be stored; then the box forgets. Sending 3 under a new id
// would store it twice.
TEST(ProducerFaults, ForgottenProducerWithAnOpenQuestionFailsThatBatch) {
    FakeBox box(1);
    auto client = connect(box);
    auto producer = client->make_producer("ticks", one_record_batches());
    put(**producer, "1");
    ASSERT_TRUE((*producer)->drain(1'000'000'000ULL).has_value());
    box.lose_answer = [](const frame::FrameHeader&) { return true; };
    put(**producer, "2");
    poll(*client, 5);
    box.lose_answer = {};
    box.shards.at(1).producers.clear();
    box.break_connections();
    EXPECT_EQ((*producer)->drain(10'000'000'000ULL).error().code, Errc::kUnknownProducer);
    put(**producer, "3");
    ASSERT_TRUE((*producer)->drain(1'000'000'000ULL).has_value());
    EXPECT_EQ(box.records(1), (std::vector<std::string>{"a=1", "a=2", "a=3"}));
}

// What was acknowledged as appended may be gone after a crash; what follows must not be refused for
// ever.
TEST(ProducerFaults, ABoxThatLostAppendedBatchesTakesTheNextOnes) {
    FakeBox box(1);
    auto client = connect(box);
    ProducerOptions options = one_record_batches();
    options.ack = frame::AckMode::kAppended;
    auto producer = client->make_producer("ticks", options);
    for (const char* data : {"1", "2", "3"}) put(**producer, data);
    ASSERT_TRUE((*producer)->drain(1'000'000'000ULL).has_value());
    FakeBox::Shard& shard = box.shards.at(1);
    shard.runs.resize(1);
    shard.next = 2;
    auto& memory = shard.producers.begin()->second;
    memory.last = 0;
    std::erase_if(memory.answers, [](const auto& each) { return each.first > 0; });
    for (const char* data : {"4", "5"}) put(**producer, data);
    ASSERT_TRUE((*producer)->drain(1'000'000'000ULL).has_value());
    EXPECT_EQ(box.records(1), (std::vector<std::string>{"a=1", "a=4", "a=5"}));
}

TEST(ProducerFaults, MismatchFailsWhatMayBeStoredAndGoesOn) {
    FakeBox box(1);
    auto client = connect(box);
    auto producer = client->make_producer("ticks", one_record_batches());
    box.refuse = [](const frame::FrameHeader& header) {
        return header.number == 1 ? error_of(Errc::kBatchMismatch) : Error{};
    };
    put(**producer, "1");
    put(**producer, "2");
    EXPECT_EQ((*producer)->drain(10'000'000'000ULL).error().code, Errc::kBatchMismatch);
    box.refuse = {};
    put(**producer, "3");
    ASSERT_TRUE((*producer)->drain(1'000'000'000ULL).has_value());
    EXPECT_EQ(box.records(1), (std::vector<std::string>{"a=1", "a=3"}));
}

TEST(ProducerFaults, StaleMapIsRefreshedAndTheSameNumberSentAgain) {
    FakeBox box(2);
    auto client = connect(box);
    auto producer = client->make_producer("ticks", one_record_batches());
    ++box.map_version;
    for (const char* data : {"1", "2", "3"}) put(**producer, data);
    ASSERT_TRUE((*producer)->drain(1'000'000'000ULL).has_value());
    EXPECT_EQ(box.all_records(), (std::vector<std::string>{"a=1", "a=2", "a=3"}));
    EXPECT_EQ((*producer)->stats().map_refresh_count, 1U);
}

// The box says where the shard is served; the batch goes there under its old number, and the map is asked for anew.
TEST(ProducerFaults, NotOwnerIsFollowedAndNothingIsStoredTwiceOrOutOfOrder) {
    FakeBox box(1);
    auto client = connect(box);
    auto producer = client->make_producer("ticks", one_record_batches());
    int first_batch_count = 0;
    box.refuse = [&](const frame::FrameHeader& header) {
        if (header.number == 0) ++first_batch_count;
        return first_batch_count < 3 ? error_of(Errc::kNotOwner, 4568) : Error{};
    };
    for (const char* data : {"1", "2", "3"}) put(**producer, data);
    ASSERT_TRUE((*producer)->drain(1'000'000'000ULL).has_value());
    EXPECT_EQ(box.all_records(), (std::vector<std::string>{"a=1", "a=2", "a=3"}));
    EXPECT_EQ(first_batch_count, 3);
    poll(*client, 100);
    EXPECT_GE((*producer)->stats().map_refresh_count, 1U);
}

TEST(ProducerFaults, SilenceOnAnOpenConnectionIsAskedAgainOnANewOne) {
    FakeBox box(1);
    ClientOptions options;
    options.request_timeout_ns = 20'000'000;
    auto client = connect(box, options);
    auto producer = client->make_producer("ticks", one_record_batches());
    bool silent = true;
    box.lose_answer = [&](const frame::FrameHeader&) { return std::exchange(silent, false); };
    put(**producer, "1");
    ASSERT_TRUE((*producer)->drain(1'000'000'000ULL).has_value());
    EXPECT_EQ(box.records(1), (std::vector<std::string>{"a=1"}));
    EXPECT_EQ(box.connection_count, 2U);
}

TEST(ProducerFaults, DeletedShardFailsWhatWasSentToIt) {
    FakeBox box(1);
    auto client = connect(box);
    auto producer = client->make_producer("ticks", one_record_batches());
    box.refuse = [](const frame::FrameHeader&) { return error_of(Errc::kUnknownShard); };
    put(**producer, "1");
    EXPECT_EQ((*producer)->drain(10'000'000'000ULL).error().code, Errc::kUnknownShard);
    EXPECT_EQ((*producer)->in_flight_bytes(), 0U);
}

TEST(ProducerFaults, TagsComeBackInOrderAlsoThroughASplit) {
    FakeBox box(1);
    auto client = connect(box);
    ProducerOptions options;
    options.batch_record_count = 3;
    auto producer = client->make_producer("ticks", options);
    std::map<std::string, std::vector<uint64_t>> told;
    std::set<uint64_t> tags;
    (*producer)->on_outcome([&](const BatchOutcome& outcome) {
        EXPECT_EQ(outcome.tags.size(), outcome.record_count);
        for (const uint64_t tag : outcome.tags) EXPECT_TRUE(tags.insert(tag).second);
    });
    for (uint64_t i = 0; i < 100; ++i) {
        if (i == 50) box.split(1);
        const std::string key = "k" + std::to_string(i % 7);
        ASSERT_TRUE((*producer)->put(record(key, "x"), i).has_value());
        if (i % 10 == 0) client->poll(0);
    }
    ASSERT_TRUE((*producer)->drain(10'000'000'000ULL).has_value());
    EXPECT_EQ(tags.size(), 100U);
}

// Nobody is answered, and yet the records find the children.
TEST(ProducerFaults, AProducerWithoutAcknowledgementsFollowsASplit) {
    FakeBox box(1);
    auto client = connect(box);
    ProducerOptions options;
    options.ack = frame::AckMode::kNone;
    auto producer = client->make_producer("ticks", options);
    ASSERT_TRUE(producer.has_value());
    for (uint64_t i = 0; i < 200; ++i) {
        if (i == 50) box.split(1);
        const std::string key = "k" + std::to_string(i % 7);
        ASSERT_TRUE((*producer)->put(record(key, "x"), i).has_value());
        (*producer)->flush();
        for (int turn = 0; turn < 5; ++turn) client->poll(1'000'000);
    }
    EXPECT_GT(box.records(2).size() + box.records(3).size(), 120U);
}

// Everything at once, from a seed. Each record's fate is known by its tag: acknowledged ones are
// stored exactly once, where the outcome says; others at most once; and what is stored of a key is
// in the order of put.
class ProducerChaos : public ::testing::TestWithParam<uint64_t> {};

TEST_P(ProducerChaos, WhatIsAcknowledgedIsStoredOnceAndInOrder) {
    const uint64_t seed = GetParam();
    Prng prng(seed);
    FakeBox box(1 + static_cast<uint32_t>(prng.below(4)), seed);
    box.break_per_million = static_cast<uint32_t>(prng.below(80'000));
    box.piece_bytes_max = prng.chance(500'000) ? 1 + prng.below(2000) : 0;
    const auto refuse_per_million = static_cast<uint32_t>(prng.below(100'000));
    const auto lose_per_million = static_cast<uint32_t>(prng.below(50'000));
    const auto lie_per_million = static_cast<uint32_t>(prng.below(20'000));
    ClientOptions client_options;
    client_options.request_timeout_ns = 60'000'000;
    auto client = connect(box, client_options);
    box.refuse = [&](const frame::FrameHeader&) {
        static constexpr Errc kRefusals[] = {
            Errc::kBusy,           Errc::kThrottled, Errc::kUnavailable,   Errc::kDiskFull,
            Errc::kOutcomeUnknown, Errc::kStaleMap,  Errc::kRecordTooLarge};
        if (!prng.chance(refuse_per_million)) return Error{};
        return error_of(kRefusals[prng.below(std::size(kRefusals))], prng.below(2'000'000));
    };
    box.lose_answer = [&](const frame::FrameHeader&) { return prng.chance(lose_per_million); };
    box.tamper = [&](std::vector<std::byte>& bytes) {
        if (prng.chance(lie_per_million)) bytes[prng.below(bytes.size())] ^= std::byte{0x04};
    };
    ProducerOptions options;
    options.batch_bytes = 300 + static_cast<uint32_t>(prng.below(2000));
    options.linger_ns = prng.below(3) * 200'000;
    options.window_bytes = 3000 + prng.below(30'000);
    options.delivery_timeout_ns = 100'000'000 + prng.below(2'000'000'000);
    auto producer = client->make_producer("ticks", options);
    ASSERT_TRUE(producer.has_value());
    std::map<uint64_t, std::pair<uint64_t, uint64_t>>
        acknowledged;  // tag -> shard, sequence number
    std::set<uint64_t> told;
    (*producer)->on_outcome([&](const BatchOutcome& outcome) {
        for (size_t i = 0; i < outcome.tags.size(); ++i) {
            EXPECT_TRUE(told.insert(outcome.tags[i]).second) << "told twice";
            if (outcome.error.code != Errc::kOk) continue;
            acknowledged[outcome.tags[i]] = {outcome.shard.value, outcome.first_sequence.value + i};
        }
    });
    constexpr uint64_t kCount = 1500;
    for (uint64_t i = 0; i < kCount; ++i) {
        const std::string key = "k" + std::to_string(prng.below(15));
        const std::string data = std::to_string(i);
        while (!(*producer)->put(record(key, data), i)) client->poll(1'000'000);
        if (prng.chance(150'000)) client->poll(prng.below(500'000));
        if (prng.chance(1500)) {
            std::vector<uint64_t> open;
            for (const auto& [id, shard] : box.shards) {
                if (shard.open) open.push_back(id);
            }
            const uint64_t chosen = open[prng.below(open.size())];
            const auto upper = std::find_if(open.begin(), open.end(), [&](uint64_t id) {
                const HashKey& end = box.shards.at(chosen).range.ending;
                return end != kHashKeyMax && box.shards.at(id).range.starting.high == end.high + 1;
            });
            if (upper != open.end() && prng.chance(500'000)) {
                box.merge(chosen, *upper);
            } else {
                box.split(chosen);
            }
        }
        if (prng.chance(1000)) box.break_connections();
    }
    box.break_per_million = 0;
    for (int i = 0; i < 20'000 && (*producer)->in_flight_bytes() != 0; ++i) {
        (*producer)->flush();
        client->poll(1'000'000);
    }
    ASSERT_EQ((*producer)->in_flight_bytes(), 0U);
    ASSERT_EQ(told.size(), kCount);
    const ProducerStats& stats = (*producer)->stats();
    EXPECT_EQ(stats.acknowledged_count + stats.failed_count, kCount);
    EXPECT_EQ(stats.record_count, kCount);

    std::map<std::string, uint64_t> last;
    std::set<uint64_t> stored;
    for (const auto& [id, shard] : box.shards) {
        uint64_t sequence = shard.parent.value == 0 ? 1
                            : shard.runs.empty()    ? 0
                                                    : shard.runs.front().first_sequence;
        for (const std::string& each : box.records(id)) {
            const std::string key = each.substr(0, each.find('='));
            const uint64_t tag = std::stoull(each.substr(each.find('=') + 1));
            ASSERT_TRUE(stored.insert(tag).second) << tag << " is stored twice";
            ASSERT_TRUE(!last.contains(key) || last[key] < tag)
                << key << ": " << tag << " behind " << last[key];
            last[key] = tag;
            if (const auto found = acknowledged.find(tag); found != acknowledged.end()) {
                ASSERT_EQ(found->second, (std::pair<uint64_t, uint64_t>{id, sequence})) << tag;
            }
            ++sequence;
        }
    }
    for (const auto& [tag, place] : acknowledged)
        ASSERT_TRUE(stored.contains(tag)) << tag << " is lost";
    EXPECT_GT(acknowledged.size(), kCount / 4);
}

TEST(ProducerFaults, WhatIsLeftOfMergedShardsKeepsTheOrderOfThePuts) {
    for (const bool sent : {false, true}) {
        FakeBox box(2);
        auto client = connect(box);
        ProducerOptions options;
        options.linger_ns = 50'000'000;
        options.batch_record_count = 7;
        options.tags_grow = true;
        auto producer = client->make_producer("ticks", options);
        std::vector<std::string> expected;
        const auto put_some = [&](int from, int to) {
            for (int i = from; i < to; ++i) {
                const std::string key = "k" + std::to_string(i % 11);
                ASSERT_TRUE((*producer)->put(record(key, std::to_string(i)), static_cast<uint64_t>(i)).has_value());
                expected.push_back(key + "=" + std::to_string(i));
            }
        };
        put_some(0, 40);
        ASSERT_TRUE((*producer)->drain(100'000'000'000ULL).has_value());
        ASSERT_FALSE(box.records(1).empty() || box.records(2).empty());
        expected.clear();
        // Of both shards, on their way or not, when they become one.
        box.merge(1, 2);
        put_some(40, 200);
        if (sent) (*producer)->flush();
        ASSERT_TRUE((*producer)->drain(100'000'000'000ULL).has_value());
        EXPECT_EQ(box.records(3), expected);
    }
}

INSTANTIATE_TEST_SUITE_P(Seeds, ProducerChaos, ::testing::Range(uint64_t{1}, uint64_t{61}));

}  // namespace
}  // namespace eagre::client
