#pragma once
// Lines of styled text, as wide as a terminal and never wider: what the layout makes and the
// terminal puts on the glass. Pure.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace eagre::cli::top {

enum class Style : uint8_t { kPlain, kDim, kStrong, kTitle, kGood, kWarning, kAlarm, kSelected };

struct Span {
    std::string text;
    Style style = Style::kPlain;
};

class Line {
  public:
    Line() = default;
    Line(std::string text, Style style = Style::kPlain) { add(std::move(text), style); }

    Line& add(std::string text, Style style = Style::kPlain);
    /// Blanks up to column `width`; nothing when it is there already.
    Line& pad_to(size_t width, Style style = Style::kPlain);
    /// Characters, each one column wide.
    size_t width() const { return width_; }
    const std::vector<Span>& spans() const { return spans_; }
    std::string text() const;
    /// Cuts what is beyond column `width`; the last column kept then shows that something was cut.
    void clip(size_t width, bool utf8);
    /// All of it in one style.
    void paint(Style style);

  private:
    std::vector<Span> spans_;
    size_t width_ = 0;
};

using Screen = std::vector<Line>;

/// The first `width` characters; when something is cut, the last of them says so.
std::string cut_text(std::string_view text, size_t width, bool utf8);

/// One character for each of the last `width` values, scaled to the greatest of them; fewer values
/// stand at the right. A value above 0 is always seen.
std::string sparkline(const std::vector<double>& values, size_t width, bool utf8);

/// `share` (0 to 1) of `width` characters, the rest of them dimly there.
std::string share_bar(double share, size_t width, bool utf8);

}  // namespace eagre::cli::top
