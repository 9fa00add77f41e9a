#include "perf/scenarios/catchup.h"

#include <algorithm>

#include "perf/ceilings/machine.h"

namespace eagre::perf {

Result<JsonLine> run_catchup(client::Client& client, const CatchupOptions& options) {
    auto stream = client.describe(options.stream);
    if (!stream) return stream.error();
    if (options.shard_index >= stream->shards.size())
        return error_of(Errc::kUnknownShard, options.shard_index);
    const client::ShardDescription& shard = stream->shards[options.shard_index];
    const uint64_t stored = shard.next_sequence.value - shard.trim_horizon.value;
    const uint64_t target = std::min(stored, options.record_count_max);

    client::ConsumerOptions consumer_options;
    consumer_options.shards = {shard.id};
    consumer_options.credit_bytes = options.credit_bytes;
    auto consumer = client.make_consumer(options.stream, consumer_options);
    if (!consumer) return consumer.error();

    uint64_t records = 0;
    uint64_t data_bytes = 0;
    uint64_t walked = 0;  // Folds every record in, so that the walk cannot be left out.
    uint64_t gaps = 0;
    uint64_t expected = shard.trim_horizon.value;
    uint64_t first_ns = 0;
    (*consumer)->on_delivery([&](const client::Delivery& delivery) {
        if (first_ns == 0) first_ns = monotonic_ns();
        const uint32_t count = delivery.batch.record_count();
        for (uint32_t i = delivery.skip; i < count; ++i) {
            const frame::RecordView record = delivery.batch.record(i);
            data_bytes += record.data.size();
            walked = walked * 31 + record.partition_key.size() +
                     (record.data.empty() ? 0 : static_cast<uint64_t>(record.data[0]));
        }
        if (delivery.first_sequence.value + delivery.skip != expected) ++gaps;
        expected = delivery.first_sequence.value + count;
        records += count - delivery.skip;
    });
    uint64_t errors = 0;
    (*consumer)->on_event([&](ShardId, Error) { ++errors; });

    const uint64_t begin = monotonic_ns();
    const uint64_t cpu_begin = process_cpu_ns();
    const uint64_t end = begin + static_cast<uint64_t>(options.seconds_max * 1e9);
    uint64_t now = begin;
    while (records < target && now < end) {
        client.poll(1'000'000);
        now = monotonic_ns();
    }
    if (records < target) return error_of(Errc::kTimeout, records);
    const double wall_s = static_cast<double>(now - begin) / 1e9;
    JsonLine line;
    line.add("records_per_s", static_cast<double>(records) / wall_s)
        .add("records", records)
        .add("data_mb_per_s", static_cast<double>(data_bytes) / 1e6 / wall_s)
        .add("seconds", wall_s)
        .add("first_delivery_us", static_cast<double>(first_ns - begin) / 1e3)
        .add("runs", (*consumer)->stats().run_count)
        .add("gaps", gaps)
        .add("events", errors)
        .add("walk", walked)
        .add("generator_cpu_share",
             static_cast<double>(process_cpu_ns() - cpu_begin) / 1e9 / wall_s);
    return line;
}

}  // namespace eagre::perf
