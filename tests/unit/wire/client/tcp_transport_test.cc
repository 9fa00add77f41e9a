// The real transport against real sockets on loopback: what connects, what refuses, what ends, and that a wait ends when
// something comes.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <string>

#include "wire/client/transport.h"

namespace eagre::client {
namespace {

constexpr uint64_t kPatienceNs = 5'000'000'000ULL;

/// A listener on loopback, on a port that the system gives, or on a path.
class Listener {
  public:
    Listener() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t length = sizeof(address);
        EXPECT_EQ(::bind(fd_, reinterpret_cast<sockaddr*>(&address), length), 0);
        EXPECT_EQ(::listen(fd_, 8), 0);
        EXPECT_EQ(::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &length), 0);
        port = ntohs(address.sin_port);
    }
    explicit Listener(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, path.data(), path.size());
        ::unlink(path.c_str());
        EXPECT_EQ(::bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
        EXPECT_EQ(::listen(fd_, 8), 0);
    }
    ~Listener() { close(); }
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;
    int accept() { return ::accept(fd_, nullptr, nullptr); }
    void close() {
        if (fd_ >= 0) ::close(fd_);
        fd_ = -1;
    }
    uint16_t port = 0;

  private:
    int fd_;
};

class TcpTransport : public ::testing::Test {
  protected:
    Result<size_t> send(PipeId pipe, std::string_view text) {
        const Slice slice{reinterpret_cast<const std::byte*>(text.data()), text.size()};
        Result<size_t> sent = size_t{0};
        until([&] { return !(sent = transport_->send(pipe, {&slice, 1})) || *sent > 0; });
        return sent;
    }
    /// What comes next; or why nothing does.
    Result<std::string> receive(PipeId pipe) {
        std::array<std::byte, 256> bytes;
        Result<size_t> got = size_t{0};
        until([&] { return !(got = transport_->receive(pipe, bytes)) || *got > 0; });
        if (!got) return got.error();
        return std::string(reinterpret_cast<const char*>(bytes.data()), *got);
    }
    template <class Done>
    void until(Done done) {
        const uint64_t deadline = transport_->monotonic_ns() + kPatienceNs;
        while (!done() && transport_->monotonic_ns() < deadline) transport_->wait(10'000'000);
    }
    void expect_a_conversation(PipeId pipe, Listener& listener) {
        ASSERT_TRUE(send(pipe, "there").has_value());
        const int peer = listener.accept();
        ASSERT_GE(peer, 0);
        std::array<char, 16> bytes{};
        EXPECT_EQ(::read(peer, bytes.data(), bytes.size()), 5);
        EXPECT_EQ(std::string(bytes.data()), "there");
        ASSERT_EQ(::write(peer, "back", 4), 4);
        EXPECT_EQ(*receive(pipe), "back");
        ::close(peer);
        EXPECT_EQ(receive(pipe).error().code, Errc::kDisconnected);
    }

    std::unique_ptr<Transport> transport_ = make_tcp_transport();
};

TEST_F(TcpTransport, BytesGoThereAndBackAndTheEndIsTold) {
    Listener listener;
    const auto pipe = transport_->connect("127.0.0.1", listener.port);
    ASSERT_TRUE(pipe.has_value());
    expect_a_conversation(*pipe, listener);
}

TEST_F(TcpTransport, SpeaksOverAUnixSocket) {
    const std::string path = "/tmp/eagre-transport-" + std::to_string(::getpid()) + ".sock";
    Listener listener(path);
    const auto pipe = transport_->connect("unix:" + path, 0);
    ASSERT_TRUE(pipe.has_value());
    expect_a_conversation(*pipe, listener);
    ::unlink(path.c_str());
    EXPECT_EQ(transport_->connect("unix:" + path, 0).error().code, Errc::kDisconnected);
}

TEST_F(TcpTransport, ARefusedConnectionIsTold) {
    Listener listener;
    listener.close();
    const auto pipe = transport_->connect("127.0.0.1", listener.port);
    const Errc code = pipe ? receive(*pipe).error().code : pipe.error().code;
    EXPECT_EQ(code, Errc::kDisconnected);
}

TEST_F(TcpTransport, WhatIsNoAddressIsAnErrorAtOnce) {
    EXPECT_EQ(transport_->connect("localhost", 1).error().code, Errc::kBadArgument);
    EXPECT_EQ(transport_->connect("", 1).error().code, Errc::kBadArgument);
    EXPECT_EQ(transport_->connect("unix:" + std::string(200, 'x'), 0).error().code, Errc::kBadArgument);
}

TEST_F(TcpTransport, AClosedPipeStaysClosed) {
    Listener listener;
    const auto pipe = transport_->connect("127.0.0.1", listener.port);
    ASSERT_TRUE(pipe.has_value());
    transport_->close(*pipe);
    EXPECT_EQ(send(*pipe, "x").error().code, Errc::kDisconnected);
    EXPECT_EQ(receive(*pipe).error().code, Errc::kDisconnected);
    transport_->close(*pipe);
    // The next one is another pipe, whatever descriptor it gets.
    const auto next = transport_->connect("127.0.0.1", listener.port);
    ASSERT_TRUE(next.has_value());
    EXPECT_NE(*next, *pipe);
    EXPECT_EQ(receive(*pipe).error().code, Errc::kDisconnected);
}

TEST_F(TcpTransport, AFullPipeTakesNothingMoreAndLosesNothing) {
    Listener listener;
    const auto pipe = transport_->connect("127.0.0.1", listener.port);
    ASSERT_TRUE(pipe.has_value());
    const std::string chunk(1U << 20U, 'x');
    const Slice slice{reinterpret_cast<const std::byte*>(chunk.data()), chunk.size()};
    size_t sent = 0;
    for (int silent = 0; silent < 20;) {
        const auto taken = transport_->send(*pipe, {&slice, 1});
        ASSERT_TRUE(taken.has_value());
        sent += *taken;
        silent = *taken == 0 ? silent + 1 : 0;
        if (*taken == 0) transport_->wait(1'000'000);
    }
    ASSERT_LT(sent, size_t{1} << 30U);
    const int peer = listener.accept();
    ASSERT_GE(peer, 0);
    transport_->close(*pipe);
    std::vector<char> bytes(1U << 20U);
    size_t received = 0;
    for (ssize_t got = 0; (got = ::read(peer, bytes.data(), bytes.size())) > 0;) received += static_cast<size_t>(got);
    EXPECT_EQ(received, sent);
    ::close(peer);
}

}  // namespace
}  // namespace eagre::client
