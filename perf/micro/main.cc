// perf_micro: nanoseconds of the small functions that every record passes through.
#include <cinttypes>
#include <cstdio>
#include <map>
#include <string>

#include <benchmark/benchmark.h>

#include "perf/micro/results.h"
#include "wire/base/assert.h"

namespace eagre::perf {
namespace {

std::map<std::string, uint64_t, std::less<>>& results() {
    static std::map<std::string, uint64_t, std::less<>> map;
    return map;
}

constexpr uint64_t kFnvOffset = 0xCBF29CE484222325ULL;
constexpr uint64_t kFnvPrime = 0x100000001B3ULL;

}  // namespace

void note_result(std::string_view name, uint64_t value) {
    const auto [place, is_new] = results().emplace(name, value);
    if (!is_new) EAGRE_ASSERT_EQ(place->second, value);
}

uint64_t result_hash() {
    uint64_t hash = kFnvOffset;
    const auto fold = [&](uint64_t byte) { hash = (hash ^ byte) * kFnvPrime; };
    for (const auto& [name, value] : results()) {
        for (const char c : name) fold(static_cast<unsigned char>(c));
        for (unsigned shift = 0; shift < 64; shift += 8) fold((value >> shift) & 0xFFU);
    }
    return hash;
}

}  // namespace eagre::perf

int main(int argc, char** argv) {
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
    benchmark::RunSpecifiedBenchmarks();
    std::printf("result hash %016" PRIx64 "\n", eagre::perf::result_hash());
    return 0;
}
