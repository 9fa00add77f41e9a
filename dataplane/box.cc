#include "dataplane/box.h"

#include <new>

#include "wire/base/assert.h"

namespace eagre {

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
    return {};
}

}  // namespace eagre
