// Received bytes become whole frames however they are cut; what is wrong gets its typed error and a closed connection, and
// nothing else is disturbed; memory for cut-off frames is bounded by permits.
#include "dataplane/ingress/session.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "tests/support/fake_connections.h"
#include "wire/base/prng.h"

namespace eagre::ingress {
namespace {

using frame::FrameHeader;
using frame::FrameKind;

class Recorder : public FrameHandler {
  public:
    Handled on_frame(Session& session, const FrameHeader& header, std::span<const std::byte> payload) override {
        EXPECT_EQ(reinterpret_cast<uintptr_t>(payload.data()) % 8, 0U);
        if (header.kind == FrameKind::kHello) session.greeted = true;
        if (block) return Handled::kBlocked;
        if (refuse) {
            session.outlet.push(frame::reply_to(header, FrameKind::kAppendReply, error_of(Errc::kBadCrc)));
            return Handled::kClose;
        }
        seen.emplace_back(session.connection.value, header.correlation);
        bytes += payload.size();
        if (header.kind == FrameKind::kAppend) {
            EXPECT_TRUE(frame::payload_matches(header, payload));
        }
        return Handled::kDone;
    }
    void on_closed(Session& session) override { closed.push_back(session.connection.value); }
    std::vector<std::pair<uint64_t, uint64_t>> seen;
    std::vector<uint64_t> closed;
    size_t bytes = 0;
    bool block = false;
    bool refuse = false;
};

std::vector<std::byte> frame_bytes(FrameKind kind, uint64_t correlation, size_t payload_bytes = 0) {
    std::vector<std::byte> payload(payload_bytes, std::byte{0x42});
    FrameHeader header;
    header.kind = kind;
    header.correlation = correlation;
    frame::seal_frame(header, payload);
    std::vector<std::byte> bytes(frame::kHeaderBytes + payload_bytes);
    std::memcpy(bytes.data(), &header, frame::kHeaderBytes);
    if (payload_bytes > 0) std::memcpy(bytes.data() + frame::kHeaderBytes, payload.data(), payload_bytes);
    return bytes;
}

class SessionTest : public ::testing::Test {
  protected:
    void SetUp() override {
        auto made = Sessions::create(connections, handler, *stats);
        ASSERT_TRUE(made.has_value());
        sessions = std::move(*made);
    }
    io::ConnectionId connect(uint64_t id, bool greet = true) {
        const io::ConnectionId connection{id};
        sessions->accept(connection, false, now_ns);
        if (greet) {
            connections.feed(connection, frame_bytes(FrameKind::kHello, 0));
            receive(connection);
            handler.seen.clear();
        }
        return connection;
    }
    void receive(io::ConnectionId connection) {
        if (Session* session = sessions->find(connection)) sessions->mark_readable(*session);
        sessions->receive(now_ns, true);
    }
    // The error of the last frame sent to the connection.
    Errc last_error(io::ConnectionId connection) {
        const auto& out = connections.pipes[connection.value].out;
        if (out.size() < frame::kHeaderBytes) return Errc::kOk;
        const auto header = frame::decode_header(std::span(out).last(frame::kHeaderBytes));
        return header ? frame::errc_of(*header) : Errc::kBadMagic;
    }

