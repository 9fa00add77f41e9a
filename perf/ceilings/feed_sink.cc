// feed_sink: a program that only counts datagrams, by the back ends that Eagre itself receives with: kernel sockets (recvmmsg, each packet stamped) or
// a device polled by DPDK. What a feed costs beyond it is what it takes to make the datagrams durable. Prints one JSON line.
#include <array>
#include <csignal>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "dataplane/io/uring/uring_io.h"
#include "perf/ceilings/json_line.h"
#include "perf/ceilings/machine.h"
#if EAGRE_HAVE_DPDK
#include "dataplane/io/dpdk/dpdk_nic.h"
#endif

namespace eagre::perf {
namespace {

struct Options {
    std::vector<std::string> udp;
    std::string nic = "uring";
    std::string nic_address;
    bool no_huge = false;
    double seconds = 2;
    uint32_t cpu = 0;
    std::string root = "/tmp";
};

std::unique_ptr<io::Nic> start_nic([[maybe_unused]] const Options& options, std::string& wrong) {
#if EAGRE_HAVE_DPDK
    io::NicOptions nic;
    nic.devices = {options.nic};
    nic.address = io::parse_address(options.nic_address, 0);
    nic.huge_pages = !options.no_huge;
    nic.cpus = {options.cpu};
    nic.seed = 1;
    return io::DpdkNic::start(nic, wrong);
#else
    wrong = "built without DPDK";
    return nullptr;
#endif
}

int run(const Options& options) {
    pin_to_cpu(options.cpu);
    auto uring = io::UringIo::create({options.root});
    if (!uring) return std::fputs("feed_sink: no io_uring\n", stderr), 1;
    io::Io io = (*uring)->io();
    const bool polls = options.nic != "uring";
    std::unique_ptr<io::Nic> nic;
    std::unique_ptr<io::Datagrams> device;
    if (polls) {
        std::string wrong;
        nic = start_nic(options, wrong);
        if (nic == nullptr) return std::fprintf(stderr, "feed_sink: %s\n", wrong.c_str()), 1;
        device = nic->datagrams(0);
    }
    pin_to_cpu(options.cpu);  // DPDK leaves its own mask behind.
    io::Datagrams& datagrams = polls ? *device : io.datagrams;
    std::vector<io::InletId> inlets;
    for (const std::string& text : options.udp) {
        const size_t colon = text.rfind(':');
        const auto inlet = datagrams.open_inlet({io::parse_address(text.substr(0, colon), static_cast<uint16_t>(std::stoul(text.substr(colon + 1)))), {}, {}});
        if (!inlet) return std::fprintf(stderr, "feed_sink: cannot listen at %s\n", text.c_str()), 1;
        inlets.push_back(*inlet);
    }
    std::puts("ready");
    std::fflush(stdout);
    uint64_t count = 0;
    uint64_t bytes = 0;
    uint64_t busy_ns = 0;
    uint64_t first_ns = 0;
    uint64_t cpu_from_ns = 0;
    std::array<io::RxPacket, io::kDatagramBurstMax> packets;
    const auto end_ns = monotonic_ns() + static_cast<uint64_t>(options.seconds * 1e9);
    while (monotonic_ns() < end_ns) {
        const uint64_t before_ns = monotonic_ns();
        if (!polls) io.events.wait(1'000'000);
        else io.events.poll();
        size_t got = 0;
        for (const io::InletId inlet : inlets) {
            for (;;) {
                const size_t burst = datagrams.rx_inlet(inlet, packets);
                for (const io::RxPacket& packet : std::span(packets).first(burst)) bytes += packet.bytes.size();
                datagrams.release(std::span(packets).first(burst));
                got += burst;
                if (burst < packets.size()) break;
            }
        }
        if (got == 0) continue;
        if (first_ns == 0) {
            first_ns = before_ns;
            cpu_from_ns = thread_cpu_ns();
        }
        count += got;
        busy_ns += monotonic_ns() - before_ns;
    }
    JsonLine line;
    line.add("datagrams", count).add("bytes", bytes);
    // A polling thread is always busy: what counts is the time of the rounds that found something. One that waits is charged for all it did.
    const uint64_t spent_ns = polls ? busy_ns : thread_cpu_ns() - cpu_from_ns;
    line.add("ns_per_datagram", count == 0 ? 0.0 : static_cast<double>(spent_ns) / static_cast<double>(count));
    std::printf("%s\n", line.text().c_str());
    for (const io::InletId inlet : inlets) datagrams.close_inlet(inlet);
    device.reset();
    return 0;
}

}  // namespace
}  // namespace eagre::perf

int main(int argc, char** argv) {
    CLI::App app{"feed_sink: count datagrams, and nothing else"};
    eagre::perf::Options options;
    app.add_option("--udp", options.udp, "ADDRESS:PORT, repeatable")->required()->allow_extra_args(false);
    app.add_option("--nic", options.nic, "uring, or a device as DPDK names it")->capture_default_str();
    app.add_option("--nic-address", options.nic_address, "IPv4 address to answer to there");
    app.add_flag("--no-huge", options.no_huge, "Without huge pages");
    app.add_option("--seconds", options.seconds, "How long")->capture_default_str();
    app.add_option("--cpu", options.cpu, "CPU to run on")->capture_default_str();
    app.add_option("--root", options.root, "A directory to be in")->capture_default_str();
    CLI11_PARSE(app, argc, argv);
    return eagre::perf::run(options);
}
