// nic_probe OPTIONS: opens a device by DPDK as eagred would, and inlets on it, and says what came, as one JSON object when SIGTERM comes:
//   --nic DEVICE (repeatable) --address ADDR/BITS [--cores N] [--no-huge] [--port P]
//   --inlet CORE,ADDR:PORT[,SOURCE] (repeatable)
// Each datagram begins with a number of 4 bytes (network order); an inlet counts those that come twice or out of order. What comes to the
// own port of a core is sent back.
#include <arpa/inet.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "dataplane/io/dpdk/dpdk_nic.h"

using namespace eagre;

namespace {

std::atomic<bool> stopped{false};

struct Inlet {
    uint32_t core = 0;
    io::Address local;
    io::Address source;
    std::string text;
    uint64_t datagrams = 0;
    uint64_t bytes = 0;
    uint64_t disordered = 0;
    uint64_t dropped = 0;
    uint64_t unstamped = 0;
    uint32_t last = 0;
    std::set<uint32_t> numbers;
};

struct Options {
    io::NicOptions nic;
    uint32_t cores = 1;
    uint16_t port = 9000;
    std::vector<Inlet> inlets;
};

[[noreturn]] void fail(const std::string& what) {
    std::fprintf(stderr, "nic_probe: %s\n", what.c_str());
    std::exit(2);
}

Inlet parse_inlet(const std::string& text) {
    Inlet inlet;
    inlet.text = text;
    const size_t comma = text.find(',');
    const size_t colon = text.find(':', comma);
    if (comma == std::string::npos || colon == std::string::npos) fail("--inlet " + text);
    const size_t second = text.find(',', colon);
    inlet.core = static_cast<uint32_t>(std::atoi(text.c_str()));
    inlet.local = io::parse_address(text.substr(comma + 1, colon - comma - 1), static_cast<uint16_t>(std::atoi(text.c_str() + colon + 1)));
    if (second != std::string::npos) inlet.source = io::parse_address(text.substr(second + 1), 0);
    return inlet;
}

Options parse(int argc, char** argv) {
    Options options;
    for (int i = 1; i < argc; ++i) {
        const std::string name = argv[i];
        if (name == "--no-huge") {
            options.nic.huge_pages = false;
            continue;
        }
        if (++i == argc) fail(name + " needs a value");
        const std::string value = argv[i];
        if (name == "--nic") options.nic.devices.push_back(value);
        else if (name == "--cores") options.cores = static_cast<uint32_t>(std::atoi(value.c_str()));
        else if (name == "--port") options.port = static_cast<uint16_t>(std::atoi(value.c_str()));
        else if (name == "--inlet") options.inlets.push_back(parse_inlet(value));
        else if (name == "--address") {
            const size_t slash = value.find('/');
            options.nic.address = io::parse_address(value.substr(0, slash), 0);
            options.nic.prefix_bits = static_cast<uint32_t>(std::atoi(value.c_str() + slash + 1));
        } else {
            fail("unknown: " + name);
        }
    }
    for (uint32_t core = 0; core < options.cores; ++core) options.nic.cpus.push_back(core);
    return options;
}

void take(Inlet& inlet, std::span<const io::RxPacket> packets) {
    for (const io::RxPacket& packet : packets) {
        ++inlet.datagrams;
        inlet.bytes += packet.bytes.size();
        inlet.unstamped += packet.stamped_ns == 0 ? 1 : 0;
        uint32_t number = 0;
        if (packet.bytes.size() >= sizeof(number)) std::memcpy(&number, packet.bytes.data(), sizeof(number));
        number = ntohl(number);
        if (number <= inlet.last && inlet.datagrams > 1) ++inlet.disordered;
        inlet.last = number;
        inlet.numbers.insert(number);
    }
}

void run_core(io::Nic& nic, Options& options, uint32_t core, std::atomic<uint32_t>& ready, shm::NicStats& stats) {
    auto datagrams = nic.datagrams(core);
    if (datagrams == nullptr) fail("this thread can't have a device");
    const auto port = datagrams->open(io::address_text(options.nic.address), static_cast<uint16_t>(options.port + core));
    if (!port) fail("the port is taken");
    std::vector<std::pair<io::InletId, Inlet*>> inlets;
    for (Inlet& inlet : options.inlets) {
        if (inlet.core != core) continue;
        const auto opened = datagrams->open_inlet({inlet.local, inlet.source, {}});
        if (!opened) fail("inlet " + inlet.text + ": error " + std::to_string(static_cast<int>(opened.error().code)));
        inlets.emplace_back(*opened, &inlet);
    }
    ++ready;
    std::array<io::RxPacket, io::kDatagramBurstMax> packets;
    while (!stopped.load(std::memory_order_relaxed)) {
        size_t work = datagrams->rx_burst(packets);
        std::array<io::TxPacket, io::kDatagramBurstMax> answers;
        for (size_t i = 0; i < work; ++i) answers[i] = {packets[i].bytes, packets[i].from};
        if (work > 0) (void)datagrams->tx_burst(std::span(answers).first(work));
        datagrams->release(std::span(packets).first(work));
        for (const auto& [id, inlet] : inlets) {
            for (size_t count = packets.size(); count == packets.size();) {
                count = datagrams->rx_inlet(id, packets);
                take(*inlet, std::span(packets).first(count));
                datagrams->release(std::span(packets).first(count));
                work += count;
            }
        }
        if (work == 0) std::this_thread::sleep_for(std::chrono::nanoseconds(datagrams->wait_ns_max()));
    }
    for (const auto& [id, inlet] : inlets) inlet->dropped = datagrams->inlet_dropped(id);
    datagrams->read_stats(stats);
}

void print(const Options& options, const std::vector<shm::NicStats>& all) {
    std::printf("{\"cores\": [");
    for (size_t i = 0; i < all.size(); ++i) {
        const shm::NicStats& s = all[i];
        const auto put = [](const char* name, uint64_t value, const char* end) { std::printf("\"%s\": %llu%s", name, static_cast<unsigned long long>(value), end); };
        std::printf(i == 0 ? "{" : ", {");
        put("link_up", s.link_up, ", ");
        put("rx_packets", s.rx_packets, ", ");
        put("tx_packets", s.tx_packets, ", ");
        put("missed", s.missed, ", ");
        put("no_mbuf", s.no_mbuf, ", ");
        put("bad_checksum", s.bad_checksum, ", ");
        put("not_ours", s.not_ours, ", ");
        put("arp_in", s.arp_in, ", ");
        put("igmp_queries", s.igmp_queries, ", ");
        put("steered", s.steered, ", ");
        put("steer_full", s.steer_full, "}");
    }
    std::printf("], \"inlets\": {");
    const char* separator = "";
    for (const Inlet& inlet : options.inlets) {
        std::printf("%s\"%s\": {\"datagrams\": %llu, \"distinct\": %zu, \"disordered\": %llu, \"dropped\": %llu, \"unstamped\": %llu}", separator,
                    inlet.text.c_str(), static_cast<unsigned long long>(inlet.datagrams), inlet.numbers.size(),
                    static_cast<unsigned long long>(inlet.disordered), static_cast<unsigned long long>(inlet.dropped),
                    static_cast<unsigned long long>(inlet.unstamped));
        separator = ", ";
    }
    std::printf("}}\n");
}

}  // namespace

int main(int argc, char** argv) {
    Options options = parse(argc, argv);
    std::signal(SIGTERM, [](int) { stopped = true; });
    std::signal(SIGINT, [](int) { stopped = true; });
    std::string why;
    const auto nic = io::DpdkNic::start(options.nic, why);
    if (nic == nullptr) fail(why);
    std::atomic<uint32_t> ready{0};
    std::vector<shm::NicStats> stats(options.cores);
    std::vector<std::thread> threads;
    for (uint32_t core = 0; core < options.cores; ++core) {
        threads.emplace_back([&, core] { run_core(*nic, options, core, ready, stats[core]); });
    }
    while (ready < options.cores) std::this_thread::yield();
    std::printf("ready: %s\n", nic->describe().c_str());
    std::fflush(stdout);
    for (std::thread& thread : threads) thread.join();
    print(options, stats);
    return 0;
}
