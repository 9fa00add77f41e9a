// perf_blast: prebuilt frames over one bare connection; see blast.h.
#include <cstdio>
#include <string>

#include <CLI/CLI.hpp>

#include "perf/ceilings/machine.h"
#include "perf/scenarios/blast.h"
#include "wire/base/errc.h"

int main(int argc, char** argv) {
    eagre::perf::BlastOptions options;
    int cpu = -1;
    CLI::App app{
        "Sends prebuilt append frames as fast as a window lets, and prints one JSON line.\n"
        "Example: perf_blast --port 4568 --cpu 1 --stream perf --seconds 2"};
    app.add_option("--port", options.port, "TCP port of the owning core, on loopback");
    app.add_option("--cpu", cpu, "CPU to run on; -1: any");
    app.add_option("--stream", options.stream, "Stream, which must exist");
    app.add_option("--batch-bytes", options.batch_bytes, "Payload of a frame");
    app.add_option("--window-bytes", options.window_bytes, "Unacknowledged at most");
    app.add_option("--warmup", options.warmup_s, "Seconds that don't count");
    app.add_option("--seconds", options.seconds, "Seconds that count");
    app.add_option("--keys", options.pool.key_count,
                   "Distinct partition keys; every shard needs one");
    app.add_option("--record-bytes", options.pool.data_bytes, "Data of a record");
    CLI11_PARSE(app, argc, argv);
    if (cpu >= 0) eagre::perf::pin_to_cpu(static_cast<uint32_t>(cpu));
    const auto line = eagre::perf::run_blast(options);
    if (!line) {
        std::fprintf(stderr, "perf_blast: %s\n",
                     std::string(eagre::errc_name(line.error().code)).c_str());
        return 1;
    }
    std::printf("%s\n", line->text().c_str());
    return 0;
}
