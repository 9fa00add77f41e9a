#include "dataplane/box.h"

#include <algorithm>
#include <new>

#include "wire/base/assert.h"

namespace eagre {

void Box::take(const DirectorySet& set) {
    box_id_high = set.identity.id_high;
    box_id_low = set.identity.id_low;
    journal_count = set.identity.journal_count;
    options.journal.segment_bytes = set.identity.segment_bytes;
    journal_available = set.journal_available;
    journal_directory = set.identity.journal_directory;
    for (const OpenedDirectory& each : set.directories) {
        directory_paths.push_back(each.path);
        directory_available.push_back(each.files != nullptr);
    }
}

bool Box::misses_journals() const {
    return std::find(journal_available.begin(), journal_available.end(), false) != journal_available.end();
}

Status Box::prepare() {
    EAGRE_ASSERT_GE(core_count, 1U);
    EAGRE_ASSERT_LE(core_count, kCoreCountMax);
    const uint32_t capacity = options.stats_shard_capacity;
    if (board == nullptr) {
        board_memory.resize(shm::stats_file_bytes(core_count, capacity));
        board = board_memory.data();
    }
    auto* header = new (board) shm::StatsHeader;
    header->core_count = core_count;
    header->shard_capacity = capacity;
    usage = UsageBoard(core_count);
    for (uint32_t core = 0; core < core_count; ++core) {
        auto* stats = new (shm::core_stats(board, core)) shm::CoreStats;
        stats->core = core;
        for (uint32_t slot = 0; slot < capacity; ++slot) new (shm::shard_stats(board, core, slot)) shm::ShardStats;
    }
    const std::pair<std::vector<std::vector<reactor::SpscRing>>*, size_t> kinds[] = {
        {&rings, kHandoverRingBytes}, {&reply_rings, kReplyRingBytes}};
    for (const auto& [matrix, bytes] : kinds) {
        matrix->resize(core_count);
        for (uint32_t from = 0; from < core_count; ++from) {
            for (uint32_t to = 0; to < core_count; ++to) {
                auto ring = from == to ? Result<reactor::SpscRing>(reactor::SpscRing()) : reactor::SpscRing::create(bytes);
                if (!ring) return ring.error();
                (*matrix)[from].push_back(std::move(*ring));
            }
        }
    }
    events.resize(core_count, nullptr);
    ports.resize(core_count, 0);
    journal_available.resize(journal_count, true);
    journal_directory.resize(journal_count, 0);
    journal_core = assign_cores(journal_directory, core_count);
    directory_paths.resize(std::max<size_t>(1, directory_paths.size()));
    directory_available.resize(directory_paths.size(), true);
    return {};
}

}  // namespace eagre
