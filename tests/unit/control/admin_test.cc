// The administrators' socket against callers that misbehave: each gets a typed error and is closed;
// the others are served on.
#include <cstring>

#include <gtest/gtest.h>

#include "control/admin/admin_server.h"
#include "tests/support/control_rig.h"

namespace eagre::admin {
namespace {

using test::ControlRig;
using wire::AdminOp;

/// Raw bytes to the admin socket, and what comes back.
struct RawCaller {
    explicit RawCaller(ControlRig& rig)
        : rig_(rig), pipe_(*rig.network.connect("unix:control", 0)) {}
    void send(std::span<const std::byte> bytes) {
        const client::Slice slice{bytes.data(), bytes.size()};
        ASSERT_EQ(rig_.network.send(pipe_, std::span(&slice, 1)).value(), bytes.size());
    }
    void send(const frame::FrameHeader& header) { send(std::as_bytes(std::span(&header, 1))); }
    /// The error that came back before the connection was closed; kOk when it was not closed within
    /// a second.
    Errc verdict(uint32_t turns = 1000) {
        std::vector<std::byte> bytes;
        for (uint32_t i = 0; i < turns; ++i) {
            rig_.turn();
            std::byte chunk[256];
            const auto received = rig_.network.receive(pipe_, chunk);
            if (!received) {
                if (bytes.size() != frame::kHeaderBytes) return Errc::kDisconnected;
                const auto header = frame::decode_header(bytes);
                EXPECT_EQ(header->kind, frame::FrameKind::kError);
                return frame::errc_of(*header);
            }
            bytes.insert(bytes.end(), chunk, chunk + *received);
        }
        return Errc::kOk;
    }

  private:
    ControlRig& rig_;
    client::PipeId pipe_;
};

frame::FrameHeader command_header() {
    frame::FrameHeader header;
    header.kind = frame::FrameKind::kCommand;
    header.correlation = 1;
    return header;
}

class Admin : public testing::Test {
  protected:
    Admin() { rig.start_and_agree(); }
    // Whatever the test did, one who behaves is served.
    ~Admin() override { EXPECT_EQ(rig.list().code, Errc::kOk); }
    ControlRig rig;
};

TEST_F(Admin, ClosesOnABadHeader) {
    const auto verdict_on = [&](auto spoil, bool reseal) {
        frame::FrameHeader header = command_header();
        frame::seal_header(header);
        spoil(header);
        if (reseal) frame::seal_header(header);
        RawCaller caller(rig);
        caller.send(header);
        return caller.verdict();
    };
    EXPECT_EQ(verdict_on([](auto& h) { h.magic = 1; }, true), Errc::kBadMagic);
    EXPECT_EQ(verdict_on([](auto& h) { h.version = 9; }, true), Errc::kBadVersion);
    EXPECT_EQ(verdict_on([](auto& h) { h.correlation = 9; }, false), Errc::kBadCrc);
    EXPECT_EQ(verdict_on([](auto& h) { h.payload_bytes = kControlPayloadBytesMax + 8; }, true),
              Errc::kBadLength);
    EXPECT_EQ(verdict_on([](auto& h) { h.payload_bytes = 7; }, true), Errc::kBadLength);
    EXPECT_EQ(verdict_on([](auto& h) { h.kind = frame::FrameKind::kAppend; }, true),
              Errc::kBadKind);
    EXPECT_EQ(verdict_on([](auto& h) { h.kind = static_cast<frame::FrameKind>(99); }, true),
              Errc::kBadKind);
}

TEST_F(Admin, ClosesOnABadPayload) {
    std::vector<std::byte> payload(64, std::byte{0xff});
    frame::FrameHeader header = command_header();
    frame::seal_frame(header, payload);
    RawCaller liar(rig);
    liar.send(header);
    liar.send(payload);
    EXPECT_EQ(liar.verdict(), Errc::kBadSchema) << "offsets that lead nowhere";

    payload[3] = std::byte{0};
    RawCaller rotten(rig);
    rotten.send(header);
    rotten.send(payload);
    EXPECT_EQ(rotten.verdict(), Errc::kBadCrc);

    frame::FrameHeader empty = command_header();
    frame::seal_header(empty);
    RawCaller silent(rig);
    silent.send(empty);
    EXPECT_EQ(silent.verdict(), Errc::kBadSchema);
}

TEST_F(Admin, ClosesOnHalfAFrameThatNeverEnds) {
    frame::FrameHeader header = command_header();
    frame::seal_header(header);
    RawCaller caller(rig);
    caller.send(std::as_bytes(std::span(&header, 1)).first(10));
    EXPECT_EQ(caller.verdict(5'000), Errc::kOk) << "closed too early";
    EXPECT_EQ(caller.verdict(20'000), Errc::kTimeout);
}

TEST_F(Admin, TurnsAwayConnectionsOverTheLimit) {
    std::vector<std::unique_ptr<frames::FramePipe>> callers;
    for (uint32_t i = 0; i < kConnectionCountMax; ++i) callers.push_back(rig.connect_caller());
    rig.turn();
    RawCaller extra(rig);
    EXPECT_EQ(extra.verdict(), Errc::kBusy);
}

TEST_F(Admin, AnswersBusyPastItsRequestsPerConnection) {
    rig.dataplane.silent = true;
    for (uint32_t i = 0; i <= kRequestsPerConnectionMax; ++i) {
        rig.send({AdminOp::CreateStream, "s" + std::to_string(i), 1, 0, 0});
    }
    EXPECT_EQ(rig.answer().code, Errc::kBusy);
    rig.dataplane.silent = false;
    for (uint32_t i = 0; i < kRequestsPerConnectionMax; ++i)
        EXPECT_EQ(rig.answer().code, Errc::kOk);
}

TEST_F(Admin, GreetsThoseWhoGreet) {
    frame::FrameHeader header;
    header.kind = frame::FrameKind::kHello;
    ASSERT_TRUE(rig.caller().send(header).has_value());
    ASSERT_TRUE(rig.caller().flush().has_value());
    const auto frame = rig.next_frame();
    ASSERT_TRUE(frame.has_value());
    EXPECT_EQ(frame->header.kind, frame::FrameKind::kHelloReply);
}

TEST_F(Admin, ForgetsACallerThatHangsUpWhileItWaits) {
    rig.dataplane.silent = true;
    rig.send({AdminOp::CreateStream, "quotes", 1, 0, 0});
    for (int i = 0; i < 10; ++i) rig.turn();
    rig.hang_up();
    for (int i = 0; i < 10; ++i) rig.turn();
    rig.dataplane.silent = false;
    ASSERT_TRUE(rig.run_until([&] {
        return rig.controller->table().find("quotes")->row.state == catalog::StreamState::kActive;
    }));
}

TEST_F(Admin, TellsThoseWhoWaitThatItIsStopping) {
    rig.dataplane.silent = true;
    rig.send({AdminOp::CreateStream, "quotes", 1, 0, 0});
    for (int i = 0; i < 10; ++i) rig.turn();
    rig.controller->shut_down();
    EXPECT_EQ(rig.answer().code, Errc::kShuttingDown);
    rig.dataplane.silent = false;
}

}  // namespace
}  // namespace eagre::admin
