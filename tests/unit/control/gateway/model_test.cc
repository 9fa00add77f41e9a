// Names, numbers and iterators in the service's forms, and the words in which a request is refused.
#include <gtest/gtest.h>

#include "control/gateway/document/base64.h"
#include "control/gateway/model/iterator.h"
#include "control/gateway/model/names.h"
#include "control/gateway/model/page_token.h"
#include "control/gateway/model/shapes.h"
#include "control/gateway/model/stream_notes.h"

namespace eagre::gateway {
namespace {

constexpr uint64_t kCreatedNs = 1'700'000'000'123'456'789;

TEST(Names, ShardsAndArns) {
    EXPECT_EQ(shard_name(shard_number(ShardId{70}, 1)), "shardId-000000000000");
    EXPECT_EQ(shard_name(shard_number(ShardId{70}, 8)), "shardId-000000000007");
    EXPECT_EQ(shard_name(shard_number(ShardId{70}, 0)), "shardId-100000000070");
    for (const char* text : {"shardId-000000000007", "shardId-7", "7"}) EXPECT_EQ(parse_shard_name(text), 7U) << text;
    for (const char* text : {"", "shardId-", "shardId-x", "shard-7", "-7", "7 ", "99999999999999999999"}) EXPECT_FALSE(parse_shard_name(text)) << text;
    EXPECT_EQ(Arns{}.stream("quotes"), "arn:aws:kinesis:us-east-1:000000000000:stream/quotes");
    EXPECT_EQ(stream_of_arn("arn:aws:kinesis:eu-west-1:123456789012:stream/quotes"), "quotes");
    EXPECT_EQ(stream_of_arn("arn:aws:kinesis:eu-west-1:123456789012:stream/quotes/consumer/c:1"), "quotes");
    EXPECT_FALSE(stream_of_arn("quotes"));
}

TEST(Names, SequenceNumbersHave56DigitsAndGrow) {
    const SequenceNumbers numbers(kCreatedNs, ShardId{3});
    std::string before;
    for (const uint64_t number : {uint64_t{1}, uint64_t{2}, uint64_t{1000}, uint64_t{1} << 40U, UINT64_MAX}) {
        const std::string text = numbers.text(SequenceNumber{number});
        EXPECT_EQ(text.size(), 56U);
        EXPECT_GT(text, before);
        before = text;
        EXPECT_EQ(numbers.parse(text), SequenceNumber{number});
        // A child's reader compares with its parent's numbers; another stream's are none of ours.
        EXPECT_EQ(SequenceNumbers(kCreatedNs, ShardId{9}).parse(text), SequenceNumber{number});
        EXPECT_FALSE(SequenceNumbers(kCreatedNs + 1'000'000'000, ShardId{3}).parse(text));
    }
    // By hand: 2 and the seconds above, then the number, then what is below it.
    EXPECT_EQ(SequenceNumbers(kCreatedNs, ShardId{3}).text(SequenceNumber{0x123456789abcdef}), "49646437577108575531339980986371930246010965332854833202");
    // Of a higher shard, one number further on: greater, as children's are than their parents'.
    EXPECT_GT(SequenceNumbers(kCreatedNs, ShardId{2}).text(SequenceNumber{11}), numbers.text(SequenceNumber{10}));
    for (const char* text : {"", "0", "12345", "x", "99999999999999999999999999999999999999999999999999999999999"}) EXPECT_FALSE(numbers.parse(text)) << text;
}

TEST(Names, ContinuationsMoveWhileNothingComes) {
    const SequenceNumbers numbers(kCreatedNs, ShardId{3});
    const uint64_t now_ms = kCreatedNs / 1'000'000 + 5000;
    const std::string one = numbers.continuation(SequenceNumber{10}, now_ms);
    const std::string later = numbers.continuation(SequenceNumber{10}, now_ms + 5000);
    EXPECT_EQ(one.size(), 56U);
    EXPECT_GT(one, numbers.text(SequenceNumber{9}));
    EXPECT_LT(one, later);
    EXPECT_LT(later, numbers.text(SequenceNumber{10}));
    // Both go on with the same record; a record's own number is where it is.
    EXPECT_EQ(numbers.parse_at(one), SequenceNumber{10});
    EXPECT_EQ(numbers.parse_at(later), SequenceNumber{10});
    EXPECT_EQ(numbers.parse_at(numbers.text(SequenceNumber{9})), SequenceNumber{9});
    EXPECT_FALSE(numbers.parse_at("12"));
    EXPECT_FALSE(SequenceNumbers(kCreatedNs + 1'000'000'000, ShardId{3}).parse_at(one));
}

TEST(Names, ConsumersAndUsers) {
    const Arns arns{"eu-west-1", "123456789012"};
    const std::string arn = arns.consumer("quotes", "app", 1'700'000'000'123);
    EXPECT_EQ(arn, "arn:aws:kinesis:eu-west-1:123456789012:stream/quotes/consumer/app:1700000000");
    const auto parsed = parse_consumer_arn(arn);
    ASSERT_TRUE(parsed.has_value());
    EXPECT_EQ(parsed->stream, "quotes");
    EXPECT_EQ(parsed->consumer, "app");
    EXPECT_EQ(parsed->created_s, 1'700'000'000U);
    EXPECT_EQ(arns.user("feed"), "arn:aws:iam::123456789012:user/feed");
    for (const char* bad : {"", "arn:aws:kinesis:eu-west-1:123456789012:stream/quotes", "arn:aws:kinesis:eu-west-1:123456789012:stream/quotes/consumer/app",
                            "arn:aws:kinesis:eu-west-1:123456789012:stream/quotes/consumer/:1", "arn:aws:kinesis:eu-west-1:123456789012:stream/quotes/consumer/app:x"})
        EXPECT_FALSE(parse_consumer_arn(bad)) << bad;
}

TEST(PageTokens, GoOnWhereTheyWereMade) {
    const PageToken token{1'700'000'000'000, "quotes", "shardId-000000000007"};
    const auto opened = open_page_token(token.text());
    ASSERT_TRUE(opened.has_value());
    EXPECT_EQ(opened->made_ms, token.made_ms);
    EXPECT_EQ(opened->stream, token.stream);
    EXPECT_EQ(opened->after, token.after);
    for (const char* bad : {"", "AAAA", "!", "nothing of ours"}) EXPECT_FALSE(open_page_token(bad)) << bad;
}

TEST(StreamNotes, AreReadAsTheyWereWritten) {
    StreamSettings settings;
    EXPECT_TRUE(settings.is_default());
    settings.on_demand = settings.automatic = true;
    settings.warm_mibps = 200;
    settings.shard_metrics = {"IncomingBytes", "OutgoingRecords"};
    const StreamSettings read = parse_settings(settings.text());
    EXPECT_TRUE(read.on_demand && read.automatic);
    EXPECT_EQ(read.warm_mibps, 200);
    EXPECT_EQ(read.shard_metrics, settings.shard_metrics);
    RegisteredConsumer consumer{"app", 1234, {{"a", "\"b\""}}};
    const auto back = parse_consumer("app", consumer.text());
    ASSERT_TRUE(back.has_value());
    EXPECT_EQ(back->created_ms, 1234U);
    EXPECT_EQ(back->tags, consumer.tags);
    EXPECT_TRUE(parse_account(AccountSettings{true, 5}.text()).committed);
    // Whoever wrote something else there: as if nothing were there.
    for (const char* bad : {"", "[]", "{", "7"}) {
        EXPECT_TRUE(parse_settings(bad).is_default()) << bad;
        EXPECT_FALSE(parse_consumer("app", bad)) << bad;
        EXPECT_FALSE(parse_account(bad).committed) << bad;
    }
}

TEST(Names, HashKeysInDecimal) {
    EXPECT_EQ(hash_key_text(kHashKeyMax), "340282366920938463463374607431768211455");
    EXPECT_EQ(hash_key_text({0, 0}), "0");
    EXPECT_EQ(hash_key_text({1, 0}), "18446744073709551616");
    EXPECT_EQ(parse_hash_key("340282366920938463463374607431768211455"), kHashKeyMax);
    EXPECT_FALSE(parse_hash_key("340282366920938463463374607431768211456"));
    EXPECT_FALSE(parse_hash_key("-1"));
}

TEST(Iterators, AreSignedAndExpire) {
    identity::Bytes32 key{};
    key[0] = std::byte{1};
    const IteratorSigner signer(key);
    const Iterator iterator{StreamId{7}, ShardId{8}, SequenceNumber{9}, 1000, "quotes"};
    const std::string text = signer.sign(iterator);
    EXPECT_LE(signer.sign({StreamId{7}, ShardId{8}, SequenceNumber{9}, 1000, std::string(128, 'x')}).size(), 512U);
    const auto opened = std::get<Iterator>(signer.open(text, 1000 + kIteratorMs));
    EXPECT_EQ(opened.stream, iterator.stream);
    EXPECT_EQ(opened.shard, iterator.shard);
    EXPECT_EQ(opened.next, iterator.next);
    EXPECT_EQ(opened.stream_name, "quotes");
    EXPECT_EQ(std::get<ApiError>(signer.open(text, 1001 + kIteratorMs)).type, "ExpiredIteratorException");
    const std::string bytes = *decode_base64(text);
    for (size_t i = 0; i < bytes.size(); ++i) {
        std::string forged_bytes = bytes;
        forged_bytes[i] = static_cast<char>(forged_bytes[i] ^ 1);
        std::string forged;
        append_base64(forged, forged_bytes);
        EXPECT_EQ(std::get<ApiError>(signer.open(forged, 1000)).message, "Invalid ShardIterator.");
    }
    for (const char* bad : {"", "AAAA", "!", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"})
        EXPECT_TRUE(std::holds_alternative<ApiError>(signer.open(bad, 1000))) << bad;
    EXPECT_TRUE(std::holds_alternative<ApiError>(IteratorSigner(identity::Bytes32{}).open(text, 1000)));
}

class ShapeTest : public ::testing::Test {
  protected:
    std::pair<std::string, std::string> fault(const Shape& shape, std::string body) {
        body_ = std::move(body);
        const Node* root = document_.parse(Encoding::kJson, body_);
        EXPECT_NE(root, nullptr);
        const auto found = check(shape, *root, Encoding::kJson);
        return found ? std::pair{found->type, found->message} : std::pair<std::string, std::string>{};
    }
    Document document_;
    std::string body_;
};

TEST_F(ShapeTest, TypesComeBeforeConstraints) {
    const auto [type, message] = fault(shapes::kPutRecord, R"({"StreamName": true})");
    EXPECT_EQ(type, "SerializationException");
    EXPECT_EQ(message, "class java.lang.Boolean can not be converted to an String");
    EXPECT_EQ(fault(shapes::kListStreams, R"({"Limit": "x"})").second, "class java.lang.String can not be converted to an Integer");
    EXPECT_EQ(fault(shapes::kPutRecords, R"({"Records": 7})").second, "Expected list or null");
    EXPECT_EQ(fault(shapes::kPutRecords, R"({"Records": [[]]})").second, "Start of list found where not expected");
}

TEST_F(ShapeTest, AllConstraintsAreToldTogether) {
    const auto [type, message] = fault(shapes::kGetRecords, R"({"Limit": 0})");
    EXPECT_EQ(type, "ValidationException");
    EXPECT_EQ(message,
              "2 validation errors detected: Value null at 'shardIterator' failed to satisfy constraint: Member must not be null; "
              "Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1");
    EXPECT_EQ(fault(shapes::kStreamOnly, R"({"StreamName": "x"})").first, "");
    EXPECT_EQ(fault(shapes::kStreamOnly, R"({"StreamARN": "arn:aws:kinesis:us-east-1:123456789012:stream/x"})").first, "");
    for (const char* bad : {"x", "arn:aws:kinesis:us-east-1:1234:stream/x", "arn:aws:s3:us-east-1:123456789012:stream/x"})
        EXPECT_EQ(fault(shapes::kStreamOnly, std::string(R"({"StreamARN": ")") + bad + "\"}").first, "ValidationException") << bad;
    // Characters count, not bytes.
    std::string key;
    for (int i = 0; i < 256; ++i) key += "ü";
    EXPECT_EQ(fault(shapes::kPutRecord, R"({"Data": "", "PartitionKey": ")" + key + "\"}").first, "");
    EXPECT_EQ(fault(shapes::kPutRecord, R"({"Data": "", "PartitionKey": ")" + key + "x\"}").first, "ValidationException");
}

}  // namespace
}  // namespace eagre::gateway
