#pragma once
// Records on their way to standard output, in one of the formats of record_format.h.

#include <cstdint>
#include <string>

#include "tools/eagre/record_format.h"
#include "wire/frame/batch.h"

namespace eagre::cli {

/// "raw", "json" or "csv".
RecordFormat record_format_of(const std::string& name);

class RecordOutput {
  public:
    explicit RecordOutput(RecordFormat format);
    /// Written at the latest when there is much of it.
    void add(const RecordPlace& place, const frame::RecordView& record);
    /// Writes everything added. Throws std::runtime_error.
    void write();
    /// True: whoever read us (head, grep -m) has seen enough.
    bool closed() const { return closed_; }
    uint64_t count() const { return count_; }

  private:
    RecordFormat format_;
    std::string text_;
    uint64_t count_ = 0;
    bool closed_ = false;
};

}  // namespace eagre::cli
