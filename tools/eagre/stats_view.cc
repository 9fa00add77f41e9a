#include "tools/eagre/stats_view.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>
#include <stdexcept>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/eagre/progress.h"
#include "wire/base/assert.h"
#include "wire/base/limits.h"

namespace eagre::cli {

StatsSnapshot StatsSnapshot::read(const std::string& path) {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        throw std::runtime_error(
            fmt::format("{}: {}: has an eagred run with this --data?", path, std::strerror(errno)));
    }
    struct stat info {};
    const bool sized = fstat(fd, &info) == 0;
    const auto bytes = sized && info.st_size > 0 ? static_cast<size_t>(info.st_size) : size_t{0};
    void* mapped = bytes >= sizeof(shm::StatsHeader)
                       ? mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd, 0)
                       : MAP_FAILED;
    close(fd);
    if (mapped == MAP_FAILED)
        throw std::runtime_error(path + ": too short to be Eagre's statistics");
    StatsSnapshot snapshot;
    snapshot.words_.resize((bytes + 7) / 8);
    std::memcpy(snapshot.words_.data(), mapped, bytes);
    munmap(mapped, bytes);
    snapshot.taken_ns_ = monotonic_ns();
    const shm::StatsHeader& header = snapshot.header();
    if (header.magic != shm::kStatsMagic || header.version != shm::kStatsVersion) {
        throw std::runtime_error(
            path + ": another version's statistics: use the eagre that came with this eagred");
    }
    if (header.core_count > kCoreCountMax || header.shard_capacity > kBoxShardCountMax ||
        bytes < shm::stats_file_bytes(header.core_count, header.shard_capacity)) {
        throw std::runtime_error(path + ": shorter than its header says");
    }
    return snapshot;
}

const shm::StatsHeader& StatsSnapshot::header() const {
    return *reinterpret_cast<const shm::StatsHeader*>(words_.data());
}

const shm::CoreStats& StatsSnapshot::core(uint32_t index) const {
    EAGRE_ASSERT_LT(index, header().core_count);
    return *shm::core_stats(const_cast<uint64_t*>(words_.data()), index);
}

std::vector<const shm::ShardStats*> StatsSnapshot::shards() const {
    std::vector<const shm::ShardStats*> used;
    for (uint32_t core = 0; core < header().core_count; ++core) {
        for (uint32_t slot = 0; slot < header().shard_capacity; ++slot) {
            const shm::ShardStats* shard =
                shm::shard_stats(const_cast<uint64_t*>(words_.data()), core, slot);
            if (shard->shard != 0) used.push_back(shard);
        }
    }
    return used;
}

uint64_t StatsSnapshot::total(uint64_t shm::CoreStats::*counter) const {
    uint64_t sum = 0;
    for (uint32_t index = 0; index < header().core_count; ++index) sum += core(index).*counter;
    return sum;
}

Histogram StatsSnapshot::merged(Histogram shm::CoreStats::*histogram) const {
    Histogram all;
    for (uint32_t index = 0; index < header().core_count; ++index)
        all.merge(core(index).*histogram);
    return all;
}

uint32_t stats_pid(const std::string& path) {
    shm::StatsHeader header;
    std::ifstream file(path, std::ios::binary);
    if (!file.read(reinterpret_cast<char*>(&header), sizeof(header))) return 0;
    return header.magic == shm::kStatsMagic && header.version == shm::kStatsVersion ? header.pid
                                                                                    : 0;
}

Histogram histogram_between(const Histogram& before, const Histogram& after) {
    std::map<uint64_t, uint64_t> counts;
    after.for_each([&](uint64_t upper, uint64_t count) { counts[upper] += count; });
    before.for_each([&](uint64_t upper, uint64_t count) {
        uint64_t& now = counts[upper];
        // eagred may have been started anew in between: then its counts begin at 0 again.
        now -= std::min(now, count);
    });
    Histogram between;
    for (const auto& [upper, count] : counts) {
        if (count != 0) between.record(upper, count);
    }
    return between;
}

}  // namespace eagre::cli
