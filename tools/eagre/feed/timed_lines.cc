// Lines with times of their own.
#include <charconv>
#include <cmath>
#include <stdexcept>

#include <fmt/format.h>

#include "perf/load/file_source.h"
#include "tools/eagre/feed/capture.h"

namespace eagre::cli {
namespace {

class TimedLines final : public CaptureSource {
  public:
    TimedLines(const std::string& path, const LineTimes& times) : path_(path), times_(times), lines_(path, {}) {}

    std::optional<Captured> next() override {
        for (;;) {
            const auto line = lines_.next();
            if (!line) return std::nullopt;
            ++number_;
            const std::string_view text(reinterpret_cast<const char*>(line->data.data()), line->data.size());
            std::string_view field;
            double value = 0;
            if (load::csv_field(text, times_.column, scratch_, field)) {
                const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
                if (error == std::errc() && end == field.data() + field.size() && value >= 0) {
                    ++stats_.taken;
                    return Captured{static_cast<uint64_t>(std::llround(value * static_cast<double>(times_.unit_ns))), line->data};
                }
            }
            // A heading may stand first.
            if (number_ != 1) throw std::runtime_error(fmt::format("{}: line {} has no time in column {}", path_, number_, times_.column));
            ++stats_.others;
        }
    }

  private:
    std::string path_;
    LineTimes times_;
    load::FileSource lines_;
    std::string scratch_;
    uint64_t number_ = 0;
};

}  // namespace

std::unique_ptr<CaptureSource> open_lines(const std::string& path, const LineTimes& times) { return std::make_unique<TimedLines>(path, times); }

}  // namespace eagre::cli
