#pragma once
// Records made before the clock starts, so that the generator costs as little as it can: keys are
// drawn from a fixed set with a seed, data are overlapping windows of one block of random bytes
// that stays in the L2 cache.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "wire/frame/batch.h"

namespace eagre::perf {

struct RecordPoolOptions {
    uint32_t key_count = 1024;
    uint32_t data_bytes = 256;
    uint64_t seed = 1;
};

class RecordPool {
  public:
    /// Records are repeated after this many; a power of two.
    static constexpr uint32_t kRecordCount = 16 * 1024;

    explicit RecordPool(const RecordPoolOptions& options);

    /// The `index`-th record of an endless sequence.
    const frame::RecordView& record(uint64_t index) const { return records_[index % kRecordCount]; }

  private:
    std::vector<std::string> keys_;
    std::vector<std::byte> data_;
    std::vector<frame::RecordView> records_;
};

}  // namespace eagre::perf
