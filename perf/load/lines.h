#pragma once
// Bytes to lines: what a file or a pipe gives, cut at line feeds, with a bound on the length of one
// line.

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "wire/base/limits.h"

namespace eagre::load {

class LineSplitter {
  public:
    /// Takes bytes as they come. Invalidates lines given before. Throws std::runtime_error when a
    /// line grows past kRecordDataBytesMax.
    void feed(std::span<const char> bytes);
    /// No more bytes will come: what is left is the last line.
    void finish() { finished_ = true; }
    /// True and the next line, without its end (LF or CRLF); empty lines are skipped. False: none
    /// is whole yet.
    bool next(std::string_view& line);

  private:
    std::string buffer_;
    size_t from_ = 0;
    size_t searched_ = 0;
    bool finished_ = false;
};

}  // namespace eagre::load
