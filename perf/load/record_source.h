#pragma once
// Where the records of a load come from. A source is used by one thread at a time. Sources are
// cheap (tens of ns a record) or are read into memory before the clock starts (preload.h), so that
// the generator is not what is measured.

#include <cstdint>
#include <optional>
#include <string>

#include "wire/frame/batch.h"

namespace eagre::load {

class RecordSource {
  public:
    virtual ~RecordSource() = default;
    /// The next record, or nothing at the end. Its views live until the next call. Throws
    /// std::runtime_error when the input cannot be read or understood; the text names the place.
    virtual std::optional<frame::RecordView> next() = 0;
    /// Begins again with the first record. Errors as next().
    virtual void rewind() = 0;
    /// One line for the report: what the records are.
    virtual std::string description() const = 0;
};

}  // namespace eagre::load
