// The server on real loopback sockets, driven turn by turn with a clock of the test: what is asked
// wrongly, slowly or without end is refused or cut off, and others are served meanwhile.
#include "control/metrics/http_server.h"

#include <chrono>
#include <cstring>
#include <string>
#include <vector>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace eagre::metrics {
namespace {

/// A scraper's end of a connection.
class Scraper {
  public:
    explicit Scraper(uint16_t port, int receive_bytes = 0) {
        fd_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (receive_bytes != 0)
            setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof(receive_bytes));
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
    }
    ~Scraper() { close(fd_); }
    Scraper(const Scraper&) = delete;
    Scraper& operator=(const Scraper&) = delete;

    bool send(const std::string& text) {
        return ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL) ==
               static_cast<ssize_t>(text.size());
    }
    /// Takes what is there; true when the other side has closed.
    bool receive() {
        char bytes[65536];
        for (;;) {
            const ssize_t got = recv(fd_, bytes, sizeof(bytes), 0);
            if (got > 0) received.append(bytes, static_cast<size_t>(got));
            if (got == 0) return true;
            if (got < 0) return errno != EAGAIN;
        }
    }
    std::string received;

  private:
    int fd_ = -1;
};

class HttpServerTest : public testing::Test {
  protected:
    void SetUp() override {
        auto server = HttpServer::listen(*HttpAddress::parse("127.0.0.1:0"), [this] {
            ++pages_;
            return std::make_shared<const std::string>(page_);
        });
        ASSERT_TRUE(server.has_value());
        server_ = std::move(*server);
    }
    /// Turns of the loop until `done`; false after 5 s of real time.
    template <class Done>
    bool run_until(Done done) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
        while (std::chrono::steady_clock::now() < end) {
            pollfd polled{server_->wait_fd(), POLLIN, 0};
            ::poll(&polled, 1, 1);
            server_->poll(now_ns_);
            if (done()) return true;
        }
        return false;
    }
    /// The whole answer; empty when there was none in time.
    std::string fetch(const std::string& request) {
        Scraper scraper(port());
        bool sent = false;
        const bool closed = run_until([&] {
            if (!sent) sent = scraper.send(request);
            return scraper.receive();
        });
        return closed ? scraper.received : "";
    }
    std::string get(const std::string& path) {
        return fetch("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    uint16_t port() const { return server_->address().port; }

    std::unique_ptr<HttpServer> server_;
    std::string page_ = "eagre_x 1\n";
    int pages_ = 0;
    uint64_t now_ns_ = 1'000'000'000;
};

TEST_F(HttpServerTest, ServesThePageAndCloses) {
    const std::string answer = get("/metrics");
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n")) << answer;
    EXPECT_NE(answer.find("Content-Type: text/plain; version=0.0.4"), std::string::npos);
    EXPECT_NE(answer.find("Connection: close"), std::string::npos);
    EXPECT_TRUE(answer.ends_with("\r\n\r\neagre_x 1\n"));
    EXPECT_EQ(pages_, 1);
    EXPECT_TRUE(get("/metrics?x=1").starts_with("HTTP/1.1 200"));
    EXPECT_NE(get("/").find("/metrics"), std::string::npos);
    EXPECT_TRUE(fetch("HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n").ends_with("\r\n\r\n"));
    EXPECT_EQ(server_->cut_count(), 0U);
    EXPECT_EQ(server_->next_deadline_ns(), UINT64_MAX) << "nobody is left";
}

TEST_F(HttpServerTest, RefusesWhatItDoesNotServe) {
    EXPECT_TRUE(get("/etc/passwd").starts_with("HTTP/1.1 404"));
    EXPECT_TRUE(get("/metrics/").starts_with("HTTP/1.1 404"));
    const std::string body(100'000, 'x');
    EXPECT_TRUE(fetch("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n")
                    .starts_with("HTTP/1.1 405"));
    EXPECT_TRUE(fetch("DELETE /metrics HTTP/1.1\r\nHost: x\r\n\r\n").starts_with("HTTP/1.1 405"));
    EXPECT_TRUE(fetch("GET /metrics HTTP/1.1\r\nHost: x\r\nA: " + body + "\r\n\r\n")
                    .starts_with("HTTP/1.1 4"));
    EXPECT_EQ(fetch(std::string("\x16\x03\x01\x02\x00\x01\r\n\r\n", 10)).find("200 OK"),
              std::string::npos);
    EXPECT_EQ(pages_, 0);
    EXPECT_TRUE(get("/metrics").starts_with("HTTP/1.1 200")) << "it serves on";
}

TEST_F(HttpServerTest, CutsOffWhoSendsTooSlowly) {
    Scraper slow(port());
    ASSERT_TRUE(run_until([&] { return slow.send("G"); }));
    ASSERT_TRUE(run_until([&] { return server_->next_deadline_ns() != UINT64_MAX; }));
    EXPECT_LE(server_->next_deadline_ns(), now_ns_ + kConnectionNsMax);
    now_ns_ += kConnectionNsMax - 1;
    ASSERT_TRUE(run_until([&] { return slow.send("E"); }));
    EXPECT_EQ(server_->cut_count(), 0U);
    now_ns_ += 1;
    EXPECT_TRUE(run_until([&] { return slow.receive(); }));
    EXPECT_EQ(slow.received.find("200 OK"), std::string::npos);
    EXPECT_EQ(server_->cut_count(), 1U);
}

TEST_F(HttpServerTest, CutsOffWhoDoesNotRead) {
    page_.assign(32 * 1024 * 1024, 'x');
    Scraper slow(port(), 4096);
    ASSERT_TRUE(run_until([&] { return slow.send("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"); }));
    ASSERT_TRUE(run_until([&] { return pages_ == 1; }));
    now_ns_ += kConnectionNsMax;
    ASSERT_TRUE(run_until([&] { return server_->next_deadline_ns() == UINT64_MAX; }));
    EXPECT_EQ(server_->cut_count(), 1U);
    EXPECT_TRUE(run_until([&] { return slow.receive(); }));
    EXPECT_LT(slow.received.size(), page_.size());
}

TEST_F(HttpServerTest, HasABoundOnConnectionsAndServesTheOthersWhenTheyHaveGone) {
    std::vector<std::unique_ptr<Scraper>> idle;
    for (unsigned i = 0; i < kConnectionCountMax; ++i)
        idle.push_back(std::make_unique<Scraper>(port()));
    ASSERT_TRUE(run_until([&] { return idle.back()->send("G"); }));
    for (int turn = 0; turn < 50; ++turn) server_->poll(now_ns_);
    Scraper late(port());
    ASSERT_TRUE(run_until([&] { return late.send("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"); }));
    for (int turn = 0; turn < 50; ++turn) server_->poll(now_ns_);
    EXPECT_FALSE(late.receive());
    EXPECT_TRUE(late.received.empty());
    now_ns_ += kConnectionNsMax;
    EXPECT_TRUE(run_until([&] { return late.receive(); }));
    EXPECT_TRUE(late.received.starts_with("HTTP/1.1 200")) << late.received;
    EXPECT_EQ(server_->cut_count(), kConnectionCountMax);
}

TEST_F(HttpServerTest, SaysWhenThePortIsTaken) {
    const auto second = HttpServer::listen(server_->address(),
                                           [] { return std::make_shared<const std::string>(); });
    ASSERT_FALSE(second.has_value());
    EXPECT_EQ(second.error().code, Errc::kPortInUse);
    EXPECT_EQ(second.error().detail, port());
}

TEST(HttpAddress, IsNumericAndKnowsLoopback) {
    EXPECT_TRUE(HttpAddress::parse("127.0.0.1:9568")->loopback);
    EXPECT_TRUE(HttpAddress::parse("127.3.2.1:0")->loopback);
    EXPECT_TRUE(HttpAddress::parse("[::1]:9568")->loopback);
    EXPECT_EQ(HttpAddress::parse("[::1]:9568")->text(), "[::1]:9568");
    EXPECT_FALSE(HttpAddress::parse("0.0.0.0:9568")->loopback);
    EXPECT_FALSE(HttpAddress::parse("[::]:9568")->loopback);
    EXPECT_FALSE(HttpAddress::parse("10.0.0.1:80")->loopback);
    for (const char* wrong :
         {"", "9568", ":9568", "localhost:9568", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536",
          "127.0.0.1:-1", "127.0.0.1:9568x", "::1:9568", "[127.0.0.1]:1", "127.evil.example:1"}) {
        EXPECT_FALSE(HttpAddress::parse(wrong).has_value()) << wrong;
    }
}

}  // namespace
}  // namespace eagre::metrics
