// Conformance of Connections: who connects, what arrives, what back-pressure and ends look like,
// and that each event is given exactly when connections.h says.
#include "dataplane/io/connections.h"

#include <map>

#include <sys/stat.h>

#include "tests/unit/dataplane/io/io_rig.h"

namespace eagre::io {
namespace {

using Kind = ConnectionEvent::Kind;

class ConnectionsConformance : public IoConformance {
  protected:
    void connect(std::string_view address = "127.0.0.1") {
        const auto listener = io().connections.listen(address, 0);
        ASSERT_TRUE(listener);
        listener_ = *listener;
        connect_to(address, io().connections.port_of(listener_));
    }
    void connect_to(std::string_view address, uint16_t port) {
        const auto pipe = outside_->connect(address, port);
        ASSERT_TRUE(pipe);
        pipe_ = *pipe;
        ASSERT_TRUE(until([&] { return saw(Kind::kAccepted); }));
        EXPECT_EQ(seen_.front().kind, Kind::kAccepted)
            << "nothing of a connection before it is there";
        EXPECT_EQ(seen_.front().listener, listener_);
        connection_ = seen_.front().connection;
        seen_.clear();
    }
    size_t outside_send(std::string_view text) {
        const client::Slice slice{reinterpret_cast<const std::byte*>(text.data()), text.size()};
        const auto sent = outside_->send(pipe_, {&slice, 1});
        return sent ? *sent : 0;
    }
    std::string outside_receive(size_t bytes) {
        std::string text;
        std::array<std::byte, 4096> target{};
        until([&] {
            const auto got = outside_->receive(pipe_, target);
            if (got) text.append(reinterpret_cast<const char*>(target.data()), *got);
            return text.size() >= bytes;
        });
        return text;
    }
    size_t send(std::string_view text) {
        const ByteSlice slice{reinterpret_cast<const std::byte*>(text.data()), text.size()};
        const auto sent = io().connections.send(connection_, {&slice, 1});
        return sent ? *sent : 0;
    }
    /// Whatever is there, to the last byte; "" when there is nothing.
    std::string receive_all() {
        std::string text;
        for (;;) {
            const auto got = io().connections.receive(connection_, {buffer_.data(), 4096});
            if (!got) return text + "<end>";
            if (*got == 0) return text;
            text.append(reinterpret_cast<const char*>(buffer_.data()), *got);
        }
    }
    ListenerId listener_;
    client::PipeId pipe_;
    ConnectionId connection_;
};

TEST_P(ConnectionsConformance, BytesGoBothWays) {
    connect();
    EXPECT_EQ(outside_send("question"), 8U);
    std::string got;
    ASSERT_TRUE(until([&] { return (got += receive_all()).size() >= 8; }));
    EXPECT_EQ(got, "question");
    EXPECT_EQ(send("answer"), 6U);
    EXPECT_EQ(outside_receive(6), "answer");
}

TEST_P(ConnectionsConformance, SixthVersionToo) {
    if (!is_sim()) {
        const int probe = ::socket(AF_INET6, SOCK_STREAM, 0);
        sockaddr_in6 any{};
        any.sin6_family = AF_INET6;
        any.sin6_addr = IN6ADDR_LOOPBACK_INIT;
        const bool usable =
            probe >= 0 && ::bind(probe, reinterpret_cast<sockaddr*>(&any), sizeof(any)) == 0;
        if (probe >= 0) ::close(probe);
        if (!usable) GTEST_SKIP() << "no IPv6 loopback on this machine";
    }
    connect("::1");
    EXPECT_EQ(outside_send("six"), 3U);
    std::string got;
    EXPECT_TRUE(until([&] { return (got += receive_all()) == "six"; }));
}

TEST_P(ConnectionsConformance, UnixSocketIsForItsOwnerOnly) {
    const auto listener = io().connections.listen_unix(socket_path());
    ASSERT_TRUE(listener);
    listener_ = *listener;
    EXPECT_EQ(io().connections.port_of(listener_), 0U);
    if (!is_sim()) {
        struct stat info {};
        ASSERT_EQ(::stat(socket_path().c_str(), &info), 0);
        EXPECT_EQ(info.st_mode & 0777U, 0600U);
    }
    connect_to("unix:" + socket_path(), 0);
    EXPECT_EQ(outside_send("control"), 7U);
    std::string got;
    EXPECT_TRUE(until([&] { return (got += receive_all()) == "control"; }));
}

TEST_P(ConnectionsConformance, OldUnixSocketIsReplaced) {
    ASSERT_TRUE(io().connections.listen_unix(socket_path()));
    const auto listener = io().connections.listen_unix(socket_path());
    ASSERT_TRUE(listener);
    listener_ = *listener;
    connect_to("unix:" + socket_path(), 0);
}

TEST_P(ConnectionsConformance, ReadableIsGivenOnceUntilReceiveFoundNothing) {
    connect();
    outside_send("one");
    ASSERT_TRUE(until([&] { return saw(Kind::kReadable); }));
    outside_send("two");
    for (int i = 0; i < 50; ++i) {
        io().events.wait(200'000);
        collect_events();
    }
    EXPECT_EQ(count_of(Kind::kReadable), 1U) << "not again before receive() has returned 0";
    EXPECT_EQ(receive_all(), "onetwo");
    seen_.clear();
    outside_send("three");
    ASSERT_TRUE(until([&] { return saw(Kind::kReadable); }));
    EXPECT_EQ(seen_.front().connection, connection_);
    std::string got;
    EXPECT_TRUE(until([&] { return (got += receive_all()) == "three"; }));
}

TEST_P(ConnectionsConformance, SlicesAreSentInOrder) {
    connect();
    std::vector<std::string> words;
    std::vector<ByteSlice> slices;
    std::string all;
    for (int i = 0; i < 64; ++i) words.push_back("word" + std::to_string(i));
    for (const std::string& word : words) {
        slices.push_back({reinterpret_cast<const std::byte*>(word.data()), word.size()});
        all += word;
    }
    const auto sent = io().connections.send(connection_, slices);
    ASSERT_TRUE(sent);
    EXPECT_EQ(*sent, all.size());
    EXPECT_EQ(outside_receive(all.size()), all);
}

TEST_P(ConnectionsConformance, BackPressureIsFewerBytesAndThenWritable) {
    connect();
    std::string block(256 * 1024, 'b');
    size_t sent = 0;
    for (size_t taken = block.size(); taken == block.size();) {
        for (size_t i = 0; i < block.size(); ++i)
            block[i] = static_cast<char>('a' + (sent + i) % 23);
        taken = send(block);
        sent += taken;
        ASSERT_LT(sent, size_t{1} << 30U) << "a pipe without a bound";
        io().events.poll();
    }
    collect_events();
    EXPECT_FALSE(saw(Kind::kWritable)) << "nobody has read yet";
    const std::string got = outside_receive(sent);
    ASSERT_EQ(got.size(), sent);
    for (size_t i = 0; i < got.size(); ++i) ASSERT_EQ(got[i], static_cast<char>('a' + i % 23));
    ASSERT_TRUE(until([&] { return saw(Kind::kWritable); }));
    EXPECT_EQ(count_of(Kind::kWritable), 1U);
    EXPECT_EQ(send("more"), 4U);
    EXPECT_EQ(outside_receive(4), "more");
}

TEST_P(ConnectionsConformance, BytesBeforeTheEndAreNotLost) {
    connect();
    outside_send("last words");
    outside_->close(pipe_);
    std::string got;
    ASSERT_TRUE(until([&] { return (got += receive_all()).ends_with("<end>"); }));
    EXPECT_EQ(got, "last words<end>");
    io().connections.close(connection_);
    EXPECT_EQ(io().connections.receive(connection_, {buffer_.data(), 16}).error().code,
              Errc::kDisconnected);
}

TEST_P(ConnectionsConformance, EndIsReported) {
    connect();
    EXPECT_EQ(receive_all(), "");
    outside_->close(pipe_);
    EXPECT_TRUE(until([&] { return saw(Kind::kReadable); }));
    EXPECT_EQ(receive_all(), "<end>");
}

TEST_P(ConnectionsConformance, CloseReachesTheOtherSideBehindTheBytes) {
    connect();
    EXPECT_EQ(send("bye"), 3U);
    io().connections.close(connection_);
    std::string got;
    std::array<std::byte, 16> target{};
    ASSERT_TRUE(until([&] {
        const auto received = outside_->receive(pipe_, target);
        if (received) got.append(reinterpret_cast<const char*>(target.data()), *received);
        return !received;
    }));
    EXPECT_EQ(got, "bye");
}

TEST_P(ConnectionsConformance, StaleIdsAreHarmless) {
    connect();
    const ConnectionId old = connection_;
    io().connections.close(old);
    io().connections.close(old);
    seen_.clear();
    connect_to("127.0.0.1", io().connections.port_of(listener_));
    EXPECT_NE(connection_, old);
    io().connections.close(old);
    EXPECT_FALSE(io().connections.send(old, {}));
    EXPECT_EQ(outside_send("alive"), 5U);
    std::string got;
    EXPECT_TRUE(until([&] { return (got += receive_all()) == "alive"; }));
}

TEST_P(ConnectionsConformance, PortInUseIsTyped) {
    const auto listener = io().connections.listen("127.0.0.1", 0);
    ASSERT_TRUE(listener);
    const uint16_t port = io().connections.port_of(*listener);
    EXPECT_NE(port, 0U);
    const auto second = io().connections.listen("127.0.0.1", port);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Errc::kPortInUse);
    EXPECT_EQ(second.error().detail, port);
}

TEST_P(ConnectionsConformance, AddressMustBeNumeric) {
    EXPECT_EQ(io().connections.listen("localhost", 0).error().code, Errc::kBadArgument);
    EXPECT_EQ(io().connections.listen("", 0).error().code, Errc::kBadArgument);
}

TEST_P(ConnectionsConformance, HundredsOfConnectionsEachGetTheirOwnBytes) {
    const auto listener = io().connections.listen("127.0.0.1", 0);
    ASSERT_TRUE(listener);
    listener_ = *listener;
    const uint16_t port = io().connections.port_of(*listener);
    constexpr size_t kCount = 400;  // Two descriptors each: within the default limit of 1024.
    std::vector<client::PipeId> pipes;
    for (size_t i = 0; i < kCount; ++i) {
        const auto pipe = outside_->connect("127.0.0.1", port);
        ASSERT_TRUE(pipe);
        pipes.push_back(*pipe);
    }
    ASSERT_TRUE(until([&] { return count_of(Kind::kAccepted) == kCount; }));
    for (size_t i = 0; i < kCount; ++i) {
        pipe_ = pipes[i];
        ASSERT_EQ(outside_send(std::to_string(100000 + i)), 6U);
    }
    std::map<uint64_t, std::string> got;
    size_t total = 0;
    ASSERT_TRUE(until([&] {
        for (const ConnectionEvent& event : seen_) {
            connection_ = event.connection;
            const std::string text = receive_all();
            got[event.connection.value] += text;
            total += text.size();
        }
        seen_.clear();
        return total == 6 * kCount;
    }));
    std::map<std::string, int> texts;
    for (const auto& [id, text] : got) ++texts[text];
    EXPECT_EQ(texts.size(), kCount);
}

EAGRE_BOTH_BACK_ENDS(ConnectionsConformance);

}  // namespace
}  // namespace eagre::io
