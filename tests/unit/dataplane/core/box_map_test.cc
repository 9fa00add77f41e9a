// The map of an earlier start: read as it was written, refused when it is rotten or another's, and believed only for journals
// that are missing.
#include "dataplane/box_map.h"

#include <gtest/gtest.h>

#include "tests/unit/dataplane/core/core_rig.h"

namespace eagre {
namespace {

using test::CoreRig;
using test::FrameClient;

TEST(BoxMapFile, IsReadAsItWasWritten) {
    CoreRig rig(2);
    FrameClient& control = rig.connect_control();
    ASSERT_EQ(rig.open_stream(control, 3), Errc::kOk);
    shard::Directory directory;
    for (const auto& stream : rig.cores[0]->recovered_streams()) directory.put(std::make_shared<shard::StreamEntry>(stream));
    const auto bytes = encode_box_map(rig.box, directory, {{}, 7, 9, 11});
    const auto map = decode_box_map(bytes, rig.box.box_id_high, rig.box.box_id_low);
    ASSERT_TRUE(map.has_value());
    EXPECT_EQ(map->stream_id_max, 7U);
    EXPECT_EQ(map->shard_id_max, 9U);
    EXPECT_EQ(map->epoch, 11U);
    ASSERT_EQ(map->streams.size(), 1U);
    EXPECT_EQ(map->streams[0].shards.size(), 2U) << "those of core 0";
    EXPECT_EQ(decode_box_map(bytes, rig.box.box_id_high, rig.box.box_id_low + 1).error().code, Errc::kForeignBox);
    for (size_t at = 0; at < bytes.size(); at += 5) {
        auto rotten = bytes;
        rotten[at] ^= std::byte{0x40};
        EXPECT_FALSE(decode_box_map(rotten, rig.box.box_id_high, rig.box.box_id_low).has_value()) << at;
    }
    for (size_t length = 0; length < bytes.size(); length += 9) {
        EXPECT_FALSE(decode_box_map(std::span(bytes).first(length), rig.box.box_id_high, rig.box.box_id_low).has_value()) << length;
    }
}

TEST(BoxMapOfMissing, AddsWhatIsMissingAndClosesParents) {
    Box box;
    box.core_count = 2;
    box.journal_count = 2;
    box.journal_available = {true, false};
    ASSERT_TRUE(box.prepare().has_value());
    const auto shard = [](uint64_t id, uint32_t journal, uint64_t parent = 0) {
        shard::ShardEntry entry;
        entry.id = ShardId{id};
        entry.journal = JournalId{journal};
        entry.parent = ShardId{parent};
        return entry;
    };
    BoxMap map;
    map.shard_id_max = 9;
    auto& known = map.streams.emplace_back();
    known.id = StreamId{1};
    known.map_version = 3;
    known.shards = {shard(1, 0), shard(2, 1), shard(3, 1)};
    auto& deleted = map.streams.emplace_back();
    deleted.id = StreamId{2};
    deleted.shards = {shard(4, 0)};
    Recovered recovered;
    auto& found = recovered.streams.emplace_back();
    found.id = StreamId{1};
    found.map_version = 2;
    found.shards = {shard(1, 0), shard(5, 0, 2)};
    add_missing_shards(recovered, map, box);
    ASSERT_EQ(recovered.streams.size(), 1U) << "what lies in a journal that is there is for that journal to say";
    EXPECT_EQ(recovered.shard_id_max, 9U);
    EXPECT_EQ(recovered.streams[0].map_version, 3U);
    const auto& shards = recovered.streams[0].shards;
    ASSERT_EQ(shards.size(), 4U);
    EXPECT_TRUE(shards[0].available);
    EXPECT_EQ(shards[2].id.value, 2U);
    EXPECT_FALSE(shards[2].available);
    EXPECT_FALSE(shards[2].open) << "it has a child: it was moved after the map was written";
    EXPECT_EQ(shards[2].core.value, 1U);
    EXPECT_FALSE(shards[3].available);
    EXPECT_TRUE(shards[3].open);
}

}  // namespace
}  // namespace eagre
