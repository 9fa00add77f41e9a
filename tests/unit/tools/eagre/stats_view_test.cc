// Statistics files as eagred lays them out, and files that are not: missing, cut, of another
// version, lying about sizes.
#include "tools/eagre/stats_view.h"

#include <cstring>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <unistd.h>

namespace eagre::cli {
namespace {

class StatsViewTest : public testing::Test {
  protected:
    StatsViewTest() {
        std::string pattern =
            (std::filesystem::temp_directory_path() / "eagre-stats-XXXXXX").string();
        folder_ = mkdtemp(pattern.data());
        words_.resize(shm::stats_file_bytes(kCores, kShards) / 8);
        shm::StatsHeader header;
        header.core_count = kCores;
        header.shard_capacity = kShards;
        std::memcpy(words_.data(), &header, sizeof(header));
    }
    ~StatsViewTest() override { std::filesystem::remove_all(folder_); }

    std::string write(size_t bytes) {
        const std::string path = folder_ + "/stats.shm";
        std::ofstream(path, std::ios::binary)
            .write(reinterpret_cast<const char*>(words_.data()),
                   static_cast<std::streamsize>(bytes));
        return path;
    }
    std::string write_all() { return write(words_.size() * 8); }

    static constexpr uint32_t kCores = 2;
    static constexpr uint32_t kShards = 3;
    std::string folder_;
    std::vector<uint64_t> words_;
};

TEST_F(StatsViewTest, ReadsCoresAndUsedShards) {
    shm::core_stats(words_.data(), 0)->records_appended = 5;
    shm::core_stats(words_.data(), 1)->records_appended = 7;
    shm::shard_stats(words_.data(), 1, 2)->shard = 9;
    shm::shard_stats(words_.data(), 1, 2)->records_in = 7;
    const StatsSnapshot snapshot = StatsSnapshot::read(write_all());
    EXPECT_EQ(snapshot.total(&shm::CoreStats::records_appended), 12U);
    EXPECT_EQ(snapshot.core(1).records_appended, 7U);
    const auto shards = snapshot.shards();
    ASSERT_EQ(shards.size(), 1U);
    EXPECT_EQ(shards[0]->shard, 9U);
    EXPECT_EQ(shards[0]->records_in, 7U);
}

TEST_F(StatsViewTest, RefusesWhatIsNotStatistics) {
    EXPECT_THROW(StatsSnapshot::read(folder_ + "/nothing"), std::runtime_error);
    EXPECT_THROW(StatsSnapshot::read(write(20)), std::runtime_error);
    EXPECT_THROW(StatsSnapshot::read(write(words_.size() * 8 - 8)), std::runtime_error);
    words_[0] ^= 1;
    EXPECT_THROW(StatsSnapshot::read(write_all()), std::runtime_error);
    words_[0] ^= 1;
    reinterpret_cast<shm::StatsHeader*>(words_.data())->core_count = 1'000'000;
    EXPECT_THROW(StatsSnapshot::read(write_all()), std::runtime_error);
}

TEST_F(StatsViewTest, TellsWhoWritesThem) {
    EXPECT_EQ(stats_pid(folder_ + "/nothing"), 0U);
    EXPECT_EQ(stats_pid(write(20)), 0U);
    reinterpret_cast<shm::StatsHeader*>(words_.data())->pid = 4711;
    EXPECT_EQ(stats_pid(write_all()), 4711U);
}

TEST(HistogramBetween, IsWhatWasAdded) {
    Histogram before;
    before.record(100, 10);
    before.record(5'000, 1);
    Histogram after = before;
    after.record(100, 5);
    after.record(70'000, 2);
    const Histogram between = histogram_between(before, after);
    EXPECT_EQ(between.count(), 7U);
    EXPECT_EQ(between.percentile(50), Histogram::upper_of(Histogram::index_of(100)));
    EXPECT_GE(between.max(), 70'000U);
    EXPECT_EQ(histogram_between(after, Histogram{}).count(), 0U);
}

}  // namespace
}  // namespace eagre::cli
