// What the consumer must never do, whatever the box does: skip a record silently, show one twice,
// or stop. And what a client says of a box that speaks another language.
#include <cstring>

#include <gtest/gtest.h>

#include "tests/support/fake_box.h"
#include "wire/client/client.h"

namespace eagre::client {
namespace {

using test::FakeBox;
using Mode = ConsumerOptions::Mode;

struct Reading {
    std::vector<std::string> records;
    std::vector<std::pair<Errc, uint64_t>> events;
    std::vector<uint64_t> sequences;
};

class ConsumerFaults : public ::testing::TestWithParam<Mode> {
  protected:
    // 100 records "a=<i>" in runs of 5: sequence numbers 1..100.
    ConsumerFaults() : box_(1) {
        client_ = std::move(*Client::connect(box_.transport(), {}));
        ProducerOptions options;
        options.batch_record_count = 5;
        auto producer = client_->make_producer("ticks", options);
        for (int i = 0; i < 100; ++i) {
            const std::string data = std::to_string(i);
            EXPECT_TRUE(
                (*producer)->put({"a", std::as_bytes(std::span(data)), {}, 0, 0}).has_value());
        }
        EXPECT_TRUE((*producer)->drain(1'000'000'000ULL).has_value());
        options_.mode = GetParam();
    }
    Reading read(int polls = 300) {
        Reading reading;
        auto consumer = client_->make_consumer("ticks", options_);
        EXPECT_TRUE(consumer.has_value());
        (*consumer)->on_delivery([&](const Delivery& delivery) {
            for (uint32_t i = delivery.skip; i < delivery.batch.record_count(); ++i) {
                const auto data = delivery.batch.record(i).data;
                reading.records.emplace_back(reinterpret_cast<const char*>(data.data()),
                                             data.size());
                reading.sequences.push_back(delivery.first_sequence.value + i);
            }
        });
        (*consumer)->on_event(
            [&](ShardId, Error error) { reading.events.emplace_back(error.code, error.detail); });
        for (int i = 0; i < polls; ++i) client_->poll(1'000'000);
        EXPECT_TRUE((*consumer)->at_tail());
        stats_ = (*consumer)->stats();
        return reading;
    }
    static std::vector<uint64_t> range(uint64_t first, uint64_t last) {
        std::vector<uint64_t> numbers;
        for (uint64_t i = first; i <= last; ++i) numbers.push_back(i);
        return numbers;
    }
    static frame::FrameHeader header_of(const std::vector<std::byte>& bytes) {
        frame::FrameHeader header;
        std::memcpy(&header, bytes.data(), sizeof(header));
        return header;
    }

    FakeBox box_;
    std::unique_ptr<Client> client_;
    ConsumerOptions options_;
    ConsumerStats stats_;
};

TEST_P(ConsumerFaults, ADeliveryThatIsMissingOnceIsAskedForAgain) {
    bool drop = true;
    box_.tamper = [&](std::vector<std::byte>& bytes) {
        const frame::FrameHeader header = header_of(bytes);
        if (header.kind == frame::FrameKind::kDeliver && header.sequence == 31 &&
            std::exchange(drop, false))
            bytes.clear();
    };
    const Reading reading = read();
    EXPECT_FALSE(drop);
    EXPECT_EQ(reading.sequences, range(1, 100));
    EXPECT_TRUE(reading.events.empty());
}

// Whatever the question, the answer "another core has it" is followed, told to nobody, and costs no record.
TEST_P(ConsumerFaults, NotOwnerIsFollowed) {
    int refused = 0;
    box_.tamper = [&](std::vector<std::byte>& bytes) {
        frame::FrameHeader header = header_of(bytes);
        const bool located = header.kind == frame::FrameKind::kLocateReply && refused == 0;
        const bool read = header.kind == frame::FrameKind::kReadEnd && refused == 1;
        if (!located && !read) return;
        ++refused;
        header.flags = static_cast<uint16_t>(Errc::kNotOwner);
        header.detail = 4568;
        header.number = 0;
        frame::seal_frame(header, {});
        std::memcpy(bytes.data(), &header, sizeof(header));
    };
    const Reading reading = read();
    EXPECT_EQ(refused, GetParam() == Mode::kPull ? 2 : 1);
    EXPECT_EQ(reading.sequences, range(1, 100));
    EXPECT_TRUE(reading.events.empty());
}

TEST_P(ConsumerFaults, AGapThatStaysIsTold) {
    box_.tamper = [&](std::vector<std::byte>& bytes) {
        const frame::FrameHeader header = header_of(bytes);
        if (header.kind == frame::FrameKind::kDeliver && header.sequence == 31) bytes.clear();
    };
    const Reading reading = read();
    auto expected = range(1, 30);
    const auto rest = range(36, 100);
    expected.insert(expected.end(), rest.begin(), rest.end());
    EXPECT_EQ(reading.sequences, expected);
    EXPECT_EQ(reading.events, (std::vector<std::pair<Errc, uint64_t>>{{Errc::kDamaged, 36}}));
}

TEST_P(ConsumerFaults, ARunThatComesTwiceIsShownOnce) {
    box_.tamper = [&](std::vector<std::byte>& bytes) {
        const frame::FrameHeader header = header_of(bytes);
        if (header.kind != frame::FrameKind::kDeliver) return;
        const std::vector<std::byte> copy = bytes;
        bytes.insert(bytes.end(), copy.begin(), copy.end());
    };
    EXPECT_EQ(read().sequences, range(1, 100));
}

TEST_P(ConsumerFaults, RottenFramesCostAReconnectAndNothingElse) {
    Prng prng(3);
    box_.tamper = [&](std::vector<std::byte>& bytes) {
        if (prng.chance(200'000)) bytes[prng.below(bytes.size())] ^= std::byte{0x20};
    };
    const Reading reading = read(3000);
    EXPECT_EQ(reading.sequences, range(1, 100));
    EXPECT_GT(box_.connection_count, 1U);
}

// Sealed anew, so that every CRC holds: only the batch itself lies.
TEST_P(ConsumerFaults, ABatchThatDoesNotVerifyIsTold) {
    box_.tamper = [&](std::vector<std::byte>& bytes) {
        frame::FrameHeader header = header_of(bytes);
        if (header.kind != frame::FrameKind::kDeliver || header.sequence != 31) return;
        std::fill(bytes.begin() + frame::kHeaderBytes, bytes.end(), std::byte{0xFF});
        frame::seal_frame(header, std::span(bytes).subspan(frame::kHeaderBytes));
        std::memcpy(bytes.data(), &header, sizeof(header));
    };
    const Reading reading = read();
    EXPECT_EQ(reading.records.size(), 95U);
    EXPECT_EQ(reading.events, (std::vector<std::pair<Errc, uint64_t>>{{Errc::kDamaged, 36}}));
    EXPECT_EQ(stats_.damaged_count, 1U);
}

TEST_P(ConsumerFaults, RetentionThatOvertookUsIsTold) {
    box_.shards.at(1).horizon = 43;
    options_.resume = {{ShardId{1}, SequenceNumber{7}}};
    const Reading reading = read();
    EXPECT_EQ(reading.sequences, range(43, 100));
    EXPECT_EQ(reading.events,
              (std::vector<std::pair<Errc, uint64_t>>{{Errc::kSequenceTrimmed, 43}}));
    EXPECT_EQ(stats_.trimmed_count, 1U);
}

TEST_P(ConsumerFaults, ResumedAtTheTailIsAtTheTail) {
    options_.resume = {{ShardId{1}, SequenceNumber{101}}};
    EXPECT_TRUE(read(20).records.empty());
}

// Less credit than one run: each delivery uses it up, and is paid back.
TEST_P(ConsumerFaults, SmallCreditIsToppedUp) {
    options_.credit_bytes = 64;
    options_.pull_bytes = 64;
    EXPECT_EQ(read().sequences, range(1, 100));
}

TEST_P(ConsumerFaults, SilentQuestionsAreAskedOnANewConnection) {
    bool swallow = true;
    box_.tamper = [&](std::vector<std::byte>& bytes) {
        const frame::FrameHeader header = header_of(bytes);
        const bool answer = header.kind == frame::FrameKind::kLocateReply;
        if (answer && std::exchange(swallow, false)) bytes.clear();
    };
    EXPECT_EQ(read(6000).sequences, range(1, 100));
    EXPECT_EQ(box_.connection_count, 2U);
}

TEST_P(ConsumerFaults, OnHoldGetsNoMoreThanWasOnItsWay) {
    options_.credit_bytes = 600;  // A few runs of twenty.
    options_.pull_bytes = 600;
    auto consumer = client_->make_consumer("ticks", options_);
    ASSERT_TRUE(consumer.has_value());
    std::vector<uint64_t> sequences;
    (*consumer)->on_delivery([&](const Delivery& delivery) {
        for (uint32_t i = delivery.skip; i < delivery.batch.record_count(); ++i) sequences.push_back(delivery.first_sequence.value + i);
        (*consumer)->hold(true);
    });
    for (int i = 0; i < 300; ++i) client_->poll(1'000'000);
    const size_t on_its_way = sequences.size();
    EXPECT_GT(on_its_way, 0U);
    EXPECT_LT(on_its_way, 50U);
    // A new connection does not begin anew by itself.
    box_.break_connections();
    for (int i = 0; i < 300; ++i) client_->poll(1'000'000);
    EXPECT_EQ(sequences.size(), on_its_way);
    EXPECT_FALSE((*consumer)->at_tail());
    for (int i = 0; i < 2000 && sequences.size() < 100; ++i) {
        (*consumer)->hold(false);
        client_->poll(1'000'000);
    }
    EXPECT_EQ(sequences, range(1, 100));
}

INSTANTIATE_TEST_SUITE_P(Modes, ConsumerFaults, ::testing::Values(Mode::kSubscribe, Mode::kPull));

// Connects to a box whose first answer was changed by `tamper`.
Error connect_error(const std::function<void(std::vector<std::byte>&)>& tamper) {
    FakeBox box(1);
    box.tamper = tamper;
    const auto client = Client::connect(box.transport(), {});
    EXPECT_FALSE(client.has_value());
    return client ? Error{} : client.error();
}

TEST(Connect, AnotherVersionIsSaidAtOnce) {
    const Error error =
        connect_error([](std::vector<std::byte>& bytes) { bytes[4] = std::byte{9}; });
    EXPECT_EQ(error.code, Errc::kBadVersion);
    EXPECT_EQ(error.detail, 9U);
}

TEST(Connect, SomethingElseOnThePortIsSaidAtOnce) {
    const auto http = [](std::vector<std::byte>& bytes) {
        std::memcpy(bytes.data(), "HTTP/1.1", 8);
    };
    EXPECT_EQ(connect_error(http).code, Errc::kBadMagic);
}

TEST(Connect, ABoxThatRefusesTheHelloIsQuoted) {
    const auto refuse = [](std::vector<std::byte>& bytes) {
        frame::FrameHeader header;
        header.kind = frame::FrameKind::kError;
        header.flags = static_cast<uint16_t>(Errc::kBadVersion);
        frame::seal_header(header);
        bytes.resize(sizeof(header));
        std::memcpy(bytes.data(), &header, sizeof(header));
    };
    EXPECT_EQ(connect_error(refuse).code, Errc::kBadVersion);
}

TEST(Connect, ASilentBoxIsATimeout) {
    EXPECT_EQ(connect_error([](std::vector<std::byte>& bytes) { bytes.clear(); }).code,
              Errc::kTimeout);
}

TEST(Connect, AHelloReplyOfNonsenseIsNoCrash) {
    const auto nonsense = [](std::vector<std::byte>& bytes) {
        frame::FrameHeader header;
        std::memcpy(&header, bytes.data(), sizeof(header));
        std::fill(bytes.begin() + frame::kHeaderBytes, bytes.end(), std::byte{0x7F});
        frame::seal_frame(header, std::span(bytes).subspan(frame::kHeaderBytes));
        std::memcpy(bytes.data(), &header, sizeof(header));
    };
    EXPECT_EQ(connect_error(nonsense).code, Errc::kBadSchema);
}

}  // namespace
}  // namespace eagre::client
