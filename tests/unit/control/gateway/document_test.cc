// Bodies of requests and answers: what one side writes the other reads, in both encodings; what is not a body is refused with bounded work.
#include "control/gateway/document/document.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "control/gateway/document/base64.h"
#include "control/gateway/document/event_message.h"
#include "control/gateway/document/writer.h"
#include "wire/base/prng.h"

namespace eagre::gateway {
namespace {

class DocumentTest : public ::testing::TestWithParam<Encoding> {
  protected:
    const Node* parse(std::string body) {
        body_ = std::move(body);
        return document_.parse(GetParam(), body_);
    }
    Document document_;
    std::string body_;
};

TEST_P(DocumentTest, ReadsWhatTheWriterWrites) {
    Writer writer(GetParam());
    writer.begin_map();
    writer.text("text", "a \"quoted\" \\ line\n and \x01, grün");
    writer.integer("small", 7);
    writer.integer("large", INT64_MAX);
    writer.integer("negative", -70000);
    writer.boolean("yes", true);
    writer.blob("blob", std::string_view("\x00\xff\x10", 3));
    writer.time_ms("time", 1'700'000'000'007);
    writer.name("list");
    writer.begin_list();
    writer.integer(1);
    writer.begin_map();
    writer.text("x", "y");
    writer.end_map();
    writer.begin_list();
    writer.end_list();
    writer.end_list();
    writer.end_map();
    const Node* root = parse(writer.take());
    ASSERT_NE(root, nullptr);
    EXPECT_EQ(root->member("text")->text, "a \"quoted\" \\ line\n and \x01, grün");
    EXPECT_EQ(root->member("small")->integer, 7);
    EXPECT_EQ(root->member("large")->integer, INT64_MAX);
    EXPECT_EQ(root->member("negative")->integer, -70000);
    EXPECT_TRUE(root->member("yes")->boolean);
    const Node& blob = *root->member("blob");
    EXPECT_EQ(blob.kind == Node::Kind::kBlob ? std::string(blob.text) : *decode_base64(blob.text), std::string("\x00\xff\x10", 3));
    const Node& time = *root->member("time");
    if (GetParam() == Encoding::kCbor) {
        EXPECT_EQ(time.kind, Node::Kind::kTime);
        EXPECT_EQ(time.integer, 1'700'000'000'007);
    } else {
        EXPECT_DOUBLE_EQ(time.decimal, 1'700'000'000.007);
    }
    ASSERT_EQ(root->member("list")->children.size(), 3U);
    EXPECT_EQ(root->member("list")->children[1].member("x")->text, "y");
    EXPECT_EQ(root->member("nothing"), nullptr);
}

TEST_P(DocumentTest, AnyBytesAreReadOrRefused) {
    Prng prng(7);
    for (int i = 0; i < 20000; ++i) {
        std::string body;
        const size_t bytes = prng.below(40);
        for (size_t at = 0; at < bytes; ++at) body += static_cast<char>(prng.below(256));
        (void)parse(body);
        // Nearly right: one byte of a good body changed.
        Writer writer(GetParam());
        writer.begin_map();
        writer.text("name", "value");
        writer.integer("n", 300);
        writer.blob("b", "abcdef");
        writer.end_map();
        std::string good = writer.take();
        good[prng.below(good.size())] = static_cast<char>(prng.below(256));
        (void)parse(good);
    }
}

TEST_P(DocumentTest, DepthAndNumberOfNodesAreBounded) {
    const bool json = GetParam() == Encoding::kJson;
    EXPECT_EQ(parse(std::string(1'000'000, json ? '[' : '\x9f')), nullptr);
    std::string deep;
    for (size_t i = 0; i < kDepthMax - 1; ++i) deep += json ? '[' : '\x9f';
    for (size_t i = 0; i < kDepthMax - 1; ++i) deep += json ? ']' : '\xff';
    EXPECT_NE(parse(deep), nullptr);
    std::string wide(json ? "[" : "\x9f");
    for (size_t i = 0; i <= kNodeCountMax; ++i) wide += json ? (i == 0 ? "1" : ",1") : "\x01";
    wide += json ? ']' : '\xff';
    EXPECT_EQ(parse(wide), nullptr);
}

INSTANTIATE_TEST_SUITE_P(Encodings, DocumentTest, ::testing::Values(Encoding::kJson, Encoding::kCbor));

TEST(Cbor, LengthsThatLieCostNothing) {
    Document document;
    for (std::string body : {std::string("\x5b\x7f\xff\xff\xff\xff\xff\xff\xff\x00", 10), std::string("\xbb\xff\xff\xff\xff\xff\xff\xff\xff", 9),
                             std::string("\x9b\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10), std::string("\x62\xff\xfe", 3), std::string("\x1f"),
                             std::string("\xa1\x01\x02"), std::string("\xc1\x61\x61"), std::string("\x5f\x61\x61\xff"), std::string("\x01\x01")}) {
        EXPECT_EQ(document.parse(Encoding::kCbor, body), nullptr);
    }
    std::string half("\xf9\x3c\x00", 3);  // 1.0
    EXPECT_EQ(document.parse(Encoding::kCbor, half)->decimal, 1.0);
    std::string pieces("\x7f\x61\x61\x61\x62\xff");
    EXPECT_EQ(document.parse(Encoding::kCbor, pieces)->text, "ab");
}

TEST(EventMessages, AsOthersMakeThem) {
    std::string out = "x";
    append_event(out, {{":message-type", "event"}, {"a", "bc"}}, "{}");
    std::string hex;
    for (const char c : out.substr(1)) fmt::format_to(std::back_inserter(hex), "{:02x}", static_cast<unsigned char>(c));
    EXPECT_EQ(hex, "0000002f0000001d45b50b650d3a6d6573736167652d747970650700056576656e74016107000262637b7d008fc5d8");
}

TEST(Base64, RoundTripsAndRefuses) {
    Prng prng(3);
    for (size_t bytes = 0; bytes < 200; ++bytes) {
        std::string data;
        for (size_t i = 0; i < bytes; ++i) data += static_cast<char>(prng.below(256));
        std::string text;
        append_base64(text, data);
        EXPECT_EQ(text.size(), (bytes + 2) / 3 * 4);
        EXPECT_EQ(decode_base64(text), data);
    }
    EXPECT_EQ(decode_base64("TWFu"), "Man");
    for (const char* bad : {"TWF", "TW=u", "T===", "====", "TWF\xff", "TWFuTWF!", "TWE=TWFu", "TQ=="  "x", "TR==", "TWF=x"}) EXPECT_FALSE(decode_base64(bad)) << bad;
}

}  // namespace
}  // namespace eagre::gateway
