#include "control/streams/limits.h"

#include <algorithm>

#include <fmt/core.h>

#include "wire/base/limits.h"
#include "wire/schema/admin_generated.h"

namespace eagre::streams {
namespace {

Complaint out_of_range(uint64_t limit, std::string text) {
    return {error_of(Errc::kBadArgument, limit), std::move(text)};
}

// Characters, not bytes, are limited; continuation bytes (10xxxxxx) don't count.
size_t character_count(const std::string& text) {
    return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
        return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
    }));
}

bool has_control_characters(const std::string& text) {
    return std::any_of(text.begin(), text.end(), [](char c) {
        return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
    });
}

}  // namespace

Limits limits_of(const catalog::StreamRow& row) {
    return {row.retention_ms, row.retention_bytes, row.record_bytes_max, row.quota_bytes_per_s,
            row.quota_records_per_s};
}

void put_limits(catalog::StreamRow& row, const Limits& limits) {
    row.retention_ms = limits.retention_ms;
    row.retention_bytes = limits.retention_bytes;
    row.record_bytes_max = limits.record_bytes_max;
    row.quota_bytes_per_s = limits.quota_bytes_per_s;
    row.quota_records_per_s = limits.quota_records_per_s;
}

Limits LimitsChange::applied_to(const Limits& base) const {
    const auto changes = [this](wire::StreamField field) {
        return (fields & static_cast<uint32_t>(field)) != 0;
    };
    Limits limits = base;
    if (changes(wire::StreamField::RetentionMs)) limits.retention_ms = values.retention_ms;
    if (changes(wire::StreamField::RetentionBytes)) limits.retention_bytes = values.retention_bytes;
    if (changes(wire::StreamField::RecordBytesMax)) limits.record_bytes_max = values.record_bytes_max;
    if (changes(wire::StreamField::QuotaBytesPerS))
        limits.quota_bytes_per_s = values.quota_bytes_per_s;
    if (changes(wire::StreamField::QuotaRecordsPerS))
        limits.quota_records_per_s = values.quota_records_per_s;
    return limits;
}

std::optional<Complaint> find_fault(const Limits& limits) {
    if (limits.retention_ms == 0 || limits.retention_ms > kRetentionMsMax) {
        return out_of_range(kRetentionMsMax,
                            fmt::format("retention is from 1 ms to {} days, not {} ms.",
                                        kRetentionMsMax / 86'400'000, limits.retention_ms));
    }
    if (limits.retention_bytes != 0 && limits.retention_bytes < kRetentionBytesMin) {
        return out_of_range(
            kRetentionBytesMin,
            fmt::format("retention by bytes is at least {} bytes (1 MiB), not {}; 0 is no limit.",
                        kRetentionBytesMin, limits.retention_bytes));
    }
    if (limits.retention_bytes > kRetentionBytesMax) {
        return out_of_range(kRetentionBytesMax,
                            fmt::format("retention by bytes is at most {} bytes; 0 is no limit.",
                                        kRetentionBytesMax));
    }
    if (limits.record_bytes_max == 0 || limits.record_bytes_max > kRecordDataBytesMax) {
        return out_of_range(kRecordDataBytesMax,
                            fmt::format("the longest record is from 1 to {} bytes (10 MiB), not {}.",
                                        kRecordDataBytesMax, limits.record_bytes_max));
    }
    if (std::max(limits.quota_bytes_per_s, limits.quota_records_per_s) > kQuotaPerSMax) {
        return out_of_range(kQuotaPerSMax, fmt::format("a quota is at most {} per second; 0 is none.",
                                                       kQuotaPerSMax));
    }
    return std::nullopt;
}

std::optional<Complaint> find_fault(const catalog::Tags& tags) {
    for (const auto& [key, value] : tags) {
        if (key.empty() || character_count(key) > kTagKeyCharactersMax) {
            return out_of_range(kTagKeyCharactersMax,
                                fmt::format("a tag's key has 1 to {} characters, not {}.",
                                            kTagKeyCharactersMax, character_count(key)));
        }
        if (character_count(value) > kTagValueCharactersMax) {
            return out_of_range(kTagValueCharactersMax,
                                fmt::format("the value of a tag has at most {} characters, not {}.",
                                            kTagValueCharactersMax, character_count(value)));
        }
        if (has_control_characters(key) || has_control_characters(value))
            return out_of_range(0, "a tag has no control characters.");
    }
    if (tags.size() > kTagCountMax) {
        return Complaint{
            error_of(Errc::kLimitExceeded, kTagCountMax),
            fmt::format("a stream has at most {} tags, not {}; take some off with 'eagre stream "
                        "untag'.",
                        kTagCountMax, tags.size())};
    }
    return std::nullopt;
}

}  // namespace eagre::streams
