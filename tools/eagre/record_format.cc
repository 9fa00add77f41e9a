#include "tools/eagre/record_format.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tools/eagre/position.h"

namespace eagre::cli {
namespace {

std::string base64(std::span<const std::byte> bytes) {
    static constexpr char kLetters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    for (size_t i = 0; i < bytes.size(); i += 3) {
        const size_t count = std::min<size_t>(3, bytes.size() - i);
        uint32_t group = 0;
        for (size_t k = 0; k < 3; ++k) {
            group = group << 8U | (k < count ? std::to_integer<uint32_t>(bytes[i + k]) : 0U);
        }
        for (size_t k = 0; k < 4; ++k)
            text += k <= count ? kLetters[group >> (18 - 6 * k) & 63U] : '=';
    }
    return text;
}

void append_csv_field(std::string& out, std::string_view field) {
    if (field.find_first_of(",\"\r\n") == std::string_view::npos) {
        out += field;
        return;
    }
    out += '"';
    for (const char c : field) {
        if (c == '"') out += '"';
        out += c;
    }
    out += '"';
}

void append_json(std::string& out, const RecordPlace& place, const frame::RecordView& record,
                 std::string_view data) {
    nlohmann::ordered_json json = {{"shard", place.shard.value},
                                   {"sequence", place.sequence.value},
                                   {"arrival_time", rfc3339(place.arrival_ns)},
                                   {"partition_key", record.partition_key}};
    if (record.source_time_ns != 0) json["source_time"] = rfc3339(record.source_time_ns);
    if (record.source_sequence != 0) json["source_sequence"] = record.source_sequence;
    if (record.gap) json["gap"] = true;
    try {
        // dump() is what checks UTF-8.
        json["data"] = data;
        out += json.dump();
    } catch (const nlohmann::json::type_error&) {
        json.erase("data");
        json["data_base64"] = base64(record.data);
        out += json.dump();
    }
}

}  // namespace

void append_record(std::string& out, RecordFormat format, const RecordPlace& place,
                   const frame::RecordView& record) {
    const std::string_view data(reinterpret_cast<const char*>(record.data.data()),
                                record.data.size());
    switch (format) {
        case RecordFormat::kRaw:
            out += data;
            break;
        case RecordFormat::kJson:
            append_json(out, place, record, data);
            break;
        case RecordFormat::kCsv:
            fmt::format_to(std::back_inserter(out), "{},{},{},", place.shard.value,
                           place.sequence.value, rfc3339(place.arrival_ns));
            append_csv_field(out, record.partition_key);
            out += ',';
            append_csv_field(out, data);
            break;
    }
    out += '\n';
}

}  // namespace eagre::cli
