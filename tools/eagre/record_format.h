#pragma once
// How `eagre tail` writes a record. Pure functions over text.

#include <cstdint>
#include <string>

#include "wire/base/types.h"
#include "wire/frame/batch.h"

namespace eagre::cli {

enum class RecordFormat : uint8_t { kRaw, kJson, kCsv };

struct RecordPlace {
    ShardId shard;
    SequenceNumber sequence;
    uint64_t arrival_ns = 0;
};

/// Appends one line to `out`. Raw: the data and a line feed. JSON: one object; data that is not
/// UTF-8 becomes "data_base64". CSV (RFC 4180): shard, sequence, arrival time, key, data.
void append_record(std::string& out, RecordFormat format, const RecordPlace& place,
                   const frame::RecordView& record);

/// Heading of the CSV format.
inline constexpr const char* kCsvHeading = "shard,sequence,arrival_time,partition_key,data\n";

}  // namespace eagre::cli
