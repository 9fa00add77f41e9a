// `eagre top`: a live view of a box, from shared memory and from what control says.
#include <algorithm>
#include <csignal>
#include <ctime>
#include <memory>
#include <optional>

#include <fmt/format.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "tools/eagre/commands.h"
#include "tools/eagre/progress.h"
#include "tools/eagre/target.h"
#include "tools/eagre/text.h"
#include "tools/eagre/top/history.h"
#include "tools/eagre/top/layout.h"
#include "tools/eagre/top/settings.h"
#include "tools/eagre/top/surroundings.h"
#include "tools/eagre/top/terminal.h"
#include "tools/eagre/top/view_json.h"

namespace eagre::cli {
namespace top {
namespace {

struct TopOptions {
    Target target;
    double interval_s = 1.0;
    bool once = false;
    bool json = false;
    size_t width = 0;  // Of what --once prints; 0: the terminal's, else kPrintedWidth.
};

constexpr size_t kPrintedWidth = 120;

uint64_t wall_ns() {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000ULL +
           static_cast<uint64_t>(now.tv_nsec);
}

/// Whatever would end us, as a descriptor: the terminal is given back first.
class StopSignals {
  public:
    StopSignals() {
        sigset_t signals;
        sigemptyset(&signals);
        for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) sigaddset(&signals, signal);
        sigprocmask(SIG_BLOCK, &signals, nullptr);
        fd_ = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    }
    ~StopSignals() { close(fd_); }
    StopSignals(const StopSignals&) = delete;
    StopSignals& operator=(const StopSignals&) = delete;

    int fd() const { return fd_; }

  private:
    int fd_ = -1;
};

/// Readings of one box, taken when asked to.
class Watcher {
  public:
    explicit Watcher(const TopOptions& options) : target_(options.target) {}

    void read() {
        auto snapshot = StatsSnapshot::read(target_.stats_file(), monotonic_ns());
        missing_ = !snapshot.has_value();
        if (missing_) {
            error_ = snapshot.error();
            history_.miss();
            return;
        }
        history_.add(std::move(*snapshot));
    }
    View view(const Answers& answers) const {
        View view;
        view.data = target_.data;
        view.now_wall_ns = wall_ns();
        history_.fill(view);
        if (missing_) {
            view.dataplane_up = false;
            view.why_down = error_.code == Errc::kBadVersion && error_.detail != 0
                                ? "eagred is of another version than this eagre"
                                : "eagred has not run with this --data";
        }
        fill(answers, view);
        return view;
    }

