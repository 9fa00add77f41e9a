#include "dataplane/journal/measure.h"

#include <algorithm>

#include "wire/base/assert.h"

namespace eagre::journal {
namespace {

/// A gauge that nobody has asked for so long is given to somebody else.
constexpr uint64_t kForgottenNs = 1'000'000'000ULL;
/// Extents in one call: the turn must go on.
constexpr uint32_t kExtentsPerCall = 256;

/// `bytes` of `count` records, for the `part` of them.
uint64_t share_of(uint64_t bytes, uint64_t part, uint64_t count) {
    return count == 0 ? 0 : static_cast<uint64_t>(static_cast<double>(bytes) * static_cast<double>(part) / static_cast<double>(count));
}

}  // namespace

Measurer::Gauge* Measurer::gauge_for(uint64_t shard, uint64_t from) {
    const uint64_t now = side_.context.now_ns;
    Gauge* free = nullptr;
    for (Gauge& each : gauges_) {
        if (each.shard == shard && each.from == from) return &each;
        if (each.shard == 0 || now > each.used_ns + kForgottenNs) free = &each;
    }
    if (free == nullptr) return nullptr;
    *free = {};
    free->shard = shard;
    free->from = from;
    free->next = from;
    free->reader = std::make_unique<JournalReader>(side_, ShardId{shard}, SequenceNumber{from});
    return free;
}

Result<Unread> Measurer::measure(const ShardState& shard, uint64_t from) {
    EAGRE_ASSERT_LT(from, shard.durable_next);
    Gauge near;
    near.next = from;
    if (count_memory(shard, from, near) && near.next >= shard.durable_next) return Unread{near.arrival_ns, near.bytes};
    Gauge* gauge = gauge_for(shard.facts.shard.value, from);
    if (gauge == nullptr) return Errc::kBusy;
    gauge->used_ns = side_.context.now_ns;
    Status done = find_arrival(*gauge);
    if (done) done = count_extents(shard, *gauge);
    if (!done) {
        if (done.error().code != Errc::kBusy) *gauge = {};
        return done.error();
    }
    const Unread unread{gauge->arrival_ns, gauge->bytes};
    *gauge = {};
    return unread;
}

bool Measurer::count_memory(const ShardState& shard, uint64_t from, Gauge& gauge) const {
    uint64_t serial = side_.runs.find({shard.last_serial, from, side_.window.oldest()});
    if (serial == 0 || side_.runs.at(serial).first_sequence > from) return false;
    for (uint32_t i = 0; serial != 0 && i < kCountedRunsMax; ++i) {
        const RunIndexEntry& run = side_.runs.at(serial);
        if (run.first_sequence >= shard.durable_next) break;
        const auto header = load<RunHeader>(side_.window.at(run.position));
        const uint64_t end = run.first_sequence + run.record_count;
        const uint64_t unread = end - std::max(from, run.first_sequence);
        if (i == 0) gauge.arrival_ns = header.arrival_ns;
        gauge.bytes += share_of(header.stored_bytes, unread, run.record_count);
        gauge.next = end;
        serial = side_.runs.next_of(serial);
    }
    return true;
}

Status Measurer::find_arrival(Gauge& gauge) const {
    while (gauge.reader != nullptr) {
        RunView view;
        const auto step = gauge.reader->peek(view);
        if (!step) {
            // The record is lost; the next one that is not is the oldest that can still be read.
            if (step.error().code != Errc::kDamaged) return step.error();
            gauge.reader->seek(SequenceNumber{step.error().detail});
            continue;
        }
        if (*step == ShardReader::Step::kPending) return Errc::kBusy;
        if (*step == ShardReader::Step::kRun) gauge.arrival_ns = view.header.arrival_ns;
        gauge.reader.reset();
    }
    return {};
}

Status Measurer::count_extents(const ShardState& shard, Gauge& gauge) const {
    for (uint32_t i = 0; i < kExtentsPerCall; ++i) {
        if (gauge.next >= shard.durable_next) return {};
        const auto stretch = side_.chain.find_sequence(shard, {gauge.next, 0});
        if (!stretch) return stretch.error();
        const bool counted = stretch->segment != nullptr && stretch->end_sequence > gauge.next;
        if (!counted || gauge.extent_count == kCountedExtentsMax) {
            // No index, or too far behind to count it all: the rest is taken to be like what was counted.
            const uint64_t rest = shard.durable_next - gauge.next;
            gauge.bytes += share_of(gauge.bytes, rest, gauge.next - gauge.from);
            gauge.next = shard.durable_next;
            return {};
        }
        const uint64_t end = std::min(stretch->end_sequence, shard.durable_next);
        const uint64_t first = std::max(gauge.next, stretch->first_sequence);
        gauge.bytes += share_of(stretch->end_bytes - stretch->offset_bytes, end - first,
                                stretch->end_sequence - stretch->first_sequence);
        gauge.next = end;
        ++gauge.extent_count;
    }
    return Errc::kBusy;
}

}  // namespace eagre::journal
