#include "perf/scenarios/record_pool.h"

#include <cstring>

#include "wire/base/prng.h"

namespace eagre::perf {
namespace {

// Half of the smallest L2 we meet (512 KiB), so that the library's own buffers fit beside it.
constexpr size_t kDataBytes = 256 * 1024;

}  // namespace

RecordPool::RecordPool(const RecordPoolOptions& options) {
    Prng prng(options.seed);
    data_.resize(kDataBytes + options.data_bytes);
    for (size_t at = 0; at + 8 <= data_.size(); at += 8) {
        const uint64_t word = prng.next();
        std::memcpy(data_.data() + at, &word, sizeof word);
    }
    keys_.reserve(options.key_count);
    for (uint32_t i = 0; i < options.key_count; ++i)
        keys_.push_back("key-" + std::to_string(10'000'000 + i));
    records_.reserve(kRecordCount);
    for (uint32_t i = 0; i < kRecordCount; ++i) {
        frame::RecordView record;
        record.partition_key = keys_[prng.below(keys_.size())];
        record.data = {data_.data() + prng.below(kDataBytes / 64) * 64, options.data_bytes};
        records_.push_back(record);
    }
}

}  // namespace eagre::perf
