#include "perf/load/ledger.h"

#include <algorithm>

#include "wire/base/assert.h"

namespace eagre::load {

struct Ledger::Block {
    explicit Block(uint32_t reader_count) : readers(reader_count) {}
    struct Column {
        std::array<uint64_t, kBlockRecords> hash{};  // 0: nothing.
        std::array<uint64_t, kBlockRecords> time_ns{};
        uint64_t filled = 0;
    };
    Column acknowledged;
    std::vector<Column> readers;
};

struct Ledger::Shard {
    std::mutex mutex;
    std::map<uint64_t, std::unique_ptr<Block>> blocks;  // By sequence number / kBlockRecords.
    std::vector<bool> settled;  // Blocks that were compared and dropped, counted from settled_base.
    uint64_t settled_base =
        0;  // The first block ever dropped: streams that were there before don't begin at 0.
    std::vector<uint64_t> next;  // Per reader: one behind the highest seen.

    bool is_settled(uint64_t index) const {
        return index >= settled_base && index - settled_base < settled.size() &&
               settled[index - settled_base];
    }
    void settle(uint64_t index) {
        if (settled.empty()) settled_base = index;
        if (index < settled_base)
            return;  // Its repetitions would show as "never acknowledged": duplicated as well.
        if (settled.size() <= index - settled_base) settled.resize(index - settled_base + 1);
        settled[index - settled_base] = true;
    }
};

Ledger::Ledger(uint32_t reader_count)
    : reader_count_(reader_count), verdicts_(reader_count), extra_(reader_count) {
    EAGRE_ASSERT_LE(reader_count, kReadersMax);
}
Ledger::~Ledger() = default;

Ledger::Shard& Ledger::shard_of(ShardId id) {
    const std::lock_guard lock(shards_mutex_);
    auto& slot = shards_[id];
    if (!slot) {
        slot = std::make_unique<Shard>();
        slot->next.resize(reader_count_);
    }
    return *slot;
}

Ledger::Block& Ledger::block_of(Shard& shard, uint64_t index) {
    auto& slot = shard.blocks[index];
    if (!slot) {
        slot = std::make_unique<Block>(reader_count_);
        outstanding_.fetch_add(kBlockRecords, std::memory_order_relaxed);
    }
    return *slot;
}

void Ledger::settle_if_whole(Shard& shard, uint64_t index) {
    const auto found = shard.blocks.find(index);
    EAGRE_ASSERT(found != shard.blocks.end());
    const Block& block = *found->second;
    if (block.acknowledged.filled != kBlockRecords) return;
    for (const auto& column : block.readers) {
        if (column.filled != kBlockRecords) return;
    }
    compare(block);
    shard.blocks.erase(found);
    shard.settle(index);
    outstanding_.fetch_sub(kBlockRecords, std::memory_order_relaxed);
}

void Ledger::acknowledged(ShardId id, SequenceNumber first, std::span<const Stamp> stamps) {
    Shard& shard = shard_of(id);
    const std::lock_guard lock(shard.mutex);
    acknowledged_.fetch_add(stamps.size(), std::memory_order_relaxed);
    uint64_t sequence = first.value;
    while (!stamps.empty()) {
        const uint64_t index = sequence / kBlockRecords;
        const uint64_t at = sequence % kBlockRecords;
        const size_t count = std::min<size_t>(stamps.size(), kBlockRecords - at);
        if (shard.is_settled(index)) {
            // Two acknowledgements for one sequence number: the box gave it twice, so one of the
            // two records is gone.
            const std::lock_guard verdicts_lock(verdicts_mutex_);
            for (auto& verdict : verdicts_) verdict.lost_count += count;
        } else {
            Block& block = block_of(shard, index);
            uint64_t twice = 0;
            for (size_t i = 0; i < count; ++i) {
                if (block.acknowledged.hash[at + i] != 0)
                    ++twice;
                else
                    ++block.acknowledged.filled;
                block.acknowledged.hash[at + i] = stamps[i].hash;
                block.acknowledged.time_ns[at + i] = stamps[i].intended_ns;
            }
            if (twice != 0) {
                const std::lock_guard verdicts_lock(verdicts_mutex_);
                for (auto& verdict : verdicts_) verdict.lost_count += twice;
            }
            settle_if_whole(shard, index);
        }
        sequence += count;
        stamps = stamps.subspan(count);
    }
}

void Ledger::seen(uint32_t reader, ShardId id, SequenceNumber first,
                  std::span<const uint64_t> hashes, uint64_t now_ns) {
    EAGRE_ASSERT_LT(reader, reader_count_);
    Shard& shard = shard_of(id);
    const std::lock_guard lock(shard.mutex);
    uint64_t sequence = first.value;
    uint64_t duplicated = 0;
    uint64_t out_of_order = 0;
    uint64_t fresh = 0;
    uint64_t& next = shard.next[reader];
    while (!hashes.empty()) {
        const uint64_t index = sequence / kBlockRecords;
        const uint64_t at = sequence % kBlockRecords;
        const size_t count = std::min<size_t>(hashes.size(), kBlockRecords - at);
        if (shard.is_settled(index)) {
            duplicated += count;
        } else {
            Block& block = block_of(shard, index);
            Block::Column& column = block.readers[reader];
            for (size_t i = 0; i < count; ++i) {
                if (column.hash[at + i] != 0) {
                    ++duplicated;
                    continue;
                }
                if (sequence + i < next) ++out_of_order;
                column.hash[at + i] = hashes[i];
                column.time_ns[at + i] = now_ns;
                ++column.filled;
                ++fresh;
            }
            settle_if_whole(shard, index);
        }
        sequence += count;
        next = std::max(next, sequence);
        hashes = hashes.subspan(count);
    }
    seen_[reader].fetch_add(fresh, std::memory_order_relaxed);
    if (duplicated + out_of_order != 0) {
        const std::lock_guard verdicts_lock(verdicts_mutex_);
        verdicts_[reader].duplicated_count += duplicated;
        verdicts_[reader].out_of_order_count += out_of_order;
    }
}

uint64_t Ledger::seen_count(uint32_t reader) const {
    EAGRE_ASSERT_LT(reader, reader_count_);
    return seen_[reader].load(std::memory_order_relaxed);
}

void Ledger::compare(const Block& block) {
    const std::lock_guard lock(verdicts_mutex_);
    for (uint32_t reader = 0; reader < reader_count_; ++reader) {
        compare_reader(block, reader, verdicts_[reader], extra_[reader]);
    }
}

void Ledger::compare_reader(const Block& block, uint32_t reader, ReaderVerdict& verdict,
                            uint64_t& extra) {
    const Block::Column& wanted = block.acknowledged;
    const Block::Column& got = block.readers[reader];
    std::vector<uint64_t> wanted_elsewhere;
    std::vector<uint64_t> got_elsewhere;
    for (size_t i = 0; i < kBlockRecords; ++i) {
        if (wanted.hash[i] == 0) {
            if (got.hash[i] != 0) ++extra;
            continue;
        }
        if (got.hash[i] == wanted.hash[i]) {
            const uint64_t from = wanted.time_ns[i];
            verdict.latency_ns.record(got.time_ns[i] > from ? got.time_ns[i] - from : 0);
            continue;
        }
        wanted_elsewhere.push_back(wanted.hash[i]);
        if (got.hash[i] != 0) got_elsewhere.push_back(got.hash[i]);
    }
    if (wanted_elsewhere.empty()) return;
    // What is in another's place is out of order; what is nowhere is lost (or its bytes changed,
    // which is the same).
    std::sort(wanted_elsewhere.begin(), wanted_elsewhere.end());
    std::sort(got_elsewhere.begin(), got_elsewhere.end());
    std::vector<uint64_t> swapped;
    std::set_intersection(wanted_elsewhere.begin(), wanted_elsewhere.end(), got_elsewhere.begin(),
                          got_elsewhere.end(), std::back_inserter(swapped));
    verdict.out_of_order_count += swapped.size();
    verdict.lost_count += wanted_elsewhere.size() - swapped.size();
}

std::vector<ReaderVerdict> Ledger::finish(uint64_t unknown_count) {
    for (auto& [id, shard] : shards_) {
        for (const auto& [index, block] : shard->blocks) compare(*block);
        shard->blocks.clear();
    }
    outstanding_ = 0;
    for (uint32_t reader = 0; reader < reader_count_; ++reader) {
        verdicts_[reader].read_count = seen_[reader];
        verdicts_[reader].duplicated_count +=
            extra_[reader] - std::min(extra_[reader], unknown_count);
    }
    return std::move(verdicts_);
}

}  // namespace eagre::load
