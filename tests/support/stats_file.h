#pragma once
// A statistics file as eagred lays it out, in a folder of its own, to be filled by a test: cores,
// shards, whatever lies.

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include <unistd.h>

#include "wire/shm/stats.h"

namespace eagre::tests {

class StatsFile {
  public:
    explicit StatsFile(uint32_t core_count = 2, uint32_t shard_capacity = 3) {
        std::string pattern =
            (std::filesystem::temp_directory_path() / "eagre-stats-XXXXXX").string();
        folder_ = ::mkdtemp(pattern.data());
        words_.resize(shm::stats_file_bytes(core_count, shard_capacity) / 8);
        shm::StatsHeader header;
        header.core_count = core_count;
        header.shard_capacity = shard_capacity;
        header.pid = 4711;
        header.incarnation = 1;
        std::memcpy(words_.data(), &header, sizeof(header));
        for (uint32_t index = 0; index < core_count; ++index) {
            shm::CoreStats stats;
            stats.core = index;
            std::memcpy(static_cast<void*>(&core(index)), &stats, sizeof(stats));
        }
    }
    ~StatsFile() { std::filesystem::remove_all(folder_); }
    StatsFile(const StatsFile&) = delete;
    StatsFile& operator=(const StatsFile&) = delete;

    shm::StatsHeader& header() { return *reinterpret_cast<shm::StatsHeader*>(words_.data()); }
    shm::CoreStats& core(uint32_t index) { return *shm::core_stats(words_.data(), index); }
    shm::ShardStats& slot(uint32_t core, uint32_t slot) {
        return *shm::shard_stats(words_.data(), core, slot);
    }
    /// Takes a slot for an open shard of a stream.
    shm::ShardStats& shard(uint32_t core, uint32_t slot, uint64_t id, std::string_view stream) {
        shm::ShardStats& stats = this->slot(core, slot);
        stats.shard = id;
        stats.open = 1;
        std::memcpy(stats.stream_name, stream.data(), stream.size());
        return stats;
    }

    const std::string& folder() const { return folder_; }
    std::string path() const { return folder_ + "/stats.shm"; }
    size_t bytes() const { return words_.size() * 8; }
    /// Writes the first `bytes`; returns path(). As eagred does, a new file each time.
    std::string write(size_t bytes) {
        std::filesystem::remove(path());
        std::ofstream(path(), std::ios::binary)
            .write(reinterpret_cast<const char*>(words_.data()),
                   static_cast<std::streamsize>(bytes));
        return path();
    }
    std::string write() { return write(bytes()); }

  private:
    std::string folder_;
    std::vector<uint64_t> words_;
};

}  // namespace eagre::tests
