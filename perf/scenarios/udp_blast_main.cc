// perf_udp_blast: prebuilt batches by acknowledged datagrams; see udp_blast.h.
#include <algorithm>
#include <cstdio>
#include <string>

#include <CLI/CLI.hpp>

#include "perf/ceilings/machine.h"
#if EAGRE_HAVE_DPDK
#include "perf/scenarios/nic_transport.h"
#endif
#include "perf/scenarios/udp_blast.h"
#include "wire/base/errc.h"

int main(int argc, char** argv) {
    eagre::perf::UdpBlastOptions options;
    int cpu = -1;
    CLI::App app{
        "Sends prebuilt batches as acknowledged datagrams, and prints one JSON line.\n"
        "Example: perf_udp_blast --port 4568 --cpu 1 --stream perf --seconds 2"};
    app.add_option("--port", options.port, "Port of the owning core, on loopback");
    app.add_option("--cpu", cpu, "CPU to run on; -1: any");
    app.add_option("--stream", options.stream, "Stream, which must exist");
    app.add_option("--datagram-bytes", options.datagram_bytes, "Largest datagram");
    app.add_option("--records", options.record_count, "Records per datagram; 0: as many as fit");
    app.add_option("--producers", options.producer_count, "Producers of each shard");
    app.add_option("--warmup", options.warmup_s, "Seconds that don't count");
    app.add_option("--seconds", options.seconds, "Seconds that count");
    app.add_option("--keys", options.pool.key_count, "Distinct partition keys");
    app.add_option("--record-bytes", options.pool.data_bytes, "Data of a record");
    app.add_flag("--loose", options.loose, "Fire and forget");
    std::string nic;
    std::string nic_address;
    app.add_option("--nic", nic, "Send through this device, as DPDK names it");
    app.add_option("--nic-address", nic_address, "Our IPv4 address there");
    CLI11_PARSE(app, argc, argv);
    if (!nic.empty()) {
        std::string why = "built without DPDK";
#if EAGRE_HAVE_DPDK
        options.transport = eagre::perf::make_nic_transport(nic, nic_address, static_cast<uint32_t>(std::max(cpu, 0)), why);
#endif
        if (options.transport == nullptr) {
            std::fprintf(stderr, "perf_udp_blast: %s\n", why.c_str());
            return 1;
        }
    }
    if (cpu >= 0) eagre::perf::pin_to_cpu(static_cast<uint32_t>(cpu));
    const auto line = eagre::perf::run_udp_blast(std::move(options));
    if (!line) {
        std::fprintf(stderr, "perf_udp_blast: %s (detail %llu)\n", std::string(eagre::errc_name(line.error().code)).c_str(),
                     static_cast<unsigned long long>(line.error().detail));
        return 1;
    }
    std::printf("%s\n", line->text().c_str());
    return 0;
}
