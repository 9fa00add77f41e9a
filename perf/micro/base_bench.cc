// CRC-32C alone and with the copy, and the histogram: what every batch and every acknowledgement
// pays.
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "perf/micro/results.h"
#include "wire/base/crc32c.h"
#include "wire/base/histogram.h"
#include "wire/base/prng.h"

namespace eagre::perf {
namespace {

std::vector<std::byte> random_bytes(size_t count) {
    std::vector<std::byte> bytes(count);
    Prng prng(7);
    for (std::byte& b : bytes) b = static_cast<std::byte>(prng.next());
    return bytes;
}

void crc(benchmark::State& state) {
    const auto bytes = random_bytes(static_cast<size_t>(state.range(0)));
    uint32_t value = 0;
    for (auto _ : state) benchmark::DoNotOptimize(value = crc32c(bytes));
    note_result("crc/" + std::to_string(state.range(0)), value);
    state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(crc)->Arg(60)->Arg(256)->Arg(4096)->Arg(64 << 10);

// The target is a ring larger than any cache, as the open commit's window is.
void crc_copy(benchmark::State& state) {
    const auto bytes = random_bytes(static_cast<size_t>(state.range(0)));
    std::vector<std::byte> target(32 << 20);
    size_t at = 0;
    uint32_t value = 0;
    for (auto _ : state) {
        if (at + bytes.size() > target.size()) at = 0;
        benchmark::DoNotOptimize(value = crc32c_copy(target.data() + at, bytes));
        at += bytes.size();
    }
    note_result("crc_copy/" + std::to_string(state.range(0)), value);
    state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(crc_copy)->Arg(256)->Arg(4096)->Arg(64 << 10);

void histogram_record(benchmark::State& state) {
    Prng prng(11);
    std::vector<uint64_t> values(4096);
    for (uint64_t& v : values) v = 50'000 + prng.below(1'000'000);
    auto histogram = std::make_unique<Histogram>();
    size_t i = 0;
    for (auto _ : state) {
        histogram->record(values[i]);
        i = (i + 1) % values.size();
    }
    benchmark::DoNotOptimize(*histogram);
    histogram->reset();
    for (const uint64_t v : values) histogram->record(v);
    note_result("histogram p99", histogram->percentile(99));
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(histogram_record);

}  // namespace
}  // namespace eagre::perf
