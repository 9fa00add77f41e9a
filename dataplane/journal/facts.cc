#include "dataplane/journal/facts.h"

#include <algorithm>
#include <bit>

#include <flatbuffers/flatbuffers.h>

#include "wire/base/assert.h"
#include "wire/base/limits.h"
#include "wire/schema/control_generated.h"
#include "wire/shards/shard_info.h"

namespace eagre::journal {

ShardTable::ShardTable(uint32_t shard_count_max) : shard_count_max_(std::max(shard_count_max, 1U)) {
    buckets_.resize(std::bit_ceil(size_t{shard_count_max_} * 2));
    slots_.reserve(shard_count_max_);
    free_.reserve(shard_count_max_);
    sorted_.reserve(shard_count_max_);
}

size_t ShardTable::bucket_of(uint64_t shard) const {
    const size_t mask = buckets_.size() - 1;
    size_t bucket = (std::hash<ShardId>{}(ShardId{shard}) >> 20U) & mask;
    while (buckets_[bucket].shard != 0 && buckets_[bucket].shard != shard)
        bucket = (bucket + 1) & mask;
    return bucket;
}

ShardState* ShardTable::find(uint64_t shard) const {
    return shard == 0 ? nullptr : buckets_[bucket_of(shard)].state;
}

ShardState* ShardTable::take(uint64_t shard) {
    EAGRE_ASSERT_NE(shard, 0U);
    Bucket& bucket = buckets_[bucket_of(shard)];
    if (bucket.state != nullptr) return bucket.state;
    if (count_ == shard_count_max_) return nullptr;
    uint32_t slot = static_cast<uint32_t>(slots_.size());
    if (free_.empty()) {
        slots_.emplace_back();
    } else {
        slot = free_.back();
        free_.pop_back();
    }
    slots_[slot] = std::make_unique<ShardState>();
    slots_[slot]->slot = slot;
    slots_[slot]->facts.shard = ShardId{shard};
    bucket = {shard, slots_[slot].get()};
    ++count_;
    sorted_valid_ = false;
    note_ids(shard, 0);
    return slots_[slot].get();
}

void ShardTable::drop(uint64_t shard) {
    ShardState* state = find(shard);
    EAGRE_ASSERT(state != nullptr);
    const uint32_t slot = state->slot;
    slots_[slot].reset();
    free_.push_back(slot);
    --count_;
    sorted_valid_ = false;
    rebuild();
}

void ShardTable::rebuild() {
    std::fill(buckets_.begin(), buckets_.end(), Bucket{});
    for (const auto& state : slots_) {
        if (state == nullptr) continue;
        const uint64_t shard = state->facts.shard.value;
        buckets_[bucket_of(shard)] = {shard, state.get()};
    }
}

const std::vector<uint32_t>& ShardTable::sorted() {
    if (!sorted_valid_) {
        sorted_.clear();
        for (uint32_t slot = 0; slot < slots_.size(); ++slot) {
            if (slots_[slot] != nullptr) sorted_.push_back(slot);
        }
        std::sort(sorted_.begin(), sorted_.end(), [&](uint32_t a, uint32_t b) {
            return slots_[a]->facts.shard < slots_[b]->facts.shard;
        });
        sorted_valid_ = true;
    }
    return sorted_;
}

void ShardTable::note_ids(uint64_t shard, uint64_t stream) {
    shard_id_max = std::max(shard_id_max, shard);
    stream_id_max = std::max(stream_id_max, stream);
}

std::vector<std::byte> encode_fact(const ShardFacts& facts) {
    flatbuffers::FlatBufferBuilder builder(512);
    const auto name = builder.CreateString(facts.stream_name);
    shards::ShardDescription shard;
    shard.id = facts.shard;
    shard.range = facts.range;
    shard.parent = facts.parent;
    shard.adjacent_parent = facts.adjacent_parent;
    shard.open = facts.open;
    shard.available = false;  // Where a shard is and whether it answers is no fact of the journal that has it.
    shard.trim_horizon = facts.trim_horizon;
    shard.next_sequence = facts.next_sequence;
    shard.first_sequence = facts.first_sequence;
    shard.opened_ns = facts.opened_ns;
    shard.ordinal = facts.ordinal;
    const auto info = shards::encode_shard(builder, shard);
    const wire::FactKind kind = facts.deleted ? wire::FactKind::Deleted
                                : facts.open  ? wire::FactKind::Opened
                                              : wire::FactKind::Closed;
    builder.Finish(wire::CreateFact(builder, kind, info, facts.stream.value, name,
                                    facts.map_version, facts.retention_ms, facts.record_bytes_max,
                                    facts.stream_created_ns, facts.command_id, facts.epoch,
                                    facts.retention_bytes, facts.quota_bytes_per_s,
                                    facts.quota_records_per_s));
    std::vector<std::byte> bytes(align_up(builder.GetSize(), 8));
    std::memcpy(bytes.data(), builder.GetBufferPointer(), builder.GetSize());
    return bytes;
}

Result<ShardFacts> decode_fact(std::span<const std::byte> payload) {
    flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t*>(payload.data()),
                                   payload.size());
    if (!verifier.VerifyBuffer<wire::Fact>(nullptr)) return Errc::kBadSchema;
    const auto* fact = flatbuffers::GetRoot<wire::Fact>(payload.data());
    if (fact->shard() == nullptr || fact->shard()->id() == 0) return Errc::kBadSchema;
    const shards::ShardDescription shard = shards::decode_shard(*fact->shard());
    ShardFacts facts;
    facts.shard = shard.id;
    facts.stream = StreamId{fact->stream_id()};
    if (fact->stream_name() != nullptr) facts.stream_name = fact->stream_name()->str();
    facts.range = shard.range;
    facts.parent = shard.parent;
    facts.adjacent_parent = shard.adjacent_parent;
    facts.first_sequence = shard.first_sequence;
    facts.next_sequence = shard.next_sequence;
    facts.trim_horizon = shard.trim_horizon;
    facts.opened_ns = shard.opened_ns;
    facts.ordinal = shard.ordinal;
    facts.map_version = fact->map_version();
    facts.retention_ms = fact->retention_ms();
    facts.record_bytes_max = fact->record_bytes_max();
    facts.stream_created_ns = fact->stream_created_ns();
    facts.command_id = fact->command_id();
    facts.epoch = fact->epoch();
    facts.retention_bytes = fact->retention_bytes();
    facts.quota_bytes_per_s = fact->quota_bytes_per_s();
    facts.quota_records_per_s = fact->quota_records_per_s();
    facts.open = shard.open;
    facts.deleted = fact->kind() == wire::FactKind::Deleted;
    return facts;
}

