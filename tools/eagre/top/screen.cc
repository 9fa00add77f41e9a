#include "tools/eagre/top/screen.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "tools/eagre/text.h"

namespace eagre::cli::top {
namespace {

constexpr std::array<std::string_view, 8> kSteps = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
constexpr std::array<std::string_view, 8> kPlainSteps = {".", ":", "-", "=", "+", "*", "%", "#"};

/// Bytes of the first `width` characters.
size_t bytes_of(std::string_view text, size_t width) {
    size_t at = 0;
    for (; at < text.size(); ++at) {
        const bool begins = (static_cast<unsigned char>(text[at]) & 0xC0U) != 0x80U;
        if (begins && width-- == 0) break;
    }
    return at;
}

}  // namespace

Line& Line::add(std::string text, Style style) {
    width_ += text_width(text);
    if (!spans_.empty() && spans_.back().style == style)
        spans_.back().text += text;
    else
        spans_.push_back({std::move(text), style});
    return *this;
}

Line& Line::pad_to(size_t width, Style style) {
    if (width > width_) add(std::string(width - width_, ' '), style);
    return *this;
}

std::string Line::text() const {
    std::string text;
    for (const Span& span : spans_) text += span.text;
    return text;
}

void Line::clip(size_t width, bool utf8) {
    if (width_ <= width) return;
    size_t room = width;
    for (size_t i = 0; i < spans_.size(); ++i) {
        const size_t wide = text_width(spans_[i].text);
        if (wide < room) {
            room -= wide;
            continue;
        }
        spans_[i].text = wide == room && i + 1 < spans_.size()
                             ? cut_text(spans_[i].text + "x", room, utf8)
                             : cut_text(spans_[i].text, room, utf8);
        spans_.resize(i + 1);
        break;
    }
    width_ = width;
}

void Line::paint(Style style) {
    std::string all = text();
    spans_.clear();
    if (!all.empty()) spans_.push_back({std::move(all), style});
}

std::string cut_text(std::string_view text, size_t width, bool utf8) {
    if (text_width(text) <= width) return std::string(text);
    if (width == 0) return {};
    return std::string(text.substr(0, bytes_of(text, width - 1))) + (utf8 ? "…" : "~");
}

std::string sparkline(const std::vector<double>& values, size_t width, bool utf8) {
    const size_t count = std::min(values.size(), width);
    const auto first = values.end() - static_cast<std::ptrdiff_t>(count);
    const double most = count == 0 ? 0 : *std::max_element(first, values.end());
    std::string line(width - count, ' ');
    for (auto value = first; value != values.end(); ++value) {
        if (*value <= 0 || most <= 0) {
            line += ' ';
            continue;
        }
        const auto step =
            static_cast<size_t>(std::clamp(std::ceil(*value / most * 8.0), 1.0, 8.0) - 1);
        line += utf8 ? kSteps[step] : kPlainSteps[step];
    }
    return line;
}

std::string share_bar(double share, size_t width, bool utf8) {
    const double clamped = std::clamp(share, 0.0, 1.0);
    auto full = static_cast<size_t>(std::lround(clamped * static_cast<double>(width)));
    if (clamped > 0 && full == 0) full = 1;
    std::string bar;
    for (size_t i = 0; i < width; ++i)
        bar += utf8 ? (i < full ? "█" : "░") : (i < full ? "#" : ".");
    return bar;
}

}  // namespace eagre::cli::top
