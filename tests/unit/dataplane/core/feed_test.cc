// Feeds through a whole box on the simulator: what senders who know nothing of Eagre send is stored once and in order or told as missing, whatever
// the network loses and whenever the box is killed.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/unit/dataplane/core/core_rig.h"
#include "wire/base/prng.h"
#include "wire/client/client.h"
#include "wire/feeds/moldudp64.h"
#include "wire/shards/shard_info.h"

namespace eagre::test {
namespace {

constexpr uint16_t kPortA = 7000;
constexpr uint16_t kPortB = 7001;
constexpr uint32_t kShards = 4;

feeds::FeedSpec spec_of(feeds::Framing framing, const char* key, size_t lines = 1) {
    feeds::FeedSpec spec;
    spec.id = 3;
    spec.name = "feed";
    spec.stream = StreamId{1};
    spec.stream_name = "ticks";
    spec.framing = framing;
    spec.key = key;
    spec.window_ms = 5;
    for (size_t i = 0; i < lines; ++i) spec.lines.push_back({"127.0.0.1", static_cast<uint16_t>(kPortA + i), "", ""});
    return spec;
}

struct Stored {
    ShardId shard;
    std::string key;
    std::string data;
    uint64_t time_ns = 0;
    uint64_t sequence = 0;
    bool gap = false;
};

/// Everything that the stream's shards hold, in their order.
std::vector<Stored> read_all(CoreRig& rig) {
    std::vector<Stored> found;
    for (const auto& core : rig.cores) {
        const shard::StreamEntry* stream = core->stream(StreamId{1});
        for (const shard::ShardEntry& entry : stream->shards) {
            shard::Shard* shard = core->shard(entry.id);
            if (shard == nullptr) continue;
            auto reader = shard->journal->open_reader(entry.id, shard->trim_horizon());
            EXPECT_TRUE(reader.has_value());
            for (int i = 0; i < 100'000; ++i) {
                journal::RunView view;
                const auto step = (*reader)->peek(view);
                EXPECT_TRUE(step.has_value());
                if (!step || *step == journal::ShardReader::Step::kTail) break;
                if (*step == journal::ShardReader::Step::kPending) {
                    rig.turn(1);
                    continue;
                }
                const auto batch = frame::BatchView::verify(view.payload, view.header.record_count);
                EXPECT_TRUE(batch.has_value());
                for (uint32_t r = 0; batch && r < batch->record_count(); ++r) {
                    const auto record = batch->record(r);
                    found.push_back({entry.id, std::string(record.partition_key), std::string(reinterpret_cast<const char*>(record.data.data()), record.data.size()),
                                     record.source_time_ns, record.source_sequence, record.gap});
                }
                (*reader)->advance();
            }
        }
    }
    return found;
}

void send(CoreRig& rig, uint16_t port, std::span<const std::byte> bytes, uint8_t host = 9) {
    rig.world.network().send_datagram(io::sim::SimNetwork::address_of_host(host, 999), io::sim::SimNetwork::address_of_host(1, port), bytes);
}
void send(CoreRig& rig, uint16_t port, std::string_view text, uint8_t host = 9) { send(rig, port, std::as_bytes(std::span(text)), host); }

/// Takes up box, stream and feed.
struct Started {
    explicit Started(CoreRig& rig, const feeds::FeedSpec& spec, uint32_t shards = kShards) {
        FrameClient& control = rig.connect_control();
        EXPECT_EQ(rig.open_stream(control, shards), Errc::kOk);
        EXPECT_EQ(rig.put_feeds(control, {1, {spec}}), Errc::kOk);
        rig.turn(3);
    }
};

const shm::FeedStats& stats_of(CoreRig& rig) {
    for (const auto& core : rig.cores) {
        for (const shm::FeedStats& slot : core->stats().feeds) {
            if (slot.id != 0) return slot;
        }
    }
    static const shm::FeedStats none;
    return none;
}

TEST(Feed, ADatagramIsARecordWithItsTimeAndSource) {
    CoreRig rig(1);
    Started started(rig, spec_of(feeds::Framing::kRaw, "source"));
    const uint64_t before_ns = rig.node->io(0).clock.wall_ns();
    send(rig, kPortA, "one", 7);
    rig.turn(50);
    send(rig, kPortA, "", 7);
    send(rig, kPortA, "three", 8);
    rig.turn(100);
    const auto stored = read_all(rig);
    std::map<std::string, std::vector<std::string>> by_key;
    for (const Stored& each : stored) {
        by_key[each.key].push_back(each.data);
        EXPECT_GE(each.time_ns, before_ns);
        EXPECT_LE(each.time_ns, rig.node->io(0).clock.wall_ns());
        EXPECT_EQ(each.sequence, 0U);
    }
    EXPECT_EQ(by_key, (std::map<std::string, std::vector<std::string>>{{"10.0.0.7", {"one", ""}}, {"10.0.0.8", {"three"}}}));
    EXPECT_EQ(stats_of(rig).records_durable, 3U);
    EXPECT_EQ(stats_of(rig).durable_ns.count(), 3U);
    EXPECT_EQ(stats_of(rig).state, static_cast<uint64_t>(shm::FeedState::kListening));
}

TEST(Feed, LinesAreRecordsAndTheRuleFindsTheirKey) {
    CoreRig rig(1);
    Started started(rig, spec_of(feeds::Framing::kLines, "until:,"));
    send(rig, kPortA, "cpu,host=a 1\r\nmem,host=a 2\n\nno key\ndisk,\xff\xfe without an end");
    rig.turn(100);
    std::map<std::string, std::string> by_key;
    for (const Stored& each : read_all(rig)) by_key[each.key] = each.data;
    EXPECT_EQ(by_key, (std::map<std::string, std::string>{
                          {"cpu", "cpu,host=a 1"}, {"mem", "mem,host=a 2"}, {"feed", "no key"}, {"disk", "disk,\xff\xfe without an end"}}));
    EXPECT_EQ(stats_of(rig).keyless, 1U);
}

TEST(Feed, OnlyItsSourceIsListenedTo) {
    CoreRig rig(1);
    auto spec = spec_of(feeds::Framing::kRaw, "constant:k");
    spec.lines[0].source = "10.0.0.7";
    Started started(rig, spec);
    send(rig, kPortA, "mine", 7);
    send(rig, kPortA, "a stranger's", 8);
    rig.turn(100);
    ASSERT_EQ(read_all(rig).size(), 1U);
    EXPECT_EQ(stats_of(rig).lines[0].refused, 1U);
}

TEST(Feed, PausedAndRemovedFeedsTakeNothing) {
    CoreRig rig(1);
    FrameClient& control = rig.connect_control();
    ASSERT_EQ(rig.open_stream(control, kShards), Errc::kOk);
    auto spec = spec_of(feeds::Framing::kRaw, "round-robin");
    ASSERT_EQ(rig.put_feeds(control, {1, {spec}}), Errc::kOk);
    rig.turn(3);
    for (int i = 0; i < 8; ++i) send(rig, kPortA, "x");
    rig.turn(50);
    std::set<uint64_t> used;
    for (const Stored& each : read_all(rig)) used.insert(each.shard.value);
    EXPECT_EQ(used.size(), kShards) << "each to the next shard";
    spec.paused = true;
    ASSERT_EQ(rig.put_feeds(control, {2, {spec}}), Errc::kOk);
    send(rig, kPortA, "x");
    rig.turn(50);
    EXPECT_EQ(read_all(rig).size(), 8U);
    EXPECT_EQ(stats_of(rig).state, static_cast<uint64_t>(shm::FeedState::kPaused));
    EXPECT_EQ(rig.put_feeds(control, {1, {}}), Errc::kStaleFeeds);
    ASSERT_EQ(rig.put_feeds(control, {3, {}}), Errc::kOk);
    rig.turn(3);
    EXPECT_EQ(stats_of(rig).id, 0U);
    auto bad = spec;
    bad.key = "no such rule";
    EXPECT_EQ(rig.put_feeds(control, {4, {bad}}), Errc::kBadArgument);
}

TEST(Feed, WithoutItsStreamItWaitsForOne) {
    CoreRig rig(1);
    FrameClient& control = rig.connect_control();
    ASSERT_EQ(rig.put_feeds(control, {1, {spec_of(feeds::Framing::kRaw, "source")}}), Errc::kOk);
    rig.turn(3);
    EXPECT_EQ(stats_of(rig).state, static_cast<uint64_t>(shm::FeedState::kNoStream));
    ASSERT_EQ(rig.open_stream(control, kShards), Errc::kOk);
    rig.turn(3);
    send(rig, kPortA, "x");
    rig.turn(50);
    EXPECT_EQ(read_all(rig).size(), 1U);
    ASSERT_EQ(rig.simple(control, wire::CommandOp::DeleteStream, 1, 1), Errc::kOk);
    rig.turn(3);
    EXPECT_EQ(stats_of(rig).state, static_cast<uint64_t>(shm::FeedState::kNoStream));
}

TEST(Feed, NobodyPlaysAFeed) {
    CoreRig rig(1);
    FrameClient& control = rig.connect_control();
    ASSERT_EQ(rig.open_stream(control, 1), Errc::kOk);
    FrameClient& client = rig.connect(0);
    const uint64_t marked = client.append(ShardId{1}, "k", feed::producer_of({3, 4}, false).value);
    frame::BatchBuilder builder;
    frame::RecordView gap{"k", std::as_bytes(std::span("data", 4))};
    gap.gap = true;
    ASSERT_TRUE(builder.add(gap));
    frame::FrameHeader header;
    header.kind = frame::FrameKind::kAppend;
    header.shard = 1;
    header.sequence = 1;
    header.record_count = 1;
    const uint64_t lie = client.push(header, builder.finish());
    rig.turn(50);
    EXPECT_EQ(client.code(marked), Errc::kBadArgument);
    EXPECT_EQ(client.code(lie), Errc::kBadSchema);
}

// -- Lines A and B of a source that goes on whatever becomes of the box.
class MoldSender {
  public:
    MoldSender(uint64_t seed, uint32_t drop_per_million) : prng_(seed), drop_(drop_per_million) {}
    /// `rig` null: nobody listens.
    void send_some(CoreRig* rig) {
        const auto count = static_cast<uint16_t>(1 + prng_.below(5));
        feeds::MoldWriter writer("SESSION", 1400);
        for (uint16_t i = 0; i < count; ++i) {
            const std::string text = key_of(next + i) + "," + std::to_string(next + i);
            ASSERT_TRUE(writer.add(std::as_bytes(std::span(text))));
        }
        const auto bytes = writer.finish(next);
        for (const uint16_t port : {kPortA, kPortB}) {
            if (rig != nullptr && !prng_.chance(drop_)) send(*rig, port, bytes);
        }
        next += count;
    }
    void heartbeat(CoreRig& rig) {
        feeds::MoldWriter writer("SESSION", 1400);
        for (const uint16_t port : {kPortA, kPortB}) send(rig, port, writer.finish_empty(next, false));
    }
    static std::string key_of(uint64_t sequence) { return "key-" + std::to_string(sequence * 7919 % 40); }
    uint64_t next = 1;

