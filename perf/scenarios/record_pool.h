#pragma once
// Records made before the clock starts, so that the generator costs as little as it can: keys are
// drawn from a fixed set with a seed, data are overlapping windows of one block of random bytes.
// Keys lie in the order in which they are used, so the whole pool is 0.6 MiB, read in sequence but
// for the data: with a vector of views it was 2.3 MiB, out of the L2 cache of the core it measures from.

#include <cstddef>
#include <cstdint>
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
    frame::RecordView record(uint64_t index) const {
        frame::RecordView record;
        fill(index, record);
        return record;
    }
    /// The same, written in place: a view that is made and then copied waits for its own stores, 5 ns each.
    void fill(uint64_t index, frame::RecordView& record) const {
        const Place& place = places_[index % kRecordCount];
        record.partition_key = {keys_.data() + place.key, (&place)[1].key - place.key};
        record.data = {data_.data() + place.data, data_bytes_};
    }

  private:
    struct Place {
        uint32_t key = 0;   // Offset in keys_; it ends where the next begins.
        uint32_t data = 0;  // Offset in data_.
    };
    size_t data_bytes_;
    std::vector<char> keys_;
    std::vector<std::byte> data_;
    std::vector<Place> places_;  // One more than records.
};

}  // namespace eagre::perf
