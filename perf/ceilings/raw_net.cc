// raw_net: what one loopback TCP connection gives between two pinned threads: one way in sends of
// one size, and ping-pong (blocking or spinning). Prints one JSON line per measurement. Loopback is
// no NIC.
#include <cerrno>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>
#include <sys/socket.h>
#include <unistd.h>

#include "perf/ceilings/json_line.h"
#include "perf/ceilings/machine.h"
#include "perf/ceilings/tcp_pair.h"
#include "wire/base/limits.h"

namespace eagre::perf {
namespace {

struct Options {
    std::string mode = "stream";
    uint64_t bytes = 64 * kKiB;
    double seconds = 1.0;
    bool spin = false;
    uint32_t server_cpu = 0;
    uint32_t client_cpu = 1;
};

// False when the other side has closed.
bool receive_all(int fd, std::vector<std::byte>& buffer, bool spin) {
    size_t done = 0;
    while (done < buffer.size()) {
        const ssize_t got =
            ::recv(fd, buffer.data() + done, buffer.size() - done, spin ? MSG_DONTWAIT : 0);
        if (got > 0) {
            done += static_cast<size_t>(got);
        } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
            return false;
        }
    }
    return true;
}

bool send_all(int fd, const std::vector<std::byte>& buffer) {
    size_t done = 0;
    while (done < buffer.size()) {
        const ssize_t sent = ::send(fd, buffer.data() + done, buffer.size() - done, MSG_NOSIGNAL);
        if (sent <= 0) return false;
        done += static_cast<size_t>(sent);
    }
    return true;
}

JsonLine stream(const Options& options) {
    const TcpPair pair = connect_tcp_pair();
    uint64_t received = 0;
    uint64_t wall_ns = 0;
    uint64_t server_cpu_ns = 0;
    std::thread server([&] {
        pin_to_cpu(options.server_cpu);
        std::vector<std::byte> buffer(kMiB);
        const uint64_t begin = monotonic_ns();
        while (true) {
            const ssize_t got = ::recv(pair.server, buffer.data(), buffer.size(), 0);
            if (got <= 0) break;
            received += static_cast<uint64_t>(got);
        }
        wall_ns = monotonic_ns() - begin;
        server_cpu_ns = thread_cpu_ns();
    });
    pin_to_cpu(options.client_cpu);
    const std::vector<std::byte> buffer(options.bytes);
    const uint64_t end = monotonic_ns() + static_cast<uint64_t>(options.seconds * 1e9);
    while (monotonic_ns() < end && send_all(pair.client, buffer)) {
    }
    ::close(pair.client);
    server.join();
    ::close(pair.server);
    JsonLine line;
    const double seconds = static_cast<double>(wall_ns) / 1e9;
    line.add("mode", "stream")
        .add("bytes", options.bytes)
        .add("seconds", seconds)
        .add("mb_per_s", static_cast<double>(received) / 1e6 / seconds)
        .add("sends_per_s",
             static_cast<double>(received) / static_cast<double>(options.bytes) / seconds)
        .add("receiver_cpu_share",
             static_cast<double>(server_cpu_ns) / static_cast<double>(wall_ns));
    return line;
}

JsonLine pingpong(const Options& options) {
    const TcpPair pair = connect_tcp_pair();
    std::thread server([&] {
        pin_to_cpu(options.server_cpu);
        std::vector<std::byte> buffer(options.bytes);
        while (receive_all(pair.server, buffer, options.spin) && send_all(pair.server, buffer)) {
        }
    });
    pin_to_cpu(options.client_cpu);
    std::vector<std::byte> buffer(options.bytes);
    Histogram ns;
    uint64_t now = monotonic_ns();
    const uint64_t end = now + static_cast<uint64_t>(options.seconds * 1e9);
    while (now < end && send_all(pair.client, buffer) &&
           receive_all(pair.client, buffer, options.spin)) {
        const uint64_t then = now;
        now = monotonic_ns();
        ns.record(now - then);
    }
    ::close(pair.client);
    server.join();
    ::close(pair.server);
    JsonLine line;
    line.add("mode", "pingpong")
        .add("bytes", options.bytes)
        .add("spin", options.spin)
        .add_us("us", ns);
    return line;
}

}  // namespace
}  // namespace eagre::perf

int main(int argc, char** argv) {
    eagre::perf::Options options;
    CLI::App app{
        "Loopback TCP ceilings between two pinned threads.\nExample: raw_net --mode pingpong "
        "--bytes 256 --spin"};
    app.add_option("--mode", options.mode, "stream or pingpong")
        ->check(CLI::IsMember({"stream", "pingpong"}));
    app.add_option("--bytes", options.bytes, "Bytes per send")
        ->check(CLI::Range(uint64_t{1}, uint64_t{8} << 20U));
    app.add_option("--seconds", options.seconds, "How long")->check(CLI::Range(0.01, 600.0));
    app.add_flag("--spin", options.spin, "pingpong: poll instead of blocking");
    app.add_option("--server-cpu", options.server_cpu, "CPU of the receiving thread");
    app.add_option("--client-cpu", options.client_cpu, "CPU of the sending thread");
    CLI11_PARSE(app, argc, argv);
    const auto line =
        options.mode == "stream" ? eagre::perf::stream(options) : eagre::perf::pingpong(options);
    std::printf("%s\n", line.text().c_str());
    return 0;
}
