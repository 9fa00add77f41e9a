#include "tools/eagre/record_output.h"

#include <cerrno>
#include <cstring>
#include <stdexcept>

#include <fmt/format.h>
#include <unistd.h>

namespace eagre::cli {
namespace {

constexpr size_t kWriteBytes = 256 * 1024;

}  // namespace

RecordFormat record_format_of(const std::string& name) {
    return name == "json"  ? RecordFormat::kJson
           : name == "csv" ? RecordFormat::kCsv
                           : RecordFormat::kRaw;
}

RecordOutput::RecordOutput(RecordFormat format) : format_(format) {
    if (format_ == RecordFormat::kCsv) text_ = kCsvHeading;
}

void RecordOutput::add(const RecordPlace& place, const frame::RecordView& record) {
    ++count_;
    if (record.gap && format_ != RecordFormat::kJson) {
        // What a feed has missed is no data: said, where it does not get among it.
        fmt::print(stderr, "eagre: missing here: {}\n", std::string_view(reinterpret_cast<const char*>(record.data.data()), record.data.size()));
        return;
    }
    append_record(text_, format_, place, record);
    if (text_.size() >= kWriteBytes) write();
}

void RecordOutput::write() {
    size_t written = 0;
    while (written < text_.size() && !closed_) {
        const ssize_t put = ::write(STDOUT_FILENO, text_.data() + written, text_.size() - written);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0 && errno == EPIPE) {
            closed_ = true;
            break;
        }
        if (put < 0)
            throw std::runtime_error(fmt::format("standard output: {}", std::strerror(errno)));
        written += static_cast<size_t>(put);
    }
    text_.clear();
}

}  // namespace eagre::cli
