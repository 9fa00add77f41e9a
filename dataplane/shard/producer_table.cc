#include "dataplane/shard/producer_table.h"

#include <algorithm>

#include "wire/base/assert.h"

namespace eagre::shard {

using journal::BatchResult;
using journal::ProducerFacts;

Result<ProducerTable::Verdict> ProducerTable::check(ProducerId producer, ShardId shard, BatchNumber number,
                                                    uint32_t payload_crc, uint32_t record_count) const {
    const auto found = table_.find(Key{producer.value, shard.value});
    if (found == table_.end()) {
        if (number.value != 0) return Errc::kUnknownProducer;
        if (table_.size() >= count_max_) return error_of(Errc::kLimitExceeded, count_max_);
        return Verdict{};
    }
    const ProducerFacts& facts = found->second;
    EAGRE_ASSERT_GE(facts.result_count, 1U);
    const uint64_t last = facts.results[facts.result_count - 1].number.value;
    if (number.value == last + 1) return Verdict{};
    if (number.value > last + 1) return error_of(Errc::kBatchOutOfOrder, last + 1);
    for (uint32_t i = 0; i < facts.result_count; ++i) {
        const BatchResult& result = facts.results[i];
        if (result.number != number) continue;
        if (result.payload_crc != payload_crc || result.record_count != record_count) return Errc::kBatchMismatch;
        return Verdict{true, result};
    }
    return Errc::kBatchForgotten;
}

const ProducerFacts& ProducerTable::record(ProducerId producer, ShardId shard, const BatchResult& result,
                                           uint64_t arrival_ns) {
    ProducerFacts& facts = table_[Key{producer.value, shard.value}];
    facts.producer = producer;
    facts.shard = shard;
    facts.last_arrival_ns = arrival_ns;
    if (facts.result_count == kProducerWindow) {
        std::copy(facts.results + 1, facts.results + kProducerWindow, facts.results);
        --facts.result_count;
    }
    facts.results[facts.result_count++] = result;
    return facts;
}

void ProducerTable::restore(const ProducerFacts& facts) {
    EAGRE_ASSERT_GE(facts.result_count, 1U);
    EAGRE_ASSERT_LE(facts.result_count, kProducerWindow);
    table_[Key{facts.producer.value, facts.shard.value}] = facts;
}

void ProducerTable::forget_shard(ShardId shard) {
    std::erase_if(table_, [shard](const auto& entry) { return entry.second.shard == shard; });
}

void ProducerTable::expire(uint64_t arrival_now_ns) {
    std::erase_if(table_, [&](const auto& entry) {
        return entry.second.last_arrival_ns + idle_ns_max_ < arrival_now_ns;
    });
}

}  // namespace eagre::shard
