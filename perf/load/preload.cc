#include "perf/load/preload.h"

#include <cstring>

#include "wire/base/assert.h"

namespace eagre::load {

PreloadedSource::PreloadedSource(std::unique_ptr<RecordSource> inner, uint64_t records_max,
                                 size_t bytes_max)
    : inner_(std::move(inner)) {
    EAGRE_ASSERT(inner_ != nullptr);
    while (entries_.size() < records_max && blob_.size() < bytes_max) {
        const auto record = inner_->next();
        if (!record) {
            complete_ = true;
            break;
        }
        const auto key =
            std::as_bytes(std::span(record->partition_key.data(), record->partition_key.size()));
        entries_.push_back({blob_.size(), static_cast<uint32_t>(key.size()),
                            static_cast<uint32_t>(record->data.size()), record->source_time_ns});
        blob_.insert(blob_.end(), key.begin(), key.end());
        blob_.insert(blob_.end(), record->data.begin(), record->data.end());
    }
}

std::optional<frame::RecordView> PreloadedSource::next() {
    if (next_index_ == entries_.size()) return complete_ ? std::nullopt : inner_->next();
    const Entry& entry = entries_[next_index_++];
    const std::byte* key = blob_.data() + entry.offset_bytes;
    frame::RecordView record;
    record.partition_key = {reinterpret_cast<const char*>(key), entry.key_bytes};
    record.data = {key + entry.key_bytes, entry.data_bytes};
    record.source_time_ns = entry.source_time_ns;
    return record;
}

void PreloadedSource::rewind() {
    const bool streamed = !complete_;
    next_index_ = 0;
    if (!streamed) return;
    // The inner source stands somewhere behind the preloaded part: bring it back to exactly there.
    inner_->rewind();
    for (size_t i = 0; i < entries_.size(); ++i) {
        if (!inner_->next()) break;
    }
}

}  // namespace eagre::load
