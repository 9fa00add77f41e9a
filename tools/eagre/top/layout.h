#pragma once
// From figures to a screen: what stands where, at any size from 40 x 10 up. Pure.

#include "tools/eagre/top/screen.h"
#include "tools/eagre/top/settings.h"
#include "tools/eagre/top/view.h"

namespace eagre::cli::top {

struct Size {
    size_t width = 80;
    size_t height = 24;
    bool utf8 = true;
};

struct Frame {
    Screen screen;    // `height` lines at most, none wider than `width`.
    Listing listing;  // What keys work on.
};

/// Height of a frame that shows everything, for printing it: no blank lines, no keys.
inline constexpr size_t kAllRows = 0;

/// `settings` is scrolled so that what is selected is seen. With `size.height` kAllRows the frame
/// is as long as it takes.
Frame draw(const View& view, Settings& settings, const Size& size);

}  // namespace eagre::cli::top
