// perf_feed_blast: datagrams of a sender who knows nothing of Eagre, at a rate: raw ones, or MoldUDP64 on lines A and B with losses of their own. Each
// has one message that carries its number, so that whoever reads it back knows what is missing. Sends with UDP_SEGMENT. Prints one JSON line.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "perf/ceilings/json_line.h"
#include "perf/ceilings/machine.h"
#include "wire/base/prng.h"
#include "wire/feeds/moldudp64.h"

namespace eagre::perf {
namespace {

struct Options {
    std::vector<std::string> to;
    uint32_t bytes = 256;
    double rate = 100'000;
    double seconds = 2;
    bool mold = false;
    double drop = 0;
    uint32_t segments = 8;
    uint32_t cpu = 1;
    uint64_t seed = 1;
    std::string session = "PERF";
};

struct Line {
    int fd = -1;
    uint64_t sent = 0;
    uint64_t dropped = 0;
    uint64_t refused = 0;
    std::vector<std::byte> segments;  // Of one call.
};

int connect_to(const std::string& text) {
    const size_t colon = text.rfind(':');
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<uint16_t>(std::stoul(text.substr(colon + 1))));
    if (::inet_pton(AF_INET, text.substr(0, colon).c_str(), &to.sin_addr) != 1) return -1;
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const int buffer = 32 << 20;
    (void)::setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof(buffer));
    return ::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == 0 ? fd : -1;
}

void flush(Line& line, uint32_t bytes) {
    if (line.segments.empty()) return;
    iovec slice{line.segments.data(), line.segments.size()};
    msghdr message{};
    message.msg_iov = &slice;
    message.msg_iovlen = 1;
    alignas(8) std::array<char, CMSG_SPACE(sizeof(uint16_t))> control{};
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_UDP;
    head->cmsg_type = UDP_SEGMENT;
    head->cmsg_len = CMSG_LEN(sizeof(uint16_t));
    const auto segment = static_cast<uint16_t>(bytes);
    std::memcpy(CMSG_DATA(head), &segment, sizeof(segment));
    for (int attempt = 0; attempt < 100'000; ++attempt) {
        if (::sendmsg(line.fd, &message, 0) >= 0) break;
        if (errno != EAGAIN && errno != ENOBUFS) {
            line.refused += line.segments.size() / bytes;
            break;
        }
    }
    line.sent += line.segments.size() / bytes;
    line.segments.clear();
}

int run(const Options& options) {
    pin_to_cpu(options.cpu);
    std::vector<Line> lines(options.to.size());
    for (size_t i = 0; i < lines.size(); ++i) {
        lines[i].fd = connect_to(options.to[i]);
        if (lines[i].fd < 0) return std::fprintf(stderr, "perf_feed_blast: cannot send to %s\n", options.to[i].c_str()), 1;
    }
    const size_t message_bytes = options.bytes - (options.mold ? feeds::kMoldHeaderBytes + 2 : 0);
    std::vector<std::byte> message(message_bytes, std::byte{'.'});
    feeds::MoldWriter writer(options.session, options.bytes);
    Prng prng(options.seed);
    const auto drop = static_cast<uint32_t>(options.drop * 10'000);
    uint64_t number = 1;
    uint64_t lost = 0;
    const uint64_t began_ns = monotonic_ns();
    const auto whole = static_cast<uint64_t>(options.rate * options.seconds);
    uint64_t late_ns_max = 0;
    while (number <= whole) {
        const auto due = static_cast<uint64_t>(static_cast<double>(monotonic_ns() - began_ns) * 1e-9 * options.rate);
        if (due < number) continue;
        late_ns_max = std::max(late_ns_max, static_cast<uint64_t>(static_cast<double>(due - number) / options.rate * 1e9));
        const uint64_t until = std::min({due, whole, number + options.segments - 1});
        for (; number <= until; ++number) {
            // Two binary bytes that a key rule can take, then the number as text.
            message[0] = static_cast<std::byte>(number >> 8U & 3U);
            message[1] = static_cast<std::byte>(number);
            std::snprintf(reinterpret_cast<char*>(message.data() + 2), 24, "%020llu", static_cast<unsigned long long>(number));
            std::span<const std::byte> datagram = message;
            if (options.mold) {
                writer.clear();
                writer.add(message);
                datagram = writer.finish(number);
            }
            size_t gone = 0;
            for (Line& line : lines) {
                if (drop != 0 && prng.chance(drop)) {
                    ++line.dropped;
                    ++gone;
                    continue;
                }
                line.segments.insert(line.segments.end(), datagram.begin(), datagram.end());
            }
            if (gone == lines.size()) ++lost;
        }
        for (Line& line : lines) flush(line, options.bytes);
    }
    const double seconds = static_cast<double>(monotonic_ns() - began_ns) * 1e-9;
    for (int i = 0; options.mold && i < 5; ++i) {
        for (Line& line : lines) (void)!::write(line.fd, writer.finish_empty(number, false).data(), feeds::kMoldHeaderBytes);
        ::usleep(20'000);
    }
    JsonLine out;
    uint64_t sent = 0;
    for (const Line& line : lines) sent += line.sent;
    out.add("messages", number - 1).add("sent", sent).add("lost_on_all", lost).add("seconds", seconds).add("rate", static_cast<double>(number - 1) / seconds);
    out.add("late_us_max", static_cast<double>(late_ns_max) / 1e3).add("refused", lines[0].refused);
    std::printf("%s\n", out.text().c_str());
    for (const Line& line : lines) ::close(line.fd);
    return 0;
}

}  // namespace
}  // namespace eagre::perf

int main(int argc, char** argv) {
    CLI::App app{"Datagrams of a sender who knows nothing of Eagre.\nExample: perf_feed_blast --to 10.9.0.2:5000 --to 10.9.0.2:5001 --moldudp64 --drop 1 --rate 300000"};
    eagre::perf::Options options;
    app.add_option("--to", options.to, "ADDRESS:PORT; twice: lines A and B")->required()->allow_extra_args(false);
    app.add_option("--bytes", options.bytes, "Of a datagram")->check(CLI::Range(64U, 1472U))->capture_default_str();
    app.add_option("--rate", options.rate, "Datagrams a second on each line")->capture_default_str();
    app.add_option("--seconds", options.seconds, "How long")->capture_default_str();
    app.add_flag("--moldudp64", options.mold, "Each with its header");
    app.add_option("--drop", options.drop, "Percent that each line loses, by itself")->capture_default_str();
    app.add_option("--segments", options.segments, "Datagrams to a call at most (UDP_SEGMENT)")->check(CLI::Range(1U, 64U))->capture_default_str();
    app.add_option("--cpu", options.cpu, "CPU to run on")->capture_default_str();
    app.add_option("--seed", options.seed, "Of the losses")->capture_default_str();
    app.add_option("--session", options.session, "MoldUDP64's")->capture_default_str();
    CLI11_PARSE(app, argc, argv);
    return eagre::perf::run(options);
}
