#include "wire/shm/stats_snapshot.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wire/base/assert.h"
#include "wire/base/limits.h"

namespace eagre::shm {
namespace {

/// The file in memory, read only, for as long as it is copied. eagred makes a new file at each start, so that what is mapped never shrinks.
class Mapping {
  public:
    static Result<Mapping> of(const std::string& path) {
        const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
        if (fd < 0) return os_error(Errc::kIo, errno);
        struct stat info {};
        Mapping mapping;
        if (::fstat(fd, &info) == 0 && info.st_size > 0) mapping.bytes_ = static_cast<size_t>(info.st_size);
        if (mapping.bytes_ >= sizeof(StatsHeader)) {
            void* base = ::mmap(nullptr, mapping.bytes_, PROT_READ, MAP_SHARED, fd, 0);
            if (base != MAP_FAILED) mapping.base_ = base;
        }
        ::close(fd);
        if (mapping.base_ == nullptr) return Errc::kBadLength;
        return mapping;
    }
    Mapping(Mapping&& other) noexcept : base_(other.base_), bytes_(other.bytes_) { other.base_ = nullptr; }
    Mapping& operator=(Mapping&&) = delete;
    ~Mapping() {
        if (base_ != nullptr) ::munmap(base_, bytes_);
    }
    void* base() const { return base_; }
    size_t bytes() const { return bytes_; }

  private:
    Mapping() = default;
    void* base_ = nullptr;
    size_t bytes_ = 0;
};

}  // namespace

Result<StatsSnapshot> StatsSnapshot::read(const std::string& path, uint64_t now_ns) {
    const auto mapping = Mapping::of(path);
    if (!mapping) return mapping.error();
    StatsSnapshot snapshot;
    snapshot.taken_ns_ = now_ns;
    StatsHeader& header = snapshot.header_;
    std::memcpy(&header, mapping->base(), sizeof(header));
    if (header.magic != kStatsMagic || header.version != kStatsVersion)
        return error_of(Errc::kBadVersion, header.magic == kStatsMagic ? header.version : 0);
    if (header.core_count == 0 || header.core_count > kCoreCountMax || header.shard_capacity > kBoxShardCountMax ||
        mapping->bytes() < stats_file_bytes(header.core_count, header.shard_capacity)) {
        return Errc::kBadLength;
    }
    snapshot.cores_.reserve(header.core_count);
    for (uint32_t core = 0; core < header.core_count; ++core) {
        snapshot.cores_.push_back(*core_stats(mapping->base(), core));
        for (uint32_t slot = 0; slot < header.shard_capacity; ++slot) {
            const ShardStats& shard = *shard_stats(mapping->base(), core, slot);
            if (shard.shard == 0) continue;
            snapshot.shards_.push_back(shard);
            if (snapshot.shards_.back().shard == 0) snapshot.shards_.pop_back();  // Let go meanwhile.
        }
    }
    std::stable_sort(snapshot.shards_.begin(), snapshot.shards_.end(),
                     [](const ShardStats& a, const ShardStats& b) { return a.shard < b.shard; });
    return snapshot;
}

const CoreStats& StatsSnapshot::core(uint32_t index) const {
    EAGRE_ASSERT_LT(index, core_count());
    return cores_[index];
}

const ShardStats* StatsSnapshot::find(uint64_t shard) const {
    const auto found = std::lower_bound(shards_.begin(), shards_.end(), shard,
                                        [](const ShardStats& slot, uint64_t id) { return slot.shard < id; });
    return found == shards_.end() || found->shard != shard ? nullptr : &*found;
}

uint64_t StatsSnapshot::silent_ns() const {
    uint64_t latest_ns = 0;
    for (const CoreStats& core : cores_) latest_ns = std::max(latest_ns, core.heartbeat_ns);
    return taken_ns_ > latest_ns ? taken_ns_ - latest_ns : 0;
}

uint64_t StatsSnapshot::total(uint64_t CoreStats::*counter) const {
    uint64_t sum = 0;
    for (const CoreStats& core : cores_) sum += core.*counter;
    return sum;
}

Histogram StatsSnapshot::merged(Histogram CoreStats::*histogram) const {
    Histogram all;
    for (const CoreStats& core : cores_) all.merge(core.*histogram);
    return all;
}

uint32_t stats_pid(const std::string& path) {
    const auto mapping = Mapping::of(path);
    if (!mapping) return 0;
    StatsHeader header;
    std::memcpy(&header, mapping->base(), sizeof(header));
    return header.magic == kStatsMagic && header.version == kStatsVersion ? header.pid : 0;
}

std::string_view text_of(const char* field, size_t bytes) { return {field, ::strnlen(field, bytes)}; }

}  // namespace eagre::shm
