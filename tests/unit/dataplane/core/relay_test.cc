// What the dataplane passes on to control: from any core and back, only for streams that may be read, with an answer at once when
// there is no control, and with bounds. Control is a connection that says what the test wants.
#include <gtest/gtest.h>

#include "tests/unit/dataplane/core/core_rig.h"
#include "wire/schema/groups_generated.h"

namespace eagre {
namespace {

using frame::FrameHeader;
using frame::FrameKind;
using test::CoreRig;
using test::FrameClient;

std::vector<std::byte> group_request(const char* stream) {
    flatbuffers::FlatBufferBuilder builder;
    const auto name = builder.CreateString(stream);
    builder.Finish(wire::CreateGroupRequest(builder, wire::GroupOp::Heartbeat, name));
    std::vector<std::byte> payload((builder.GetSize() + 7) / 8 * 8);
    std::memcpy(payload.data(), builder.GetBufferPointer(), builder.GetSize());
    return payload;
}

uint64_t ask(FrameClient& client, const char* stream = "ticks") {
    FrameHeader header;
    header.kind = FrameKind::kGroup;
    return client.push(header, group_request(stream));
}

/// A control that has taken an epoch, with a stream of two shards on two cores.
struct Rig : CoreRig {
    explicit Rig(uint32_t core_count = 2) : CoreRig(core_count), control(connect_control()) {
        EXPECT_EQ(simple(control, wire::CommandOp::TakeEpoch, 1), Errc::kOk);
        EXPECT_EQ(open_stream(control, core_count), Errc::kOk);
    }
    std::vector<uint64_t> passed_on() const {
        std::vector<uint64_t> tickets;
        for (const FrameHeader& header : control.frames) {
            if (header.kind == FrameKind::kGroup) tickets.push_back(header.correlation);
        }
        return tickets;
    }
    void answer(uint64_t ticket, Errc code = Errc::kOk) {
        FrameHeader header;
        header.kind = FrameKind::kGroupReply;
        header.flags = static_cast<uint16_t>(code);
        control.push_as(ticket, header);
    }
    FrameClient& control;
};

TEST(Relay, GoesFromAnyCoreToControlAndBack) {
    Rig rig;
    FrameClient& here = rig.connect(0);
    FrameClient& there = rig.connect(1);
    const uint64_t first = ask(here);
    const uint64_t second = ask(there);
    rig.turn(20);
    const auto tickets = rig.passed_on();
    ASSERT_EQ(tickets.size(), 2U);
    EXPECT_NE(tickets[0], tickets[1]) << "correlation ids of clients don't meet at control";
    rig.answer(tickets[1], Errc::kLeaseLost);
    rig.answer(tickets[0]);
    rig.turn(20);
    ASSERT_NE(here.answer(first), nullptr);
    ASSERT_NE(there.answer(second), nullptr);
    EXPECT_EQ((here.code(first) == Errc::kOk) + (there.code(second) == Errc::kOk), 1);
    EXPECT_EQ(here.answer(first)->kind, FrameKind::kGroupReply);
    // A second answer is nobody's.
    const size_t before = here.frames.size() + there.frames.size();
    rig.answer(tickets[0]);
    rig.turn(20);
    EXPECT_EQ(here.frames.size() + there.frames.size(), before);
}

TEST(Relay, WithoutControlTheAnswerComesAtOnce) {
    CoreRig rig(2);
    FrameClient& client = rig.connect(1);
    {
        FrameClient& opener = rig.connect_control();  // Opens a stream, and never takes an epoch.
        ASSERT_EQ(rig.open_stream(opener, 2, 1, 1, "ticks", 0), Errc::kOk);
    }
    const uint64_t asked = ask(client);
    rig.turn(20);
    EXPECT_EQ(client.code(asked), Errc::kUnavailable);
}

TEST(Relay, LosingControlAnswersWhoeverWaits) {
    Rig rig;
    FrameClient& client = rig.connect(1);
    const uint64_t asked = ask(client);
    rig.turn(20);
    EXPECT_EQ(client.answer(asked), nullptr);
    std::erase_if(rig.clients, [&](const auto& each) { return each.get() == &rig.control; });
    rig.turn(20);
    EXPECT_EQ(client.code(asked), Errc::kUnavailable);
}

TEST(Relay, ALaterControlTakesTheEarlierOnesPlace) {
    Rig rig;
    FrameClient& client = rig.connect(0);
    const uint64_t asked = ask(client);
    rig.turn(20);
    FrameClient& later = rig.connect_control();
    ASSERT_EQ(rig.simple(later, wire::CommandOp::TakeEpoch, 2), Errc::kOk);
    EXPECT_EQ(client.code(asked), Errc::kUnavailable);
    const uint64_t again = ask(client);
    rig.turn(20);
    EXPECT_EQ(rig.passed_on().size(), 1U) << "the earlier one hears no more";
    EXPECT_EQ(client.answer(again), nullptr);
}

TEST(Relay, AControlThatSaysNothingCostsABoundedTime) {
    Rig rig;
    FrameClient& client = rig.connect(0);
    const uint64_t asked = ask(client);
    rig.turn(20);
    rig.world.advance(relay::kRelayNsMax);
    rig.turn(20);
    EXPECT_EQ(client.code(asked), Errc::kTimeout);
}

TEST(Relay, OneConnectionHasAShareOnly) {
    Rig rig;
    FrameClient& client = rig.connect(1);
    std::vector<uint64_t> asked;
    for (uint32_t i = 0; i < relay::kRelayPerSessionMax + 3; ++i) asked.push_back(ask(client));
    rig.turn(40);
    uint32_t busy = 0;
    for (const uint64_t each : asked) busy += client.answer(each) != nullptr && client.code(each) == Errc::kBusy ? 1U : 0U;
    EXPECT_EQ(busy, 3U);
    for (const uint64_t ticket : rig.passed_on()) rig.answer(ticket);
    rig.turn(40);
    const uint64_t later = ask(client);
    rig.turn(20);
    EXPECT_EQ(client.answer(later), nullptr) << "there is room again";
    EXPECT_EQ(rig.passed_on().size(), relay::kRelayPerSessionMax + 1U);
}

TEST(Relay, RefusesWhatIsNoRequestAndStreamsThatAreNotThere) {
    Rig rig;
    FrameClient& client = rig.connect(0);
    const uint64_t unknown = ask(client, "nothing");
    rig.turn(10);
    EXPECT_EQ(client.code(unknown), Errc::kUnknownStream);
    EXPECT_TRUE(rig.passed_on().empty());
    // An answer that is not control's to give.
    FrameHeader header;
    header.kind = FrameKind::kGroupReply;
    client.push(header);
    rig.turn(10);
    EXPECT_EQ(client.lost, 1);
    FrameClient& other = rig.connect(0);
    header.kind = FrameKind::kGroup;
    other.push(header, std::vector<std::byte>(32, std::byte{0x7F}));
    rig.turn(10);
    EXPECT_EQ(other.lost, 1);
}

TEST(Relay, MeasuresAShardOfAnyCore) {
    Rig rig;
    FrameClient& client = rig.connect(0);
    for (uint32_t i = 0; i < 5; ++i) client.append(ShardId{2}, CoreRig::key_of(1, 2));
    rig.turn(100);
    const auto measure = [&](uint64_t shard, uint64_t from) {
        FrameHeader header;
        header.kind = FrameKind::kMeasure;
        header.shard = shard;
        header.sequence = from;
        const uint64_t correlation = client.push(header);
        rig.turn(20);
        return client.answer(correlation) == nullptr ? FrameHeader{} : *client.answer(correlation);
    };
    const FrameHeader some = measure(2, 3);
    EXPECT_EQ(some.kind, FrameKind::kMeasureReply);
    EXPECT_EQ(frame::errc_of(some), Errc::kOk);
    EXPECT_EQ(some.number, 6U);
    EXPECT_GT(some.sequence, 3U * 8);
    EXPECT_GT(some.detail, 0U);
    const FrameHeader none = measure(2, 6);
    EXPECT_EQ(frame::errc_of(none), Errc::kOk);
    EXPECT_EQ(none.sequence, 0U);
    EXPECT_EQ(none.detail, 0U);
    EXPECT_EQ(frame::errc_of(measure(2, 7)), Errc::kSequenceInFuture);
    EXPECT_EQ(frame::errc_of(measure(2, 0)), Errc::kSequenceTrimmed);
    EXPECT_EQ(frame::errc_of(measure(77, 1)), Errc::kUnknownShard);
}

}  // namespace
}  // namespace eagre
