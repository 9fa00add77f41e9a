#include "dataplane/journal/producers.h"

#include <algorithm>
#include <bit>

#include "wire/base/assert.h"
#include "wire/base/limits.h"

namespace eagre::journal {

static_assert(kProducerWindow == 16);

ProducerTable::ProducerTable(uint32_t count_max, uint64_t idle_ns_max)
    : entries_(make_raw_array<ProducerFacts>(std::max(count_max, 1U))),
      buckets_(std::bit_ceil(size_t{std::max(count_max, 1U)} * 2)),
      count_max_(count_max),
      idle_ns_max_(idle_ns_max) {}

size_t ProducerTable::bucket_of(ProducerId producer, ShardId shard) const {
    const size_t mask = buckets_.size() - 1;
    size_t bucket =
        ((std::hash<ProducerId>{}(producer) ^ (std::hash<ShardId>{}(shard)*31)) >> 20U) & mask;
    while (buckets_[bucket] != 0) {
        const ProducerFacts& entry = entries_[buckets_[bucket] - 1];
        if (entry.producer == producer && entry.shard == shard) break;
        bucket = (bucket + 1) & mask;
    }
    return bucket;
}

const ProducerFacts* ProducerTable::find(ProducerId producer, ShardId shard) const {
    const uint32_t link = buckets_[bucket_of(producer, shard)];
    return link == 0 ? nullptr : &entries_[link - 1];
}

template <class Keep>
void ProducerTable::keep_if(Keep keep) {
    uint32_t kept = 0;
    oldest_arrival_ns_ = UINT64_MAX;
    for (uint32_t i = 0; i < count_; ++i) {
        if (!keep(entries_[i])) continue;
        oldest_arrival_ns_ = std::min(oldest_arrival_ns_, entries_[i].last_arrival_ns);
        if (kept != i) entries_[kept] = entries_[i];
        ++kept;
    }
    count_ = kept;
    std::fill(buckets_.begin(), buckets_.end(), 0U);
    for (uint32_t i = 0; i < count_; ++i)
        buckets_[bucket_of(entries_[i].producer, entries_[i].shard)] = i + 1;
}

void ProducerTable::drop_shard(ShardId shard) {
    keep_if([&](const ProducerFacts& entry) { return entry.shard != shard; });
}

ProducerFacts* ProducerTable::take(ProducerId producer, ShardId shard, uint64_t now_ns) {
    size_t bucket = bucket_of(producer, shard);
    if (buckets_[bucket] == 0) {
        const auto idle = [&](uint64_t arrival_ns) {
            return now_ns > arrival_ns && now_ns - arrival_ns > idle_ns_max_;
        };
        if (count_ == count_max_ && idle(oldest_arrival_ns_)) {
            keep_if([&](const ProducerFacts& entry) { return !idle(entry.last_arrival_ns); });
            bucket = bucket_of(producer, shard);
        }
        if (count_ == count_max_) return nullptr;
        buckets_[bucket] = ++count_;
        ProducerFacts& entry = entries_[count_ - 1];
        entry = ProducerFacts{};
        entry.producer = producer;
        entry.shard = shard;
        oldest_arrival_ns_ = count_ == 1 ? now_ns : std::min(oldest_arrival_ns_, now_ns);
    }
    return &entries_[buckets_[bucket] - 1];
}

bool ProducerTable::remember(const ProducerFacts& facts) {
    EAGRE_ASSERT_NE(facts.producer.value, 0U);
    EAGRE_ASSERT(facts.result_count >= 1 && facts.result_count <= kProducerWindow);
    ProducerFacts* entry = take(facts.producer, facts.shard, facts.last_arrival_ns);
    if (entry == nullptr) return false;
    *entry = facts;
    return true;
}

bool ProducerTable::replay(const RunHeader& header) {
    ProducerFacts* entry =
        take(ProducerId{header.producer}, ShardId{header.shard}, header.arrival_ns);
    if (entry == nullptr) return false;
    if (entry->result_count > 0) {
        const uint64_t last = entry->results[entry->result_count - 1].number.value;
        // A repeated number is a run that the snapshot has seen; any other jump is a producer that
        // began anew.
        if (header.batch_number == last) return true;
        if (header.batch_number != last + 1) entry->result_count = 0;
    }
    if (entry->result_count == kProducerWindow) {
        std::copy(entry->results + 1, entry->results + kProducerWindow, entry->results);
        --entry->result_count;
    }
    entry->results[entry->result_count++] = {BatchNumber{header.batch_number},
                                             SequenceNumber{header.first_sequence},
                                             header.record_count, header.payload_crc};
    entry->last_arrival_ns = header.arrival_ns;
    return true;
}

ProducerRecord to_record(const ProducerFacts& facts) {
    ProducerRecord record{};
    record.producer = facts.producer.value;
    record.shard = facts.shard.value;
    record.last_arrival_ns = facts.last_arrival_ns;
    record.result_count = facts.result_count;
    for (uint32_t i = 0; i < facts.result_count; ++i) {
        const BatchResult& result = facts.results[i];
        record.results[i] = {result.number.value, result.first_sequence.value, result.record_count,
                             result.payload_crc};
    }
    return record;
}

bool from_record(const ProducerRecord& record, ProducerFacts& facts) {
    if (record.producer == 0 || record.result_count == 0 || record.result_count > kProducerWindow)
        return false;
    facts = ProducerFacts{};
    facts.producer = ProducerId{record.producer};
    facts.shard = ShardId{record.shard};
    facts.last_arrival_ns = record.last_arrival_ns;
    facts.result_count = record.result_count;
    for (uint32_t i = 0; i < record.result_count; ++i) {
        const ResultRecord& result = record.results[i];
        facts.results[i] = {BatchNumber{result.batch_number}, SequenceNumber{result.first_sequence},
                            result.record_count, result.payload_crc};
    }
    return true;
}

}  // namespace eagre::journal
