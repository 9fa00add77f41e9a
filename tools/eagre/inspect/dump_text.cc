// Lines that several dumps share.
#include <algorithm>
#include <ctime>

#include <fmt/format.h>

#include "tools/eagre/inspect/dump.h"
#include "wire/frame/batch.h"

namespace eagre::inspect {
namespace {

constexpr uint64_t kNsPerSecond = 1'000'000'000;

}  // namespace

std::string time_text(uint64_t wall_ns) {
    if (wall_ns == 0) return "-";
    const auto seconds = static_cast<std::time_t>(wall_ns / kNsPerSecond);
    std::tm parts{};
    if (::gmtime_r(&seconds, &parts) == nullptr) return fmt::format("{} ns", wall_ns);
    char text[40];
    const size_t length = std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
    return fmt::format("{}.{:09}Z", std::string_view(text, length), wall_ns % kNsPerSecond);
}

std::string escaped(std::span<const std::byte> bytes, uint32_t bytes_max) {
    std::string text;
    for (const std::byte byte : bytes.first(std::min<size_t>(bytes.size(), bytes_max))) {
        const auto c = static_cast<unsigned char>(byte);
        if (c == '\\' || c == '"') {
            text += '\\';
            text += static_cast<char>(c);
        } else if (c >= 0x20 && c < 0x7F) {
            text += static_cast<char>(c);
        } else {
            text += fmt::format("\\x{:02x}", c);
        }
    }
    if (bytes.size() > bytes_max) text += "...";
    return text;
}

void print_fact(const journal::FactRecord& fact, std::FILE* out) {
    const std::string_view name(fact.name,
                                std::min<size_t>(fact.name_bytes, sizeof(fact.name)));
    const char* state = (fact.flags & journal::kFactDeleted) != 0 ? "deleted"
                        : (fact.flags & journal::kFactOpen) != 0  ? "open"
                                                                   : "closed";
    fmt::print(out,
               "shard {} {} stream {} \"{}\" hash {:016x}{:016x}..{:016x}{:016x} parents {} {} "
               "sequences {}..{} trim_horizon {} opened {} map {} retention_ms {} record_bytes_max "
               "{} command {} epoch {}",
               fact.shard, state, fact.stream, escaped(std::as_bytes(std::span(name)), 128),
               fact.starting_high, fact.starting_low, fact.ending_high, fact.ending_low,
               fact.parent, fact.adjacent_parent, fact.first_sequence, fact.next_sequence,
               fact.trim_horizon, time_text(fact.opened_ns), fact.map_version, fact.retention_ms,
               fact.record_bytes_max, fact.command_id, fact.epoch);
    if (fact.retention_bytes != 0) fmt::print(out, " retention_bytes {}", fact.retention_bytes);
    if (fact.quota_bytes_per_s != 0 || fact.quota_records_per_s != 0)
        fmt::print(out, " quotas {} B/s {} records/s", fact.quota_bytes_per_s, fact.quota_records_per_s);
    fmt::print(out, "\n");
}

bool print_records(std::span<const std::byte> payload, uint32_t record_count,
                   uint64_t first_sequence, const DumpOptions& options, std::FILE* out) {
    const auto batch = frame::BatchView::verify(payload, record_count);
    if (!batch) {
        fmt::print(out, "      DAMAGED: the batch is not valid ({})\n",
                   errc_name(batch.error().code));
        return false;
    }
    for (uint32_t i = 0; options.records && i < batch->record_count(); ++i) {
        const frame::RecordView record = batch->record(i);
        const std::string number =
            first_sequence == 0 ? fmt::format("#{}", i) : fmt::format("{}", first_sequence + i);
        fmt::print(out, "      record {} key \"{}\" {} bytes \"{}\"\n", number,
                   escaped(std::as_bytes(std::span(record.partition_key)), 256),
                   record.data.size(), escaped(record.data, options.data_bytes));
    }
    return true;
}

}  // namespace eagre::inspect
