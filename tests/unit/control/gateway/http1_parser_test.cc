// Requests in pieces of every size, one behind the other; what is not HTTP/1.1, or could be read in two ways, is refused.
#include "control/gateway/http/http1_parser.h"

#include <gtest/gtest.h>

#include <vector>

#include "wire/base/prng.h"

namespace eagre::gateway {
namespace {

using Step = Http1Parser::Step;

/// All requests in `text`, fed in pieces of at most `piece` bytes; and the status it ended with, 0 when nothing was wrong.
std::pair<std::vector<Request>, int> parse(const std::string& text, size_t piece) {
    Http1Parser parser;
    std::vector<Request> requests;
    std::string input;
    for (size_t at = 0; at < text.size(); at += piece) {
        input += text.substr(at, piece);
        for (bool more = true; more;) {
            switch (parser.advance(input)) {
                case Step::kMore: more = false; break;
                case Step::kContinue: break;
                case Step::kRequest: requests.push_back(parser.take()); break;
                case Step::kBad: return {std::move(requests), parser.status()};
            }
        }
    }
    return {std::move(requests), 0};
}

TEST(Http1Parser, RequestsInPiecesOfEverySize) {
    const std::string text =
        "POST / HTTP/1.1\r\nHost: x\r\nX-A:  b \r\nContent-Length: 5\r\n\r\nhello"
        "\r\nPOST /two HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\nConnection: close\r\n\r\n3;a=b\r\nabc\r\n0002\r\nde\r\n0\r\nT: u\r\n\r\n"
        "GET / HTTP/1.0\r\n\r\n";
    for (size_t piece = 1; piece <= text.size(); ++piece) {
        const auto [requests, status] = parse(text, piece);
        ASSERT_EQ(status, 0);
        ASSERT_EQ(requests.size(), 3U) << piece;
        EXPECT_EQ(requests[0].body, "hello");
        EXPECT_EQ(requests[0].header("x-a"), "b");
        EXPECT_TRUE(requests[0].keep_alive);
        EXPECT_EQ(requests[1].target, "/two");
        EXPECT_EQ(requests[1].body, "abcde");
        EXPECT_FALSE(requests[1].keep_alive);
        EXPECT_EQ(requests[2].method, "GET");
        EXPECT_FALSE(requests[2].keep_alive);
    }
}

TEST(Http1Parser, AsksForABodyThatWaits) {
    Http1Parser parser;
    std::string input = "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n";
    EXPECT_EQ(parser.advance(input), Step::kContinue);
    EXPECT_EQ(parser.advance(input), Step::kMore);
    input = "{}";
    EXPECT_EQ(parser.advance(input), Step::kRequest);
    EXPECT_EQ(parser.take().body, "{}");
}

TEST(Http1Parser, RefusesWhatCouldBeReadInTwoWays) {
    const auto status_of = [](const std::string& text) { return parse(text, text.size()).second; };
    const std::string head = "POST / HTTP/1.1\r\nHost: x\r\n";
    EXPECT_EQ(status_of(head + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n"), 400);
    EXPECT_EQ(status_of(head + "Content-Length: 2, 2\r\n\r\n"), 400);
    EXPECT_EQ(status_of(head + "Content-Length: +2\r\n\r\n"), 400);
    EXPECT_EQ(status_of(head + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
    EXPECT_EQ(status_of(head + "Transfer-Encoding: chunked, chunked\r\n\r\n"), 501);
    EXPECT_EQ(status_of(head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"), 501);
    EXPECT_EQ(status_of(head + "Transfer-Encoding: chunked\r\n\r\n-1\r\n"), 400);
    EXPECT_EQ(status_of(head + "Transfer-Encoding: chunked\r\n\r\n2\r\nabXY"), 400);
    EXPECT_EQ(status_of(head + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n"), 413);
    EXPECT_EQ(status_of(head + "A : b\r\n\r\n"), 400);
    EXPECT_EQ(status_of(head + " folded\r\n\r\n"), 400);
    EXPECT_EQ(status_of(head + "A: b\nC: d\r\n\r\n"), 400);
    EXPECT_EQ(status_of(head + "Host: y\r\n\r\n"), 400);
    EXPECT_EQ(status_of("POST / HTTP/1.1\r\n\r\n"), 400);
    EXPECT_EQ(status_of("POST  / HTTP/1.1\r\nHost: x\r\n\r\n"), 400);
    EXPECT_EQ(status_of("PO ST / HTTP/1.1\r\nHost: x\r\n\r\n"), 400);
    EXPECT_EQ(status_of("POST / HTTP/2.0\r\nHost: x\r\n\r\n"), 505);
    EXPECT_EQ(status_of(head + "Content-Length: 999999999\r\n\r\n"), 413);
    EXPECT_EQ(status_of(head + std::string(kHeadBytesMax, 'a')), 431);
    std::string many = head;
    for (size_t i = 0; i < kHeaderCountMax; ++i) many += "A: b\r\n";
    EXPECT_EQ(status_of(many + "\r\n"), 431);
}

TEST(Http1Parser, AnyBytesAreReadOrRefused) {
    Prng prng(11);
    const std::string good = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    for (int i = 0; i < 50000; ++i) {
        std::string text = good;
        for (uint64_t changes = 1 + prng.below(3); changes-- > 0;) text[prng.below(text.size())] = static_cast<char>(prng.below(256));
        (void)parse(text, 1 + prng.below(20));
    }
}

}  // namespace
}  // namespace eagre::gateway
