#pragma once
// Reads another source into memory before the clock starts, up to a bound; what does not fit is
// streamed behind it.

#include <cstdint>
#include <memory>
#include <vector>

#include "perf/load/record_source.h"

namespace eagre::load {

/// Enough for some ten million small records; a larger input is streamed from here on.
inline constexpr size_t kPreloadBytesDefault = 512ULL << 20U;

class PreloadedSource final : public RecordSource {
  public:
    /// Reads at most `records_max` records and `bytes_max` bytes of keys and data at once. Throws
    /// as the inner source.
    PreloadedSource(std::unique_ptr<RecordSource> inner, uint64_t records_max,
                    size_t bytes_max = kPreloadBytesDefault);

    std::optional<frame::RecordView> next() override;
    void rewind() override;
    std::string description() const override { return inner_->description(); }

    uint64_t preloaded_count() const { return entries_.size(); }
    /// True when the inner source ended within the bounds: preloaded_count() is all there is.
    bool complete() const { return complete_; }

  private:
    struct Entry {
        uint64_t offset_bytes;  // Of the key; the data follows it.
        uint32_t key_bytes;
        uint32_t data_bytes;
        uint64_t source_time_ns;
    };
    std::unique_ptr<RecordSource> inner_;
    std::vector<std::byte> blob_;
    std::vector<Entry> entries_;
    size_t next_index_ = 0;
    bool complete_ = false;
};

}  // namespace eagre::load
