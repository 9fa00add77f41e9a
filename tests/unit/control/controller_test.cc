// The whole of eagre-control but its main, against a dataplane that can be told to fail at any
// step. After whatever happened, catalogue and facts agree, what was answered kOk is there, and no
// id was used twice.
#include "control/controller.h"

#include <gtest/gtest.h>

#include "tests/support/control_rig.h"
#include "wire/base/limits.h"

namespace eagre::control {
namespace {

using test::AdminAsk;
using test::ControlRig;
using wire::AdminOp;
using wire::CommandOp;

TEST(Controller, CreatesListsDescribesAndDeletes) {
    ControlRig rig;
    rig.start();
    const auto created = rig.create("quotes", 4);
    ASSERT_EQ(created.code, Errc::kOk) << created.message;
    ASSERT_EQ(created.streams.size(), 1U);
    EXPECT_EQ(created.streams[0].shards.size(), 4U);
    EXPECT_EQ(created.streams[0].shards[0].port, 4568);
    EXPECT_TRUE(created.streams[0].shards[0].available);
    rig.expect_agreement();

    ASSERT_EQ(rig.create("trades", 2).code, Errc::kOk);
    const auto listed = rig.list();
    ASSERT_EQ(listed.streams.size(), 2U);
    EXPECT_EQ(listed.streams[0].name, "quotes");
    EXPECT_EQ(listed.shard_counts, (std::vector<uint32_t>{4, 2}));

    rig.dataplane.streams[1].shards[2].next_sequence = SequenceNumber(1234);
    const auto described = rig.describe("quotes");
    ASSERT_EQ(described.code, Errc::kOk);
    EXPECT_EQ(described.streams[0].shards[2].next_sequence.value, 1234U);
    EXPECT_EQ(rig.describe("nothing").code, Errc::kUnknownStream);

    EXPECT_EQ(rig.remove("quotes").code, Errc::kOk);
    EXPECT_EQ(rig.remove("quotes").code, Errc::kUnknownStream);
    EXPECT_EQ(rig.list().streams.size(), 1U);
    ASSERT_EQ(rig.create("quotes", 1).code, Errc::kOk);
    rig.expect_agreement();
}

TEST(Controller, SpreadsShardsOverJournals) {
    ControlRig rig;
    rig.start();
    rig.create("a", 3);
    rig.create("b", 1);
    std::map<uint32_t, uint32_t> counts;
    for (const auto& [id, stream] : rig.dataplane.streams) {
        for (const auto& shard : stream.shards) ++counts[shard.journal.value];
    }
    EXPECT_EQ(counts[0], 2U);
    EXPECT_EQ(counts[1], 2U);
}

TEST(Controller, RefusesWhatIsOverItsLimits) {
    ControlRig rig;
    rig.start();
    for (const char* name : {"", "a b", "a/b", "..", ".", "\xc3\xa9"}) {
        const auto answer = rig.create(name, 1);
        EXPECT_EQ(answer.code, Errc::kBadArgument) << name;
        EXPECT_FALSE(answer.message.empty());
    }
    EXPECT_EQ(rig.create(std::string(kStreamNameBytesMax + 1, 'x'), 1).code, Errc::kBadArgument);
    EXPECT_EQ(rig.create(std::string(kStreamNameBytesMax, 'x'), 1).code, Errc::kOk);
    EXPECT_EQ(rig.create("none", 0).code, Errc::kBadArgument);
    EXPECT_EQ(rig.create("many", kStreamShardCountMax + 1).code, Errc::kLimitExceeded);
    EXPECT_EQ(rig.create("most", kStreamShardCountMax).code, Errc::kOk);
    const auto full = rig.create("more", kStreamShardCountMax);
    EXPECT_EQ(full.code, Errc::kLimitExceeded);
    EXPECT_EQ(full.detail, kBoxShardCountMax);
    EXPECT_EQ(rig.ask({AdminOp::CreateStream, "big", 1, 0, kRecordDataBytesMax + 1}).code,
              Errc::kBadArgument);
    EXPECT_EQ(rig.ask({AdminOp::CreateStream, "old", 1, UINT64_MAX, 0}).code, Errc::kBadArgument);
    EXPECT_EQ(rig.create("most", 1).code, Errc::kStreamExists);
    EXPECT_EQ(rig.ask({AdminOp::None, "", 0, 0, 0}).code, Errc::kBadArgument);
    EXPECT_EQ(rig.describe("most").streams.at(0).shards.size(), kStreamShardCountMax);
    rig.expect_agreement();
}

// ------------------------------------------------------------------------------ dying between the
// intention and the fact

struct Crash {
    const char* name;
    bool silent;  // The command never gets an answer, and is never done.
    std::optional<CommandOp> lose_command, lose_reply, do_half;
};

std::vector<Crash> crashes_at(CommandOp op) {
    return {{"command not sent", true, {}, {}, {}},
            {"command lost", false, op, {}, {}},
            {"half done", false, {}, {}, op},
            {"reply lost", false, {}, op, {}}};
}

/// Lets `rig` run into the crash, kills the controller in that instant, and starts it again.
void crash_and_restart(ControlRig& rig, const Crash& crash, const test::AdminAsk& ask) {
    rig.dataplane.silent = crash.silent;
    rig.dataplane.lose_command = crash.lose_command;
    rig.dataplane.lose_reply = crash.lose_reply;
    rig.dataplane.do_half = crash.do_half;
    rig.send(ask);
    const auto struck = [&] {
        return !rig.dataplane.lose_command && !rig.dataplane.lose_reply && !rig.dataplane.do_half;
    };
    if (crash.silent) {
        for (int i = 0; i < 20; ++i) rig.turn();
    } else {
        ASSERT_TRUE(rig.run_until(struck));
    }
    rig.kill();
    rig.dataplane.set_up(false);
    rig.dataplane.set_up(true);
    rig.dataplane.silent = false;
    rig.start_and_agree();
    ASSERT_TRUE(rig.run_until([&] {
        const auto& streams = rig.controller->table().streams();
        return std::all_of(streams.begin(), streams.end(), [](const auto& s) {
            return s.second.row.state == catalog::StreamState::kActive;
        });
    }));
}

TEST(Controller, FinishesACreateAfterDyingAtAnyStep) {
    for (const Crash& crash : crashes_at(CommandOp::OpenStream)) {
        SCOPED_TRACE(crash.name);
        ControlRig rig;
        rig.start_and_agree();
        ASSERT_EQ(rig.create("before", 2).code, Errc::kOk);
        crash_and_restart(rig, crash, {AdminOp::CreateStream, "quotes", 4, 0, 0});
        rig.expect_agreement();
        const auto described = rig.describe("quotes");
        ASSERT_EQ(described.code, Errc::kOk);
        EXPECT_EQ(described.streams[0].shards.size(), 4U);
        EXPECT_EQ(rig.describe("before").code, Errc::kOk);
    }
}

TEST(Controller, FinishesADeleteAfterDyingAtAnyStep) {
    for (const Crash& crash : crashes_at(CommandOp::DeleteStream)) {
        SCOPED_TRACE(crash.name);
        ControlRig rig;
        rig.start_and_agree();
        ASSERT_EQ(rig.create("before", 2).code, Errc::kOk);
        ASSERT_EQ(rig.create("quotes", 4).code, Errc::kOk);
        crash_and_restart(rig, crash, {AdminOp::DeleteStream, "quotes", 0, 0, 0});
        rig.expect_agreement();
        EXPECT_EQ(rig.describe("quotes").code, Errc::kUnknownStream);
        EXPECT_EQ(rig.describe("before").code, Errc::kOk);
    }
}

TEST(Controller, FinishesAChangeAfterDyingAtAnyStep) {
    for (const Crash& crash : crashes_at(CommandOp::SetStream)) {
        SCOPED_TRACE(crash.name);
        ControlRig rig;
        rig.start_and_agree();
        ASSERT_EQ(rig.create("quotes", 4).code, Errc::kOk);
        crash_and_restart(rig, crash, {AdminOp::SetRetention, "quotes", 0, 60'000, 0});
        rig.expect_agreement();
        EXPECT_EQ(rig.dataplane.streams[1].retention_ms, 60'000U);
    }
}

TEST(Controller, FinishesAChangeOfLimitsAfterDyingAtAnyStep) {
    for (const Crash& crash : crashes_at(CommandOp::SetStream)) {
        SCOPED_TRACE(crash.name);
        ControlRig rig;
        rig.start_and_agree();
        ASSERT_EQ(rig.create("quotes", 4).code, Errc::kOk);
        ASSERT_EQ(rig.ask({.op = AdminOp::TagStream, .name = "quotes", .tags = {{"team", "feeds"}}}).code, Errc::kOk);
        AdminAsk change{.op = AdminOp::SetStream, .name = "quotes", .record_bytes_max = 5000};
        change.fields = wire::StreamField::RecordBytesMax | wire::StreamField::RetentionBytes |
                        wire::StreamField::QuotaRecordsPerS;
        change.retention_bytes = 8 << 20;
        change.quota_records_per_s = 1000;
        crash_and_restart(rig, crash, change);
        rig.expect_agreement();
        const streams::StreamFact& fact = rig.dataplane.streams[1];
        EXPECT_EQ(fact.record_bytes_max, 5000U);
        EXPECT_EQ(fact.retention_bytes, 8U << 20U);
        EXPECT_EQ(fact.quota_records_per_s, 1000U);
        EXPECT_EQ(fact.map_version, 2U);
        EXPECT_EQ(fact.retention_ms, streams::kRetentionMsDefault) << "was not to be changed";
        const auto described = rig.describe("quotes");
        EXPECT_EQ(described.streams[0].retention_bytes, 8U << 20U);
        EXPECT_EQ(described.tags, (catalog::Tags{{"team", "feeds"}}));
    }
}

TEST(Controller, SaysWhichLimitIsWrong) {
    ControlRig rig;
    rig.start_and_agree();
    ASSERT_EQ(rig.create("quotes", 1).code, Errc::kOk);
    AdminAsk change{.op = AdminOp::SetStream, .name = "quotes"};
    change.fields = wire::StreamField::RetentionBytes;
    change.retention_bytes = 1000;
    auto answer = rig.ask(change);
    EXPECT_EQ(answer.code, Errc::kBadArgument);
    EXPECT_EQ(answer.detail, kRetentionBytesMin);
    EXPECT_NE(answer.message.find("1 MiB"), std::string::npos) << answer.message;
    change.fields = wire::StreamField::RecordBytesMax;
    change.record_bytes_max = kRecordDataBytesMax + 1;
    answer = rig.ask(change);
    EXPECT_EQ(answer.code, Errc::kBadArgument);
    EXPECT_NE(answer.message.find("10 MiB"), std::string::npos) << answer.message;
    change.name = "nobody";
    EXPECT_EQ(rig.ask(change).code, Errc::kUnknownStream);
    EXPECT_EQ(rig.dataplane.done_count[CommandOp::SetStream], 0U);

    catalog::Tags many;
    for (uint32_t i = 0; i <= kTagCountMax; ++i) many["k" + std::to_string(i)] = "v";
    answer = rig.ask({.op = AdminOp::TagStream, .name = "quotes", .tags = many});
    EXPECT_EQ(answer.code, Errc::kLimitExceeded);
    EXPECT_NE(answer.message.find("at most 50 tags"), std::string::npos) << answer.message;
    answer = rig.ask({.op = AdminOp::CreateStream, .name = "tagged", .shard_count = 1, .tags = many});
    EXPECT_EQ(answer.code, Errc::kLimitExceeded);
    EXPECT_NE(answer.message.find("at most 50 tags"), std::string::npos) << answer.message;
}

TEST(Controller, AChangeDuringAReshardWaitsAndSaysWhatItWaitedFor) {
    ControlRig rig;
    rig.start_and_agree();
    ASSERT_EQ(rig.create("quotes", 1).code, Errc::kOk);
    rig.dataplane.silent = true;  // It does not come to an end.
    rig.send({AdminOp::ScaleStream, "quotes", 2, 0, 0});
    ASSERT_TRUE(rig.run_until([&] { return rig.controller->table().find("quotes")->row.state == catalog::StreamState::kResharding; }));
    AdminAsk change{.op = AdminOp::SetStream, .name = "quotes"};
    change.fields = wire::StreamField::RetentionBytes;
    change.retention_bytes = 64 << 20U;
    rig.send(change);
    EXPECT_EQ(rig.answer().code, Errc::kTimeout) << "the scale's, asked first and not told to wait any less";
    const auto answer = rig.answer();
    EXPECT_EQ(answer.code, Errc::kBusy);
    EXPECT_NE(answer.message.find("split, merge, scale or move of this stream is under way"), std::string::npos) << answer.message;
}

TEST(Controller, TagsLiveInTheCatalogueAlone) {
    ControlRig rig;
    rig.start_and_agree();
    ASSERT_EQ(rig.ask({.op = AdminOp::CreateStream, .name = "quotes", .shard_count = 2, .tags = {{"team", "feeds"}}}).code,
              Errc::kOk);
    ASSERT_EQ(rig.ask({.op = AdminOp::TagStream, .name = "quotes", .tags = {{"env", "prod"}, {"team", "x"}}}).code, Errc::kOk);
    EXPECT_EQ(rig.describe("quotes").tags, (catalog::Tags{{"env", "prod"}, {"team", "x"}}));
    ASSERT_EQ(rig.ask({.op = AdminOp::UntagStream, .name = "quotes", .tags = {{"team", ""}}}).code, Errc::kOk);
    EXPECT_EQ(rig.dataplane.done_count[CommandOp::SetStream], 0U);
    rig.kill();
    rig.start_and_agree();
    EXPECT_EQ(rig.describe("quotes").tags, (catalog::Tags{{"env", "prod"}}));
    EXPECT_EQ(rig.ask({.op = AdminOp::UntagStream, .name = "nobody", .tags = {{"team", ""}}}).code, Errc::kUnknownStream);
}

TEST(Controller, NotesLiveAndDieWithTheirStream) {
    ControlRig rig;
    rig.start_and_agree();
    const auto notes = [&](const char* stream, const char* beginning) {
        return rig.ask({.op = AdminOp::ListNotes, .name = stream, .note = client::Note{{}, beginning, {}, 0}}).notes;
    };
    ASSERT_EQ(rig.ask({.op = AdminOp::CreateStream, .name = "quotes", .shard_count = 1, .note = client::Note{{}, "app mode", "fast", 0}}).code, Errc::kOk);
    ASSERT_EQ(notes("quotes", "app ").size(), 1U);
    EXPECT_EQ(notes("quotes", "app ")[0].text, "fast");
    const auto put = rig.ask({.op = AdminOp::PutNote, .note = client::Note{{}, "app box", "whole", 0}});
    ASSERT_EQ(put.notes.size(), 1U);
    EXPECT_EQ(rig.dataplane.done_count[CommandOp::SetStream], 0U);
    rig.kill();
    rig.start_and_agree();
    // All, with their streams; those whose names begin so; none of others.
    auto all = notes("", "");
    ASSERT_EQ(all.size(), 2U);
    EXPECT_EQ(all[0].stream, "");
    EXPECT_EQ(all[1].stream, "quotes");
    EXPECT_TRUE(notes("", "other ").empty());

    // Whoever has not read the newest is told which it is.
    client::Note change{{}, "app box", "more", put.notes[0].revision};
    const auto changed = rig.ask({.op = AdminOp::PutNote, .note = change});
    ASSERT_EQ(changed.code, Errc::kOk);
    const auto late = rig.ask({.op = AdminOp::PutNote, .note = change});
    EXPECT_EQ(late.code, Errc::kNoteChanged);
    EXPECT_EQ(late.detail, changed.notes[0].revision);
    change.revision = late.detail;
    EXPECT_EQ(rig.ask({.op = AdminOp::DeleteNote, .note = change}).code, Errc::kOk);
    EXPECT_EQ(notes("", "").size(), 1U);

    EXPECT_EQ(rig.ask({.op = AdminOp::PutNote, .name = "nobody", .note = change}).code, Errc::kUnknownStream);
    EXPECT_EQ(rig.ask({.op = AdminOp::PutNote, .note = client::Note{{}, "", "x", 0}}).code, Errc::kBadArgument);
    EXPECT_EQ(rig.ask({.op = AdminOp::PutNote, .note = client::Note{{}, std::string(kNoteNameBytesMax + 1, 'n'), "x", 0}}).code, Errc::kBadArgument);
    EXPECT_EQ(rig.ask({.op = AdminOp::PutNote, .note = client::Note{{}, "n", std::string(kNoteTextBytesMax + 1, 'x'), 0}}).code, Errc::kBadArgument);
    // A stream of the same name begins without.
    ASSERT_EQ(rig.remove("quotes").code, Errc::kOk);
    EXPECT_TRUE(notes("", "").empty());
    ASSERT_EQ(rig.create("quotes", 1).code, Errc::kOk);
    EXPECT_TRUE(notes("quotes", "").empty());
}

TEST(Controller, AsksAgainWhenOnlyTheConnectionBroke) {
    for (const Crash& crash : crashes_at(CommandOp::OpenStream)) {
        if (crash.silent) continue;
        SCOPED_TRACE(crash.name);
        ControlRig rig;
        rig.start_and_agree();
        rig.dataplane.lose_command = crash.lose_command;
        rig.dataplane.lose_reply = crash.lose_reply;
        rig.dataplane.do_half = crash.do_half;
        const auto created = rig.create("quotes", 4);
        EXPECT_EQ(created.code, Errc::kOk) << created.message;
        rig.expect_agreement();
    }
}

// -------------------------------------------------------------------------------------------- a
// dataplane that is not there

TEST(Controller, CreatesNothingWhileTheDataplaneIsDown) {
    ControlRig rig;
    rig.dataplane.set_up(false);
    rig.start();
    const uint64_t asked_ns = rig.network.monotonic_ns();
    EXPECT_EQ(rig.create("quotes", 1).code, Errc::kUnavailable);
    EXPECT_LT(rig.network.monotonic_ns() - asked_ns, 6'000'000'000U);
    rig.dataplane.set_up(true);
    ASSERT_TRUE(rig.run_until([&] { return rig.controller->ready(); }));
    EXPECT_TRUE(rig.list().streams.empty());
    EXPECT_TRUE(rig.dataplane.streams.empty());
}

TEST(Controller, ReadsFromTheCatalogueWhileTheDataplaneIsDown) {
    ControlRig rig;
    rig.start();
    ASSERT_EQ(rig.create("quotes", 2).code, Errc::kOk);
    rig.dataplane.set_up(false);
    ASSERT_TRUE(rig.run_until([&] { return !rig.controller->ready(); }));
    const auto listed = rig.list();
    EXPECT_EQ(listed.streams.size(), 1U);
    EXPECT_FALSE(listed.message.empty());
    const auto described = rig.describe("quotes");
    ASSERT_EQ(described.code, Errc::kOk);
    ASSERT_EQ(described.streams[0].shards.size(), 2U);
    EXPECT_FALSE(described.streams[0].shards[0].available);
    rig.dataplane.set_up(true);
    ASSERT_TRUE(rig.run_until([&] { return rig.controller->ready(); }));
    EXPECT_TRUE(rig.describe("quotes").streams[0].shards[0].available);
}

TEST(Controller, UndoesACreateThatItAnsweredWithAnError) {
    ControlRig rig;
    rig.start_and_agree();
    rig.dataplane.silent = true;
    EXPECT_EQ(rig.create("quotes", 1).code, Errc::kUnavailable);
    rig.dataplane.silent = false;
    ASSERT_TRUE(rig.run_until(
        [&] { return rig.controller->ready() && rig.controller->table().streams().empty(); },
        60'000));
    EXPECT_TRUE(rig.dataplane.streams.empty());
}

TEST(Controller, UndoesACreateThatTheDataplaneRefuses) {
    ControlRig rig;
    rig.start_and_agree();
    rig.dataplane.refuse[CommandOp::OpenStream] = {Errc::kLimitExceeded};
    EXPECT_EQ(rig.create("quotes", 1).code, Errc::kLimitExceeded);
    ASSERT_TRUE(rig.run_until([&] { return rig.controller->table().streams().empty(); }));
    EXPECT_EQ(rig.create("quotes", 1).code, Errc::kOk);
    rig.expect_agreement();
}

TEST(Controller, TriesAgainWhatMayWorkLater) {
    ControlRig rig;
    rig.start_and_agree();
    rig.dataplane.refuse[CommandOp::OpenStream] = {Errc::kBusy, Errc::kDiskFull,
                                                   Errc::kUnavailable};
    EXPECT_EQ(rig.create("quotes", 1).code, Errc::kOk);
    EXPECT_EQ(rig.dataplane.done_count[CommandOp::OpenStream], 1U);
    rig.expect_agreement();
}

// ------------------------------------------------------------------------------------------------------
// facts win

TEST(Controller, RebuildsALostCatalogue) {
    ControlRig rig;
    rig.start();
    rig.create("a", 3);
    rig.create("b", 2);
    rig.remove("a");
    rig.kill();
    std::filesystem::remove(rig.catalog_path());
    rig.start_and_agree();
    rig.expect_agreement();
    ASSERT_EQ(rig.create("c", 2).code, Errc::kOk);
    rig.expect_agreement();
}

TEST(Controller, AgreesAfterAnOldCatalogueWasRestored) {
    ControlRig rig;
    rig.start();
    rig.create("kept", 1);
    rig.create("recreated", 2);
    rig.create("deleted", 2);
    rig.kill();
    const std::string copy = rig.catalog_path() + ".copy";
    std::filesystem::copy_file(rig.catalog_path(), copy);
    rig.start_and_agree();
    rig.remove("deleted");
    rig.remove("recreated");
    rig.create("recreated", 3);
    rig.create("new", 2);
    rig.ask({AdminOp::SetRetention, "kept", 0, 5'000, 0});
    rig.kill();
    std::filesystem::rename(copy, rig.catalog_path());
    rig.start_and_agree();
    rig.expect_agreement();
    EXPECT_EQ(rig.controller->table().find("deleted"), nullptr);
    EXPECT_EQ(rig.controller->table().find("recreated")->shards.size(), 3U);
    EXPECT_EQ(rig.controller->table().find("kept")->row.retention_ms, 5'000U);
    EXPECT_EQ(rig.create("another", 4).code, Errc::kOk);
    rig.expect_agreement();
}

TEST(Controller, EndsWhenAnotherControlHasTakenOver) {
    ControlRig rig;
    rig.start_and_agree();
    rig.dataplane.epoch += 10;
    rig.send({AdminOp::CreateStream, "quotes", 1, 0, 0});
    ASSERT_TRUE(rig.run_until([&] { return rig.controller->fatal().has_value(); }));
    EXPECT_EQ(rig.controller->fatal()->code, Errc::kStaleEpoch);
    EXPECT_TRUE(rig.dataplane.streams.empty());
}

TEST(Controller, TakesALaterEpochAtEachConnection) {
    ControlRig rig;
    rig.start_and_agree();
    const uint64_t first = rig.dataplane.epoch;
    rig.dataplane.set_up(false);
    ASSERT_TRUE(rig.run_until([&] { return !rig.controller->ready(); }));
    rig.dataplane.set_up(true);
    ASSERT_TRUE(rig.run_until([&] { return rig.controller->ready(); }));
    EXPECT_GT(rig.dataplane.epoch, first);
    EXPECT_EQ(rig.controller->table().meta().epoch.value, rig.dataplane.epoch);
}

TEST(Controller, KeepsShardsWhoseJournalIsMissing) {
    ControlRig rig;
    rig.start();
    rig.create("both", 2);
    rig.create("either", 1);
    rig.kill();
    rig.dataplane.journals_missing = {0};
    rig.start_and_agree();
    const auto described = rig.describe("both");
    ASSERT_EQ(described.streams.at(0).shards.size(), 2U);
    EXPECT_FALSE(described.streams[0].shards[0].available);
    EXPECT_TRUE(described.streams[0].shards[1].available);
    EXPECT_EQ(rig.list().streams.size(), 2U);
    rig.kill();
    rig.dataplane.journals_missing = {};
    rig.start_and_agree();
    rig.expect_agreement();
}

TEST(Controller, DeletesOnlyWhenEveryJournalIsThere) {
    ControlRig rig;
    rig.start();
    rig.create("both", 2);
    rig.kill();
    rig.dataplane.journals_missing = {0};
    rig.start_and_agree();
    EXPECT_EQ(rig.remove("both").code, Errc::kUnavailable);
    EXPECT_EQ(rig.dataplane.streams.size(), 1U) << "half of it would come back with the journal";
    EXPECT_TRUE(rig.list().streams.empty()) << "and yet it is meant to go";
    rig.kill();
    rig.dataplane.journals_missing = {};
    rig.start_and_agree();
    ASSERT_TRUE(rig.run_until([&] { return rig.dataplane.streams.empty(); }));
    EXPECT_EQ(rig.create("both", 2).code, Errc::kOk);
    rig.expect_agreement();
}

TEST(Controller, OpensStreamsInTheOrderOfTheirIds) {
    ControlRig rig;
    rig.start_and_agree();
    rig.dataplane.refuse[CommandOp::OpenStream] = {Errc::kBusy};
    rig.send({AdminOp::CreateStream, "first", 1, 0, 0});
    rig.send({AdminOp::CreateStream, "second", 1, 0, 0});
    EXPECT_EQ(rig.answer().code, Errc::kOk);
    EXPECT_EQ(rig.answer().code, Errc::kOk);
    EXPECT_EQ(rig.dataplane.shards_ever_opened, (std::vector<uint64_t>{1, 2}));
    rig.expect_agreement();
}

TEST(Controller, DropsWhatCompleteJournalsDoNotKnow) {
    ControlRig rig;
    rig.start();
    rig.create("quotes", 2);
    rig.create("trades", 2);
    rig.kill();
    rig.dataplane.streams.erase(1);
    rig.start_and_agree();
    rig.expect_agreement();
    EXPECT_EQ(rig.controller->table().find("quotes"), nullptr);
}

TEST(Controller, CompletesAStreamWhoseIntentionWasLostHalfWay) {
    ControlRig rig;
    rig.start_and_agree();
    rig.dataplane.do_half = CommandOp::OpenStream;
    rig.send({AdminOp::CreateStream, "quotes", 4, 0, 0});
    ASSERT_TRUE(rig.run_until([&] { return !rig.dataplane.do_half; }));
    rig.kill();
    std::filesystem::remove(rig.catalog_path());
    rig.start_and_agree();
    ASSERT_TRUE(rig.run_until([&] {
        return rig.controller->table().find("quotes")->row.state == catalog::StreamState::kActive;
    }));
    rig.expect_agreement();
    EXPECT_EQ(rig.controller->table().find("quotes")->shards.size(), 4U);
}

TEST(Controller, TellsTheLastOfTwoChanges) {
    ControlRig rig;
    rig.start();
    rig.create("quotes", 1);
    rig.send({AdminOp::SetRetention, "quotes", 0, 1'000, 0});
    rig.send({AdminOp::SetRetention, "quotes", 0, 2'000, 0});
    EXPECT_EQ(rig.answer().code, Errc::kOk);
    EXPECT_EQ(rig.answer().code, Errc::kOk);
    EXPECT_EQ(rig.dataplane.streams[1].retention_ms, 2'000U);
    rig.expect_agreement();
}

}  // namespace
}  // namespace eagre::control
