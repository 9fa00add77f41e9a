// Frame header, batches and routing. Arguments are records per batch and data bytes per record.
#include <cstring>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "perf/micro/results.h"
#include "wire/base/crc32c.h"
#include "wire/frame/batch.h"
#include "wire/frame/frame.h"

namespace eagre::perf {
namespace {

struct Batch {
    std::vector<uint64_t> words;  // 8-byte alignment.
    uint32_t record_count = 0;
    std::span<const std::byte> payload() const { return std::as_bytes(std::span(words)); }
};

std::vector<frame::RecordView> records_of(const std::vector<std::string>& keys,
                                          const std::vector<std::byte>& data) {
    std::vector<frame::RecordView> records;
    for (const std::string& key : keys) {
        frame::RecordView record;
        record.partition_key = key;
        record.data = data;
        records.push_back(record);
    }
    return records;
}

std::vector<std::string> keys_of(int64_t count) {
    std::vector<std::string> keys;
    for (int64_t i = 0; i < count; ++i) keys.push_back("key-" + std::to_string(1'000'000 + i));
    return keys;
}

Batch make_batch(int64_t record_count, int64_t data_bytes) {
    const auto keys = keys_of(record_count);
    const std::vector<std::byte> data(static_cast<size_t>(data_bytes), std::byte{0x33});
    frame::BatchBuilder builder;
    for (const frame::RecordView& record : records_of(keys, data)) {
        if (!builder.add(record)) break;
    }
    const auto payload = builder.finish();
    Batch batch;
    batch.words.resize(payload.size() / 8);
    std::memcpy(batch.words.data(), payload.data(), payload.size());
    batch.record_count = builder.record_count();
    return batch;
}

std::string name_of(const char* what, const benchmark::State& state) {
    return std::string(what) + "/" + std::to_string(state.range(0)) + "/" +
           std::to_string(state.range(1));
}

void header_verify(benchmark::State& state) {
    frame::FrameHeader header;
    header.kind = frame::FrameKind::kAppend;
    header.shard = 17;
    header.payload_bytes = 64 << 10;
    frame::seal_header(header);
    const auto bytes = std::as_bytes(std::span(&header, 1));
    for (auto _ : state) {
        auto decoded = frame::decode_header(bytes);
        benchmark::DoNotOptimize(decoded);
    }
    note_result("header", frame::decode_header(bytes)->header_crc);
}
BENCHMARK(header_verify);

void header_seal(benchmark::State& state) {
    frame::FrameHeader header;
    header.kind = frame::FrameKind::kAppendReply;
    for (auto _ : state) {
        ++header.number;
        frame::seal_header(header);
        benchmark::DoNotOptimize(header);
    }
}
BENCHMARK(header_seal);

void batch_build(benchmark::State& state) {
    const auto keys = keys_of(state.range(0));
    const std::vector<std::byte> data(static_cast<size_t>(state.range(1)), std::byte{0x33});
    const auto records = records_of(keys, data);
    frame::BatchBuilder builder;
    uint32_t crc = 0;
    for (auto _ : state) {
        builder.clear();
        for (const frame::RecordView& record : records)
            benchmark::DoNotOptimize(builder.add(record).has_value());
        const auto payload = builder.finish();
        frame::FrameHeader header;
        header.kind = frame::FrameKind::kAppend;
        frame::seal_frame(header, payload);
        benchmark::DoNotOptimize(crc = header.payload_crc);
    }
    note_result(name_of("build", state), crc);
    state.SetItemsProcessed(state.iterations() * state.range(0));
}

void batch_verify(benchmark::State& state) {
    const Batch batch = make_batch(state.range(0), state.range(1));
    for (auto _ : state) {
        auto view = frame::BatchView::verify(batch.payload(), batch.record_count);
        benchmark::DoNotOptimize(view);
    }
    note_result(name_of("verify", state),
                frame::BatchView::verify(batch.payload(), batch.record_count)->blob_bytes());
    state.SetItemsProcessed(state.iterations() * state.range(0));
}

void batch_iterate(benchmark::State& state) {
    const Batch batch = make_batch(state.range(0), state.range(1));
    uint64_t sum = 0;
    for (auto _ : state) {
        const auto view = frame::BatchView::trusted(batch.payload());
        sum = 0;
        for (uint32_t i = 0; i < view.record_count(); ++i) {
            const frame::RecordView record = view.record(i);
            sum += record.data.size() + record.partition_key.size();
        }
        benchmark::DoNotOptimize(sum);
    }
    note_result(name_of("iterate", state), sum);
    state.SetItemsProcessed(state.iterations() * state.range(0));
}

void shapes(benchmark::internal::Benchmark* benchmark) {
    benchmark->Args({1, 256})->Args({16, 256})->Args({236, 256})->Args({62, 1024});
}
BENCHMARK(batch_build)->Apply(shapes);
BENCHMARK(batch_verify)->Apply(shapes);
BENCHMARK(batch_iterate)->Apply(shapes);

void route_by_md5(benchmark::State& state) {
    const auto keys = keys_of(1024);
    size_t i = 0;
    for (auto _ : state) {
        benchmark::DoNotOptimize(frame::hash_partition_key(keys[i]));
        i = (i + 1) % keys.size();
    }
    uint64_t folded = 0;
    for (const std::string& key : keys) folded = folded * 31 + frame::hash_partition_key(key).high;
    note_result("md5", folded);
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(route_by_md5);

}  // namespace
}  // namespace eagre::perf
