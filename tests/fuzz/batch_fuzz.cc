// Any bytes as the payload of an append: refused with a typed error, or every record can be read.
// Input: record count (4 bytes, little-endian), limit of a record's data (4 bytes), payload.
#include <span>

#include "tests/fuzz/fuzz_input.h"
#include "wire/base/assert.h"
#include "wire/frame/batch.h"

using namespace eagre;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 8) return 0;
    uint32_t record_count = 0;
    uint32_t record_bytes_max = 0;
    std::memcpy(&record_count, data, 4);
    std::memcpy(&record_bytes_max, data + 4, 4);
    const fuzz::AlignedInput input({data + 8, size - 8});
    const auto view = frame::BatchView::verify(input.bytes(), record_count, record_bytes_max);
    if (!view) {
        EAGRE_ASSERT(view.error().code != Errc::kOk);
        return 0;
    }
    EAGRE_ASSERT_EQ(view->record_count(), record_count);
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < view->record_count(); ++i) {
        const frame::RecordView record = view->record(i);
        EAGRE_ASSERT(!record.partition_key.empty());
        EAGRE_ASSERT_LE(record.partition_key.size(), kPartitionKeyBytesMax);
        EAGRE_ASSERT_LE(record.data.size(), record_bytes_max);
        bytes += record.partition_key.size() + record.data.size();
        fuzz::keep(fuzz::touch(std::as_bytes(std::span(record.partition_key))) +
                   fuzz::touch(record.data));
        fuzz::keep(frame::hash_of(record).low + record.source_time_ns + record.source_sequence);
    }
    EAGRE_ASSERT_EQ(bytes, view->blob_bytes());
    return 0;
}