  private:
    Prng prng_;
    uint32_t drop_;
};

uint64_t number_after(const std::string& text, const std::string& name) {
    const size_t at = text.find("\"" + name + "\":");
    EXPECT_NE(at, std::string::npos) << text;
    return std::stoull(text.substr(at + name.size() + 3));
}

/// Every message from the first one stored on once, in its shard's order, or within a gap of its shard; no gap over what its shard has. Returns
/// the first: a feed begins with the datagram that arrives first.
uint64_t expect_whole(const std::vector<Stored>& stored, uint64_t next, const std::string& what, bool expect_gaps) {
    std::map<uint64_t, uint64_t> shard_of;      // By sequence.
    std::map<std::string, uint64_t> shard_by_key;
    std::map<uint64_t, uint64_t> last;          // By shard.
    std::vector<Stored> gaps;
    for (const Stored& each : stored) {
        if (each.gap) {
            gaps.push_back(each);
            continue;
        }
        EXPECT_TRUE(shard_of.emplace(each.sequence, each.shard.value).second) << what << ": twice: " << each.sequence;
        EXPECT_EQ(each.data, MoldSender::key_of(each.sequence) + "," + std::to_string(each.sequence)) << what;
        EXPECT_GT(each.sequence, last[each.shard.value]) << what << ": order in shard " << each.shard.value;
        last[each.shard.value] = each.sequence;
        const auto [at, fresh] = shard_by_key.emplace(each.key, each.shard.value);
        EXPECT_EQ(at->second, each.shard.value) << what << ": " << each.key;
    }
    std::map<uint64_t, std::set<uint64_t>> missing;  // By shard.
    for (const Stored& gap : gaps) {
        const uint64_t begin = number_after(gap.data, "first");
        const uint64_t count = number_after(gap.data, "count");
        for (uint64_t i = begin; i < begin + count; ++i) {
            missing[gap.shard.value].insert(i);
            const auto there = shard_of.find(i);
            EXPECT_FALSE(there != shard_of.end() && there->second == gap.shard.value) << what << ": " << i << " is stored, and told as missing";
        }
    }
    EXPECT_EQ(!gaps.empty(), expect_gaps) << what;
    EXPECT_FALSE(shard_of.empty()) << what;
    const uint64_t first = shard_of.empty() ? 1 : shard_of.begin()->first;
    EXPECT_LT(first, 20U) << what;
    for (uint64_t i = first; i < next; ++i) {
        if (shard_of.count(i) != 0) continue;
        const auto shard = shard_by_key.find(MoldSender::key_of(i));
        if (shard == shard_by_key.end()) continue;
        EXPECT_EQ(missing[shard->second].count(i), 1U) << what << ": " << i << " is neither stored nor told as missing";
    }
    return first;
}

TEST(Feed, TwoLinesBecomeOneStream) {
    for (const uint32_t cores : {1U, 2U}) {
        CoreRig rig(cores);
        Started started(rig, spec_of(feeds::Framing::kMoldUdp64, "until:,", 2));
        MoldSender sender(5, 100'000);
        for (int i = 0; i < 600; ++i) {
            sender.send_some(&rig);
            rig.turn(1);
        }
        for (int i = 0; i < 5; ++i) {
            sender.heartbeat(rig);
            rig.turn(400);
        }
        const uint64_t first = expect_whole(read_all(rig), sender.next, "cores " + std::to_string(cores), true);
        const shm::FeedStats& stats = stats_of(rig);
        EXPECT_EQ(stats.next_sequence, sender.next);
        EXPECT_EQ(stats.durable_sequence, sender.next);
        EXPECT_EQ(stats.records_durable, stats.records);
        EXPECT_EQ(stats.records + stats.gap_messages, sender.next - first);
        EXPECT_GT(stats.lines[0].repeated, 0U);
    }
}

TEST(Feed, AcrossKillsEveryMessageIsStoredOnceOrToldAsMissing) {
    for (uint64_t seed = 1; seed <= 12; ++seed) {
        const uint32_t cores = seed % 2 == 0 ? 2 : 1;
        io::sim::SimDisk disk;
        MoldSender sender(seed, 20'000);
        Prng prng(seed);
        bool first = true;
        for (int life = 0; life < 5; ++life) {
            CoreRig rig(cores, seed * 100 + static_cast<uint64_t>(life), {}, {}, &disk);
            if (first) Started started(rig, spec_of(feeds::Framing::kMoldUdp64, "until:,", 2));
            first = false;
            const uint64_t rounds = 20 + prng.below(400);
            for (uint64_t i = 0; i < rounds; ++i) {
                sender.send_some(&rig);
                rig.turn(1);
            }
            if (life == 4) {
                for (int i = 0; i < 5; ++i) {
                    sender.heartbeat(rig);
                    rig.turn(400);
                }
                expect_whole(read_all(rig), sender.next, "seed " + std::to_string(seed), true);
                EXPECT_EQ(stats_of(rig).durable_sequence, sender.next);
            }
            rig.stop(life < 4 && prng.chance(800'000));
            for (uint64_t i = prng.below(4); i > 0; --i) sender.send_some(nullptr);
        }
    }
}

Errc reshard(CoreRig& rig, FrameClient& control, uint64_t parent, uint64_t first_child, const HashKeyRange& range) {
    shards::StreamDescription description;
    description.id = StreamId{1};
    description.name = "ticks";
    const HashKey middle{range.starting.high + (range.ending.high - range.starting.high) / 2, 0};
    for (const HashKeyRange& half : {HashKeyRange{range.starting, {middle.high - 1, UINT64_MAX}}, HashKeyRange{middle, range.ending}}) {
        shards::ShardDescription shard;
        shard.id = ShardId{first_child + description.shards.size()};
        shard.range = half;
        shard.parent = ShardId{parent};
        shard.journal = JournalId{static_cast<uint32_t>(description.shards.size() % rig.box.journal_count)};
        description.shards.push_back(shard);
    }
    flatbuffers::FlatBufferBuilder builder;
    const auto info = shards::encode_stream(builder, description, 0);
    builder.Finish(wire::CreateCommand(builder, ++rig.command_id, 1, wire::CommandOp::Reshard, info));
    return rig.command(control, builder);
}

// The map changes under load, the box is killed, and goes on under the new map: by key every message once and in order.
TEST(Feed, SplitsAndKillsLoseAndDoubleNothing) {
    for (uint64_t seed = 1; seed <= 6; ++seed) {
        const uint32_t cores = seed % 2 == 0 ? 2 : 1;
        io::sim::SimDisk disk;
        MoldSender sender(seed, 0);
        Prng prng(seed);
        for (int life = 0; life < 2; ++life) {
            CoreRig rig(cores, seed * 100 + static_cast<uint64_t>(life), {}, {}, &disk);
            FrameClient& control = rig.connect_control();
            const auto flow = [&](int rounds) {
                for (int i = 0; i < rounds; ++i) {
                    sender.send_some(&rig);
                    rig.turn(1);
                }
            };
            if (life == 0) {
                ASSERT_EQ(rig.open_stream(control, 1), Errc::kOk);
                ASSERT_EQ(rig.put_feeds(control, {1, {spec_of(feeds::Framing::kMoldUdp64, "until:,", 2)}}), Errc::kOk);
                rig.turn(3);
                flow(50);
                // While the command is under way the source goes on.
                for (int i = 0; i < 60; ++i) sender.send_some(&rig);
                ASSERT_EQ(reshard(rig, control, 1, 2, {{0, 0}, kHashKeyMax}), Errc::kOk);
                flow(static_cast<int>(prng.below(60)));
                for (int i = 0; i < 60; ++i) sender.send_some(&rig);
                ASSERT_EQ(reshard(rig, control, 3, 4, {{UINT64_MAX / 2, 0}, kHashKeyMax}), Errc::kOk);
                flow(static_cast<int>(prng.below(40)));
                rig.stop(true);
                continue;
            }
            flow(100);
            for (int i = 0; i < 5; ++i) {
                sender.heartbeat(rig);
                rig.turn(400);
            }
            const auto stored = read_all(rig);
            std::map<std::string, std::vector<uint64_t>> by_key;
            std::set<uint64_t> seen;
            std::set<uint64_t> missing;
            for (const Stored& each : stored) {
                if (each.gap) {
                    const uint64_t begin = number_after(each.data, "first");
                    for (uint64_t i = 0; i < number_after(each.data, "count"); ++i) missing.insert(begin + i);
                    continue;
                }
                EXPECT_TRUE(seen.insert(each.sequence).second) << "seed " << seed << ": twice: " << each.sequence;
                by_key[each.key].push_back(each.sequence);
            }
            for (uint64_t i = *seen.begin(); i < sender.next; ++i)
                EXPECT_EQ(seen.count(i) + missing.count(i) > 0, true) << "seed " << seed << ": " << i << " is neither stored nor told as missing";
            EXPECT_GT(seen.size(), 300U);
            for (auto& [key, sequences] : by_key) {
                // Shards are read by id: parents before children.
                EXPECT_TRUE(std::is_sorted(sequences.begin(), sequences.end()) || cores > 1) << "seed " << seed << " " << key;
            }
        }
    }
}

TEST(Feed, WhatADeadDiskHoldsUpIsLostInTheSocketAndToldAsMissing) {
    CoreRig rig(1);
    Started started(rig, spec_of(feeds::Framing::kMoldUdp64, "until:,", 2));
    MoldSender sender(5, 0);
    rig.world.faults().datagram_queue_max = 50;
    for (int i = 0; i < 20; ++i) {
        sender.send_some(&rig);
        rig.turn(1);
    }
    // The box stands still: what arrives meanwhile finds a full socket.
    for (int i = 0; i < 200; ++i) sender.send_some(&rig);
    rig.world.advance(1'000'000);
    for (int i = 0; i < 20; ++i) {
        rig.turn(1);
        sender.send_some(&rig);
    }
    for (int i = 0; i < 5; ++i) {
        sender.heartbeat(rig);
        rig.turn(400);
    }
    for (int i = 0; i < 10; ++i) rig.turn(1000);
    expect_whole(read_all(rig), sender.next, "a full socket", true);
    EXPECT_GT(stats_of(rig).lines[0].overflowed, 0U);
}

}  // namespace
}  // namespace eagre::test
