#pragma once
// The memory window: a ring that mirrors the journal. Positions are bytes of the journal and rise
// for ever; a position and the file offset it maps to agree modulo 4096, so that a write goes from
// the ring to the device as it lies.

#include <algorithm>
#include <cstdint>

#include "dataplane/io/memory.h"

namespace eagre::journal {

class Window {
  public:
    explicit Window(io::MirroredBuffer ring) : ring_(std::move(ring)) {}
    uint64_t bytes() const { return ring_.bytes(); }
    std::byte* at(uint64_t position) { return ring_.at(position); }
    const std::byte* at(uint64_t position) const { return ring_.at(position); }
    /// Everything below `position` has been or may be written to.
    void touch(uint64_t position) { high_ = std::max(high_, position); }
    /// Bytes from here to what has been written still are what was written.
    uint64_t oldest() const { return high_ > bytes() ? high_ - bytes() : 0; }

  private:
    io::MirroredBuffer ring_;
    uint64_t high_ = 0;
};

}  // namespace eagre::journal
