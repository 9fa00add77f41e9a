#include "perf/scenarios/record_pool.h"

#include <cstring>
#include <string>

#include "wire/base/prng.h"

namespace eagre::perf {
namespace {

// A quarter of the smallest L2 we meet (512 KiB), so that the library's own buffers fit beside it.
constexpr size_t kDataBytes = 128 * 1024;

}  // namespace

RecordPool::RecordPool(const RecordPoolOptions& options) : data_bytes_(options.data_bytes) {
    Prng prng(options.seed);
    data_.resize(kDataBytes + data_bytes_);
    for (size_t at = 0; at + 8 <= data_.size(); at += 8) {
        const uint64_t word = prng.next();
        std::memcpy(data_.data() + at, &word, sizeof word);
    }
    places_.reserve(kRecordCount + 1);
    for (uint32_t i = 0; i < kRecordCount; ++i) {
        const std::string key = "key-" + std::to_string(10'000'000 + prng.below(options.key_count));
        places_.push_back({static_cast<uint32_t>(keys_.size()), static_cast<uint32_t>(prng.below(kDataBytes / 64) * 64)});
        keys_.insert(keys_.end(), key.begin(), key.end());
    }
    places_.push_back({static_cast<uint32_t>(keys_.size()), 0});
}

}  // namespace eagre::perf