FactRecord to_record(const ShardState& state) {
    const ShardFacts& facts = state.facts;
    FactRecord record{};
    record.shard = facts.shard.value;
    record.stream = facts.stream.value;
    record.starting_high = facts.range.starting.high;
    record.starting_low = facts.range.starting.low;
    record.ending_high = facts.range.ending.high;
    record.ending_low = facts.range.ending.low;
    record.parent = facts.parent.value;
    record.adjacent_parent = facts.adjacent_parent.value;
    record.first_sequence = facts.first_sequence.value;
    record.next_sequence = state.appended_next;
    // A horizon in a commit of the sealed segment is as durable as the segment.
    record.trim_horizon = std::max(facts.trim_horizon.value, state.pending_horizon);
    record.last_arrival_ns = state.last_arrival_ns;
    record.opened_ns = facts.opened_ns;
    record.ordinal = facts.ordinal;
    record.map_version = facts.map_version;
    record.retention_ms = facts.retention_ms;
    record.record_bytes_max = facts.record_bytes_max;
    record.retention_bytes = facts.retention_bytes;
    record.quota_bytes_per_s = facts.quota_bytes_per_s;
    record.quota_records_per_s = facts.quota_records_per_s;
    record.stream_created_ns = facts.stream_created_ns;
    record.command_id = facts.command_id;
    record.epoch = facts.epoch;
    record.deleted_segment = state.deleted_segment;
    if (facts.open) record.flags |= kFactOpen;
    if (facts.deleted) record.flags |= kFactDeleted;
    EAGRE_ASSERT_LE(facts.stream_name.size(), sizeof(record.name));
    record.name_bytes = static_cast<uint16_t>(facts.stream_name.size());
    std::memcpy(record.name, facts.stream_name.data(), facts.stream_name.size());
    return record;
}

bool from_record(const FactRecord& record, ShardState& state) {
    if (record.name_bytes > sizeof(record.name)) return false;
    ShardFacts& facts = state.facts;
    facts.shard = ShardId{record.shard};
    facts.stream = StreamId{record.stream};
    facts.range = {{record.starting_high, record.starting_low},
                   {record.ending_high, record.ending_low}};
    facts.parent = ShardId{record.parent};
    facts.adjacent_parent = ShardId{record.adjacent_parent};
    facts.first_sequence = SequenceNumber{record.first_sequence};
    facts.next_sequence = SequenceNumber{record.next_sequence};
    facts.trim_horizon = SequenceNumber{record.trim_horizon};
    facts.opened_ns = record.opened_ns;
    facts.ordinal = record.ordinal;
    facts.map_version = record.map_version;
    facts.retention_ms = record.retention_ms;
    facts.record_bytes_max = record.record_bytes_max;
    facts.retention_bytes = record.retention_bytes;
    facts.quota_bytes_per_s = record.quota_bytes_per_s;
    facts.quota_records_per_s = record.quota_records_per_s;
    facts.stream_created_ns = record.stream_created_ns;
    facts.command_id = record.command_id;
    facts.epoch = record.epoch;
    facts.open = (record.flags & kFactOpen) != 0;
    facts.deleted = (record.flags & kFactDeleted) != 0;
    facts.stream_name.assign(record.name, record.name_bytes);
    state.deleted_segment = record.deleted_segment;
    state.appended_next = record.next_sequence;
    state.durable_next = record.next_sequence;
    state.last_arrival_ns = record.last_arrival_ns;
    return true;
}

void merge_facts(ShardState& state, const ShardFacts& facts) {
    const uint64_t next =
        std::max({state.appended_next, facts.next_sequence.value, facts.first_sequence.value});
    const uint64_t horizon = std::max(
        {state.facts.trim_horizon.value, facts.trim_horizon.value, facts.first_sequence.value});
    const bool deleted = state.facts.deleted || facts.deleted;
    state.facts = facts;
    state.facts.deleted = deleted;
    state.facts.trim_horizon = SequenceNumber{horizon};
    // Nothing is between the old tail and a tail that a fact names (a shard that opens): both
    // watermarks go there.
    if (state.durable_next == state.appended_next) state.durable_next = next;
    state.appended_next = next;
    state.last_arrival_ns = std::max(state.last_arrival_ns, facts.last_arrival_ns);
}

}  // namespace eagre::journal