    test::FakeConnections connections;
    Recorder handler;
    std::unique_ptr<shm::CoreStats> stats = std::make_unique<shm::CoreStats>();
    std::unique_ptr<Sessions> sessions;
    uint64_t now_ns = 1000;
};

TEST_F(SessionTest, FramesAreWholeHoweverTheyAreCut) {
    Prng prng(5);
    const auto connection = connect(1);
    std::vector<std::byte> stream;
    for (uint64_t i = 1; i <= 200; ++i) {
        const auto bytes = frame_bytes(FrameKind::kAppend, i, 8 * prng.below(2000));
        stream.insert(stream.end(), bytes.begin(), bytes.end());
    }
    for (size_t at = 0; at < stream.size();) {
        const size_t count = std::min<size_t>(1 + prng.below(9000), stream.size() - at);
        connections.feed(connection, std::span(stream).subspan(at, count));
        receive(connection);
        at += count;
    }
    ASSERT_EQ(handler.seen.size(), 200U);
    for (uint64_t i = 0; i < 200; ++i) EXPECT_EQ(handler.seen[i].second, i + 1);
}

TEST_F(SessionTest, TenMebibyteFramesPassOneAtATime) {
    const auto a = connect(1);
    const auto b = connect(2);
    const auto big = frame_bytes(FrameKind::kAppend, 7, kRecordDataBytesMax);
    connections.feed(a, big);
    connections.feed(b, big);
    for (int i = 0; i < 60; ++i) {
        receive(a);
        receive(b);
    }
    EXPECT_EQ(handler.seen.size(), 2U);
    EXPECT_EQ(handler.bytes, 2 * kRecordDataBytesMax);
}

TEST_F(SessionTest, BlockedFrameIsTriedAgainAndOrderKept) {
    const auto connection = connect(1);
    handler.block = true;
    for (uint64_t i = 1; i <= 5; ++i) connections.feed(connection, frame_bytes(FrameKind::kAppend, i, 64));
    receive(connection);
    EXPECT_TRUE(handler.seen.empty());
    EXPECT_TRUE(sessions->any_blocked());
    sessions->receive(now_ns, true);
    EXPECT_TRUE(handler.seen.empty());
    handler.block = false;
    sessions->receive(now_ns, true);
    ASSERT_EQ(handler.seen.size(), 5U);
    for (uint64_t i = 0; i < 5; ++i) EXPECT_EQ(handler.seen[i].second, i + 1);
}

TEST_F(SessionTest, EachLieGetsItsTypedErrorAndOthersLiveOn) {
    const auto good = connect(100);
    struct Case {
        Errc expected;
        std::vector<std::byte> bytes;
    };
    std::vector<Case> cases;
    auto wrong_magic = frame_bytes(FrameKind::kAppend, 1, 8);
    wrong_magic[0] = std::byte{0};
    cases.push_back({Errc::kBadMagic, wrong_magic});
    auto wrong_version = frame_bytes(FrameKind::kAppend, 1, 8);
    wrong_version[4] = std::byte{77};
    cases.push_back({Errc::kBadVersion, wrong_version});
    auto wrong_crc = frame_bytes(FrameKind::kAppend, 1, 8);
    wrong_crc[20] ^= std::byte{1};
    cases.push_back({Errc::kBadCrc, wrong_crc});
    auto wrong_payload = frame_bytes(FrameKind::kMetadata, 1, 8);
    wrong_payload[64] ^= std::byte{1};
    cases.push_back({Errc::kBadCrc, wrong_payload});
    FrameHeader oversized;
    oversized.kind = FrameKind::kAppend;
    oversized.payload_bytes = static_cast<uint32_t>(kFramePayloadBytesMax + 8);
    frame::seal_header(oversized);
    const auto oversized_bytes = std::as_bytes(std::span(&oversized, 1));
    cases.push_back({Errc::kBadLength, {oversized_bytes.begin(), oversized_bytes.end()}});
    cases.push_back({Errc::kBadLength, frame_bytes(FrameKind::kMetadata, 1, kControlPayloadBytesMax + 8)});
    uint64_t id = 1;
    for (const Case& each : cases) {
        const auto bad = connect(id++);
        connections.feed(bad, each.bytes);
        for (int i = 0; i < 3; ++i) receive(bad);
        EXPECT_EQ(last_error(bad), each.expected) << errc_name(each.expected);
        EXPECT_TRUE(connections.closed.contains(bad.value));
        EXPECT_GE(stats->errors[static_cast<size_t>(each.expected)], 1U);
    }
    const auto silent = connect(id++, false);
    connections.feed(silent, frame_bytes(FrameKind::kAppend, 1, 8));
    receive(silent);
    EXPECT_EQ(last_error(silent), Errc::kBadKind);  // Nothing before hello.
    handler.seen.clear();
    connections.feed(good, frame_bytes(FrameKind::kAppend, 9, 8));
    receive(good);
    EXPECT_EQ(handler.seen.size(), 1U);
    EXPECT_EQ(sessions->count(), 1U);
}

TEST_F(SessionTest, RefusalGoesOutBeforeTheConnectionIsClosed) {
    const auto connection = connect(1);
    handler.refuse = true;
    connections.feed(connection, frame_bytes(FrameKind::kAppend, 9, 64));
    receive(connection);
    EXPECT_EQ(last_error(connection), Errc::kBadCrc);
    EXPECT_EQ(handler.closed, (std::vector<uint64_t>{1}));
}

TEST_F(SessionTest, StalledFrameIsClosedAndIdleConnectionIsNot) {
    const auto idle = connect(1);
    const auto stalled = connect(2);
    const auto bytes = frame_bytes(FrameKind::kAppend, 1, 800);
    connections.feed(stalled, std::span(bytes).first(100));
    receive(stalled);
    now_ns += kStalledNsMax + 1;
    sessions->expire(now_ns);
    EXPECT_TRUE(connections.closed.contains(stalled.value));
    EXPECT_EQ(last_error(stalled), Errc::kTimeout);
    EXPECT_FALSE(connections.closed.contains(idle.value));
}

TEST_F(SessionTest, CutOffFramesOfManyConnectionsStayWithinTheirBounds) {
    // Twice as many slow large frames as there are permits: those without one are read no further than 64 KiB.
    const auto bytes = frame_bytes(FrameKind::kAppend, 1, kBatchBytesMax);
    for (uint64_t id = 1; id <= 2 * kLargeRestCountMax; ++id) {
        const auto connection = connect(id);
        connections.feed(connection, std::span(bytes).first(bytes.size() - 8));
    }
    for (int i = 0; i < 5; ++i) {
        for (uint64_t id = 1; id <= 2 * kLargeRestCountMax; ++id) receive(io::ConnectionId{id});
    }
    size_t small = 0;
    for (uint64_t id = 1; id <= 2 * kLargeRestCountMax; ++id) {
        if (sessions->find(io::ConnectionId{id})->rest.size() <= kSmallRestBytes) ++small;
    }
    EXPECT_EQ(small, kLargeRestCountMax);
    // When the first ones finish, the others get their turn.
    for (uint64_t id = 1; id <= 2 * kLargeRestCountMax; ++id) {
        connections.feed(io::ConnectionId{id}, std::span(bytes).last(8));
    }
    for (int i = 0; i < 10; ++i) {
        for (uint64_t id = 1; id <= 2 * kLargeRestCountMax; ++id) receive(io::ConnectionId{id});
    }
    EXPECT_EQ(handler.seen.size(), 2 * kLargeRestCountMax);
}

TEST_F(SessionTest, ClientThatDoesNotReadItsAnswersIsNotReadFrom) {
    const auto connection = connect(1);
    connections.pipes[1].room = 0;
    Session* session = sessions->find(connection);
    while (session->outlet.queued_bytes() <= reactor::kOutletQueueBytesSoft) session->outlet.push(FrameHeader{.kind = FrameKind::kAppendReply});
    connections.feed(connection, frame_bytes(FrameKind::kAppend, 3, 8));
    receive(connection);
    EXPECT_TRUE(handler.seen.empty());
    connections.pipes[1].room = SIZE_MAX;
    session->outlet.set_writable();
    sessions->mark_dirty(*session);
    sessions->flush();
    receive(connection);
    EXPECT_EQ(handler.seen.size(), 1U);
}

}  // namespace
}  // namespace eagre::ingress