  private:
    const Target& target_;
    History history_;
    bool missing_ = false;
    Error error_;
};

/// Waits for a signal until `due_ns`; true: it came.
bool stopped_before(int signal_fd, uint64_t due_ns) {
    for (;;) {
        const uint64_t now_ns = monotonic_ns();
        if (now_ns >= due_ns) return false;
        pollfd polled{signal_fd, POLLIN, 0};
        if (::poll(&polled, 1, static_cast<int>((due_ns - now_ns) / 1'000'000 + 1)) > 0)
            return true;
    }
}

size_t printed_width(const TopOptions& options) {
    if (options.width != 0) return options.width;
    winsize size{};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col != 0) return size.ws_col;
    return kPrintedWidth;
}

/// One frame, or one object, of two readings.
int print_once(const TopOptions& options) {
    const StopSignals signals;
    Watcher watcher(options);
    watcher.read();
    const Answers answers = ask_surroundings(options.target.data, {});
    if (stopped_before(signals.fd(),
                       monotonic_ns() + static_cast<uint64_t>(options.interval_s * 1e9)))
        return 130;
    watcher.read();
    const View view = watcher.view(answers);
    if (options.json) {
        fmt::print("{}\n", view_json(view).dump());
    } else {
        Settings settings;
        const Frame frame =
            draw(view, settings, {printed_width(options), kAllRows, terminal_is_utf8()});
        for (const Line& line : frame.screen) {
            std::string text = line.text();
            text.erase(text.find_last_not_of(' ') + 1);
            fmt::print("{}\n", text);
        }
    }
    return view.dataplane_up ? 0 : 1;
}

/// Takes all keys that wait. Nothing to do but to go on: true.
bool take_keys(Terminal& terminal, const Listing& listing, Settings& settings) {
    for (KeyPress key = terminal.next_key(); key.key != Key::kNone; key = terminal.next_key()) {
        if (key.key == Key::kResize) terminal.redraw();
        if (press(key, listing, settings) == After::kQuit) return false;
    }
    return true;
}

int run_screen(const TopOptions& options) {
    const StopSignals signals;
    const Surroundings surroundings(options.target.data);
    const auto terminal = Terminal::open();
    Watcher watcher(options);
    Settings settings;
    const auto interval_ns = static_cast<uint64_t>(options.interval_s * 1e9);
    watcher.read();
    // The second reading soon, so that there are rates to see.
    uint64_t due_ns = monotonic_ns() + std::min<uint64_t>(interval_ns, 300'000'000);
    View view = watcher.view(surroundings.answers());
    for (;;) {
        const Frame frame = draw(view, settings, terminal->size());
        terminal->show(frame.screen);
        const uint64_t now_ns = monotonic_ns();
        const uint64_t wait_ms = due_ns > now_ns ? (due_ns - now_ns) / 1'000'000 + 1 : 0;
        pollfd polled[] = {{STDIN_FILENO, POLLIN, 0}, {signals.fd(), POLLIN, 0}};
        // A window that changes its size interrupts this; ncurses then has a key for it.
        const int ready = ::poll(polled, 2, static_cast<int>(wait_ms));
        if (ready > 0 && polled[1].revents != 0) return 0;
        // A terminal that has gone reads as ready for ever.
        if (ready > 0 && (polled[0].revents & (POLLHUP | POLLERR | POLLNVAL)) != 0) return 1;
        if (!take_keys(*terminal, frame.listing, settings)) return 0;
        if (monotonic_ns() < due_ns) continue;
        watcher.read();
        due_ns = std::max(due_ns + interval_ns, monotonic_ns());
        if (!settings.paused) view = watcher.view(surroundings.answers());
    }
}

int run_top(const TopOptions& options) {
    if (options.once || options.json || isatty(STDOUT_FILENO) != 1 || isatty(STDIN_FILENO) != 1)
        return print_once(options);
    return run_screen(options);
}

}  // namespace
}  // namespace top

void add_top(CLI::App& app, int& status) {
    CLI::App* command = app.add_subcommand(
        "top", "Watch a box live: rates, latencies, streams, shards, cores, disk");
    auto options = std::make_shared<top::TopOptions>();
    options->target.add_data_option(*command);
    command->add_option("--interval", options->interval_s, "Seconds between two readings [1]")
        ->check(CLI::Range(0.1, 3600.0));
    command->add_flag("--once", options->once,
                      "Print one frame with all rows; so also when the output is no terminal");
    command->add_flag("--json", options->json, "Print one frame as one JSON object");
    command->add_option("--width", options->width, "Columns of --once [the terminal's, else 120]")
        ->check(CLI::Range(40, 1000));
    command->footer(
        "Reads DATA/stats.shm, which costs the dataplane nothing, and asks control what it knows. "
        "It may be started before the\n"
        "box and waits while that is down. Rates are of the last interval, latencies and errors of "
        "the last ten seconds.\n"
        "Keys: q quit, Tab streams, shards or groups, / filter, s sort, r reverse, p pause, arrows "
        "and "
        "Enter select, ? help. With\n"
        "--once and --json the status is 1 when the dataplane is not running.\n\n"
        "Examples:\n"
        "  eagre top\n"
        "  eagre top --once --width 80\n"
        "  eagre top --json | jq '.streams[] | select(.records_in_per_s > 0)'");
    command->callback([options, &status] { status = top::run_top(*options); });
}

}  // namespace eagre::cli
