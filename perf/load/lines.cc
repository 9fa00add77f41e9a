#include "perf/load/lines.h"

#include <algorithm>
#include <stdexcept>

namespace eagre::load {

void LineSplitter::feed(std::span<const char> bytes) {
    buffer_.erase(0, from_);
    searched_ -= std::min(searched_, from_);
    from_ = 0;
    buffer_.append(bytes.data(), bytes.size());
    if (buffer_.size() > kRecordDataBytesMax + bytes.size() &&
        buffer_.find('\n') == std::string::npos) {
        throw std::runtime_error("a line is longer than a record may be (10 MiB)");
    }
}

bool LineSplitter::next(std::string_view& line) {
    while (from_ < buffer_.size()) {
        const size_t end = buffer_.find('\n', std::max(from_, searched_));
        if (end == std::string::npos && !finished_) {
            searched_ = buffer_.size();
            return false;
        }
        const size_t stop = end == std::string::npos ? buffer_.size() : end;
        line = std::string_view(buffer_).substr(from_, stop - from_);
        from_ = std::min(stop + 1, buffer_.size());
        if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
        if (!line.empty()) return true;
    }
    return false;
}

}  // namespace eagre::load
