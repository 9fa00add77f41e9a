// eagre-control: options, the directory's lock, the catalogue, the loop, an orderly end.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/catalog/sqlite_catalog.h"
#include "control/controller.h"
#include "control/log/log.h"
#include "control/metrics/metrics.h"
#include "control/sockets/unix_sockets.h"
#include "wire/base/crash_point.h"
#include "wire/base/limits.h"
#include "wire/identity/key_file.h"

namespace {

using eagre::Errc;
using eagre::Error;
using eagre::Result;
namespace elog = eagre::log;

constexpr uint64_t kTurnNs = 1'000'000'000ULL;
constexpr uint64_t kLastWordsNs =
    1'000'000'000ULL;  // For replies that are half sent when the end comes.

struct Options {
    std::string data = "eagre-data";
    std::string log_level = "info";
    std::string metrics;  // HOST:PORT; empty: no metrics.
    uint32_t metrics_shards = eagre::metrics::kShardSeriesDefault;
    bool insecure = false;
};

/// Holds DATA/control.lock while the process lives: two controls on one directory exclude each
/// other. The kernel lets go at any death.
Result<int> lock_directory(const std::string& data) {
    const std::string path = data + "/control.lock";
    const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return eagre::os_error(Errc::kIo, errno);
    char text[32] = {};
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        const ssize_t bytes = pread(fd, text, sizeof(text) - 1, 0);
        close(fd);
        return eagre::error_of(Errc::kLocked, bytes > 0 ? std::strtoull(text, nullptr, 10) : 0);
    }
    // The pid is for the message above only; the lock is the kernel's.
    const std::string pid = std::to_string(getpid()) + "\n";
    if (ftruncate(fd, 0) != 0 || pwrite(fd, pid.data(), pid.size(), 0) < 0) {
        elog::warning("control", "pid not written path={} errno={}", path, errno);
    }
    return fd;
}

/// SIGTERM and SIGINT as a descriptor that ends a wait. SIGPIPE is nobody's business here.
int stop_signals() {
    signal(SIGPIPE, SIG_IGN);
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, nullptr);
    return signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
}

bool stop_requested(int signal_fd) {
    signalfd_siginfo info{};
    return read(signal_fd, &info, sizeof(info)) == static_cast<ssize_t>(sizeof(info));
}

int fail(const std::string& what, Error error) {
    const std::string reason =
        error.os_errno != 0 ? std::string(": ") + std::strerror(error.os_errno) : std::string();
    elog::error("control", "{}{} reason={} detail={}: {}", what, reason, errc_name(error.code),
                error.detail, errc_advice(error.code));
    return 1;
}

/// Null and 0: nobody asked for metrics.
Result<std::unique_ptr<eagre::metrics::Metrics>> listen_for_scrapers(
    const Options& options, const eagre::control::Controller& controller,
    eagre::sockets::UnixSockets& sockets) {
    if (options.metrics.empty()) return std::unique_ptr<eagre::metrics::Metrics>();
    const auto address = eagre::metrics::HttpAddress::parse(options.metrics);
    if (!address) return address.error();
    if (!address->loopback && !options.insecure) return Errc::kInsecure;
    if (!address->loopback) {
        elog::warning("metrics", "everybody who reaches {} may read the metrics (--insecure)",
                      options.metrics);
    }
    auto metrics = eagre::metrics::Metrics::listen(
        {*address, options.data + "/stats.shm", options.metrics_shards},
        [&controller, &sockets] {
            eagre::metrics::ControlView view{
                controller.table(), controller.ready(), {}, sockets.wall_ns(), controller.refusals()};
            for (auto& group : controller.group_figures()) {
                view.groups.push_back({std::move(group.stream), std::move(group.group),
                                       group.member_count, std::move(group.lag)});
            }
            return view;
        },
        [&sockets] { return sockets.monotonic_ns(); });
    if (!metrics) return metrics.error();
    sockets.wake_on((*metrics)->wait_fd());
    elog::info("metrics", "at http://{}/metrics", (*metrics)->address().text());
    return metrics;
}

int serve(eagre::control::Controller& controller, int signal_fd,
          eagre::client::Transport& transport, eagre::metrics::Metrics* metrics) {
    while (!stop_requested(signal_fd)) {
        uint64_t turn_ns = kTurnNs;
        if (metrics != nullptr) {
            metrics->poll();
            const uint64_t now_ns = transport.monotonic_ns();
            const uint64_t due_ns = metrics->next_deadline_ns();
            turn_ns = std::min(turn_ns, due_ns > now_ns ? due_ns - now_ns : 0);
        }
        controller.poll(turn_ns);
        if (controller.fatal())
            return fail("another eagre-control has taken over this box; this one ends",
                        *controller.fatal());
    }
    elog::info("control", "stopping");
    controller.shut_down();
    const uint64_t end_ns = transport.monotonic_ns() + kLastWordsNs;
    while (controller.sending() && transport.monotonic_ns() < end_ns)
        controller.poll(end_ns - transport.monotonic_ns());
    elog::info("control", "stopped");
    return 0;
}

