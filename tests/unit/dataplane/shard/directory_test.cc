// The directory: keys fall in exactly the open shard whose range holds them, also at both ends of a range.
#include "dataplane/shard/directory.h"

#include <gtest/gtest.h>

namespace eagre::shard {
namespace {

std::shared_ptr<StreamEntry> stream(uint64_t id, const char* name) {
    auto entry = std::make_shared<StreamEntry>();
    entry->id = StreamId{id};
    entry->name = name;
    const HashKey middle{1ULL << 63U, 0};
    const HashKey before_middle{(1ULL << 63U) - 1, UINT64_MAX};
    ShardEntry low;
    low.id = ShardId{id * 10 + 1};
    low.range = {{0, 0}, before_middle};
    ShardEntry high;
    high.id = ShardId{id * 10 + 2};
    high.range = {middle, kHashKeyMax};
    entry->shards = {high, low};
    entry->index();
    return entry;
}

TEST(Directory, RoutesByInclusiveRanges) {
    const auto entry = stream(1, "ticks");
    EXPECT_EQ(entry->route({0, 0})->id, ShardId{11});
    EXPECT_EQ(entry->route({(1ULL << 63U) - 1, UINT64_MAX})->id, ShardId{11});
    EXPECT_EQ(entry->route({1ULL << 63U, 0})->id, ShardId{12});
    EXPECT_EQ(entry->route(kHashKeyMax)->id, ShardId{12});
}

TEST(Directory, ClosedShardIsNotRoutedTo) {
    const auto entry = stream(1, "ticks");
    entry->shards[1].open = false;
    entry->index();
    EXPECT_EQ(entry->route(kHashKeyMax), nullptr);
    EXPECT_NE(entry->route({0, 0}), nullptr);
}

TEST(Directory, PutReplacesAndEraseForgetsShards) {
    Directory directory;
    directory.put(stream(1, "ticks"));
    directory.put(stream(2, "quotes"));
    EXPECT_EQ(directory.find("ticks")->id, StreamId{1});
    EXPECT_EQ(directory.find_shard(ShardId{22}).stream->name, "quotes");
    auto changed = stream(2, "quotes");
    changed->map_version = 5;
    directory.put(changed);
    EXPECT_EQ(directory.find_shard(ShardId{22}).stream->map_version, 5U);
    EXPECT_EQ(directory.shard_count(), 4U);
    directory.erase(StreamId{1});
    EXPECT_EQ(directory.find("ticks"), nullptr);
    EXPECT_EQ(directory.find_shard(ShardId{11}).shard, nullptr);
    EXPECT_EQ(directory.shard_count(), 2U);
}

}  // namespace
}  // namespace eagre::shard
