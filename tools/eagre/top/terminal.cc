#include "tools/eagre/top/terminal.h"

#include <algorithm>
#include <array>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

#include <fmt/format.h>
#include <termios.h>
#include <unistd.h>

#include "tools/eagre/text.h"

// After all other headers, and without its macros: they are called clear, move and timeout.
#define NCURSES_NOMACROS 1
#include <curses.h>
#include <term.h>

namespace eagre::cli::top {
namespace {

constexpr int kEscapeDelayMs = 25;  // Between Esc and what follows it in the sequence of a key.
constexpr std::array<int, 5> kDeaths = {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL};

// For the handler below, which may do next to nothing.
termios saved_modes{};
char leave_sequence[256] = {};
size_t leave_bytes = 0;

/// Only calls that are safe in a handler. The signal then does what it was going to.
void give_back_and_die(int signal) {
    [[maybe_unused]] const ssize_t written = write(STDOUT_FILENO, leave_sequence, leave_bytes);
    tcsetattr(STDIN_FILENO, TCSANOW, &saved_modes);
    std::signal(signal, SIG_DFL);
    raise(signal);
}

void remember_leave_sequence() {
    std::string sequence;
    for (const char* name : {"sgr0", "cnorm", "rmcup", "rmkx"}) {
        const char* part = tigetstr(name);
        if (part != nullptr && part != reinterpret_cast<const char*>(-1)) sequence += part;
    }
    leave_bytes = std::min(sequence.size(), sizeof(leave_sequence));
    std::memcpy(leave_sequence, sequence.data(), leave_bytes);
}

enum Pair : short { kPairGood = 1, kPairWarning = 2, kPairAlarm = 3 };

class CursesTerminal final : public Terminal {
  public:
    CursesTerminal() {
        tcgetattr(STDIN_FILENO, &saved_modes);
        std::setlocale(LC_CTYPE, "");
        screen_ = newterm(nullptr, stdout, stdin);
        if (screen_ == nullptr) {
            const char* term = std::getenv("TERM");
            throw std::runtime_error(
                fmt::format("this terminal (TERM={}) can't be drawn on: try --once or --json",
                            term == nullptr ? "" : term));
        }
        set_escdelay(kEscapeDelayMs);
        cbreak();
        noecho();
        nonl();
        keypad(stdscr, TRUE);
        nodelay(stdscr, TRUE);
        curs_set(0);
        if (has_colors()) {
            start_color();
            use_default_colors();
            init_pair(kPairGood, COLOR_GREEN, -1);
            init_pair(kPairWarning, COLOR_YELLOW, -1);
            init_pair(kPairAlarm, COLOR_RED, -1);
        }
        remember_leave_sequence();
        for (const int signal : kDeaths) std::signal(signal, give_back_and_die);
    }
    ~CursesTerminal() override {
        for (const int signal : kDeaths) std::signal(signal, SIG_DFL);
        endwin();
        delscreen(screen_);
    }

    Size size() const override {
        return {static_cast<size_t>(std::max(COLS, 1)), static_cast<size_t>(std::max(LINES, 1)),
                terminal_is_utf8()};
    }

    void show(const Screen& screen) override {
        werase(stdscr);
        for (size_t row = 0; row < screen.size() && row < static_cast<size_t>(LINES); ++row) {
            wmove(stdscr, static_cast<int>(row), 0);
            for (const Span& span : screen[row].spans()) {
                wattrset(stdscr, static_cast<int>(attributes(span.style)));
                waddstr(stdscr, span.text.c_str());
            }
        }
        wattrset(stdscr, 0);
        wrefresh(stdscr);
    }

    KeyPress next_key() override {
        const int code = wgetch(stdscr);
        switch (code) {
            case ERR:
                return {};
            case KEY_UP:
                return {Key::kUp, 0};
            case KEY_DOWN:
                return {Key::kDown, 0};
            case KEY_LEFT:
                return {Key::kLeft, 0};
            case KEY_RIGHT:
                return {Key::kRight, 0};
            case KEY_PPAGE:
                return {Key::kPageUp, 0};
            case KEY_NPAGE:
                return {Key::kPageDown, 0};
            case KEY_HOME:
                return {Key::kHome, 0};
            case KEY_END:
                return {Key::kEnd, 0};
            case KEY_ENTER:
            case '\r':
            case '\n':
                return {Key::kEnter, 0};
            case KEY_BACKSPACE:
            case '\b':
            case 127:
                return {Key::kBackspace, 0};
            case '\t':
                return {Key::kTab, 0};
            case 27:
                return {Key::kEscape, 0};
            case KEY_RESIZE:
                return {Key::kResize, 0};
            default:
                // What has no meaning here is still a key: the caller must not stop reading.
                return code >= ' ' && code <= '~'
                           ? KeyPress{Key::kCharacter, static_cast<char>(code)}
                           : KeyPress{Key::kResize, 0};
        }
    }

    void redraw() override { clearok(stdscr, TRUE); }

  private:
    static attr_t attributes(Style style) {
        switch (style) {
            case Style::kPlain:
                return A_NORMAL;
            case Style::kDim:
                return A_DIM;
            case Style::kStrong:
                return A_BOLD;
            case Style::kTitle:
                return A_DIM | A_UNDERLINE;
            case Style::kGood:
                return static_cast<attr_t>(COLOR_PAIR(kPairGood));
            case Style::kWarning:
                return A_BOLD | static_cast<attr_t>(COLOR_PAIR(kPairWarning));
            case Style::kAlarm:
                return A_BOLD | A_REVERSE | static_cast<attr_t>(COLOR_PAIR(kPairAlarm));
            case Style::kSelected:
                return A_REVERSE;
        }
        return A_NORMAL;
    }

    SCREEN* screen_ = nullptr;
};

}  // namespace

std::unique_ptr<Terminal> Terminal::open() {
    return std::make_unique<CursesTerminal>();
}

}  // namespace eagre::cli::top