int run(const Options& options) {
    if (mkdir(options.data.c_str(), 0700) != 0 && errno != EEXIST) {
        return fail("data directory cannot be made path=" + options.data,
                    eagre::os_error(Errc::kIo, errno));
    }
    const auto lock = lock_directory(options.data);
    if (!lock && lock.error().code == Errc::kLocked) {
        elog::error("control",
                    "another eagre-control serves this data directory; stop it first, or choose "
                    "another --data path={} pid={} reason=Locked",
                    options.data, lock.error().detail);
        return 1;
    }
    if (!lock) return fail("data directory cannot be locked path=" + options.data, lock.error());

    const int signal_fd = stop_signals();
    const std::string catalog_path = options.data + "/catalog.sqlite";
    const std::string socket_path = options.data + "/control.sock";
    auto sockets = eagre::sockets::UnixSockets::listen(socket_path, signal_fd);
    if (!sockets) return fail("cannot listen path=" + socket_path, sockets.error());
    auto catalog = eagre::catalog::open_sqlite_catalog(catalog_path, (*sockets)->wall_ns());
    if (!catalog && catalog.error().code == Errc::kNewerFormat) {
        return fail(
            "the catalogue was written by a newer Eagre; start that version path=" + catalog_path,
            catalog.error());
    }
    if (!catalog) return fail("catalogue cannot be opened path=" + catalog_path, catalog.error());

    eagre::identity::Bytes32 fresh;
    for (std::byte& byte : fresh) byte = static_cast<std::byte>((*sockets)->random());
    const auto master = eagre::identity::open_key_file(options.data, fresh);
    if (!master) {
        return fail(
            "key file cannot be used path=" + options.data + "/" + eagre::identity::kKeyFileName,
            master.error());
    }
    eagre::control::ControllerOptions controller_options;
    controller_options.master_key = *master;
    controller_options.channel.address = "unix:" + options.data + "/eagred.sock";
    auto controller =
        eagre::control::Controller::open(**catalog, **sockets, **sockets, controller_options);
    if (!controller)
        return fail("catalogue cannot be read path=" + catalog_path, controller.error());
    const auto metrics = listen_for_scrapers(options, **controller, **sockets);
    if (!metrics && metrics.error().code == Errc::kInsecure) {
        elog::error("metrics",
                    "refusing to listen at {}: whoever reaches it may read the metrics; choose a "
                    "loopback address, or say --insecure if that is meant",
                    options.metrics);
        return 1;
    }
    if (!metrics) return fail("cannot serve metrics at " + options.metrics, metrics.error());
    elog::info("control", "serving socket={} pid={}", socket_path, getpid());
    return serve(**controller, signal_fd, **sockets, metrics->get());
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app(
        "eagre-control: keeps the catalogue of streams and tells the dataplane what there should "
        "be");
    app.add_option("--data", options.data, "Data directory, shared with eagred")
        ->capture_default_str();
    app.add_option("--log-level", options.log_level, "debug, info, warning, error or off")
        ->capture_default_str()
        ->check(CLI::IsMember({"debug", "info", "warning", "error", "off"}));
    app.add_flag_callback(
        "--list-crash-points",
        [] {
            std::fputs(eagre::CrashPoint::list().c_str(), stdout);
            throw CLI::Success();
        },
        "Print the places at which EAGRE_CRASH_AT=NAME[:VISIT] kills this process, for tests");
    app.add_option("--metrics", options.metrics,
                   "Serve metrics for Prometheus at HOST:PORT, like 127.0.0.1:9568 or [::1]:9568 "
                   "(port 0: any) [off]")
        ->check([](const std::string& text) {
            return eagre::metrics::HttpAddress::parse(text)
                       ? std::string()
                       : text + " is not HOST:PORT with a numeric host, like 127.0.0.1:9568";
        });
    app.add_option("--metrics-shards", options.metrics_shards,
                   "Shards with metrics of their own; others count in their stream's")
        ->capture_default_str()
        ->check(CLI::Range(0U, eagre::kBoxShardCountMax));
    app.add_flag("--insecure", options.insecure,
                 "Allow a --metrics address other than loopback: whoever reaches it may read them");
    app.footer("Example:\n  eagre-control --data /var/lib/eagre");
    CLI11_PARSE(app, argc, argv);
    elog::set_level(options.log_level);
    if (eagre::CrashPoint::arm_from_environment())
        elog::warning("control", "EAGRE_CRASH_AT is set: this process will kill itself");
    // What the process makes is its owner's only.
    umask(0077);
    try {
        return run(options);
    } catch (const std::exception& exception) {
        elog::error("control", "ended by an error nobody expected: {}", exception.what());
        return 1;
    }
}
