#pragma once
// The terminal: puts a screen on the glass and reads keys, by ncurses. One at a time; main thread
// only. It gives the terminal back as it was, however the process ends short of kill -9: on
// destruction, and by a handler of its own when the process is about to die by a signal of its own
// making (SIGSEGV, SIGABRT, ...).

#include <memory>
#include <string>

#include "tools/eagre/top/layout.h"
#include "tools/eagre/top/settings.h"

namespace eagre::cli::top {

class Terminal {
  public:
    /// Throws std::runtime_error when the terminal is none that ncurses knows.
    static std::unique_ptr<Terminal> open();
    virtual ~Terminal() = default;

    virtual Size size() const = 0;
    virtual void show(const Screen& screen) = 0;
    /// The next key that was pressed; Key::kNone when there is none. Never waits.
    virtual KeyPress next_key() = 0;
    /// Draws all of it anew with the next show(): something else may have written meanwhile.
    virtual void redraw() = 0;
};

}  // namespace eagre::cli::top
