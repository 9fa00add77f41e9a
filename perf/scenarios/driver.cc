// perf_driver: one client beside one server, on a core of its own. `ingest` pushes as fast as the
// window lets, `paced` on an open-loop schedule with single-record frames, `catchup` reads a shard
// from its beginning; `create`, `serving` and `stats` are what perf/check needs between
// measurements. Prints one JSON line. It says how busy it was itself (generator_cpu_share):
// near 1.0 with a blocking transport, the figure is the generator's limit, not the server's.
#include <cstdio>
#include <functional>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>

#include "perf/ceilings/machine.h"
#include "perf/scenarios/box.h"
#include "perf/scenarios/catchup.h"
#include "perf/scenarios/handover.h"
#include "perf/scenarios/ingest.h"
#include "perf/scenarios/reshard.h"
#include "wire/client/transport.h"

namespace eagre::perf {
namespace {

struct Options {
    client::ClientOptions client;
    int cpu = -1;
    bool spin = false;
    IngestOptions ingest;
    CatchupOptions catchup;
    CreateOptions create;
    ServingOptions serving;
    HandoverOptions handover;
    ReshardOptions reshard;
    std::string stats_path;
};

int print(const char* mode, Result<JsonLine> line) {
    if (!line) {
        std::fprintf(stderr, "perf_driver: %s: %s (detail %llu)\n", mode,
                     std::string(errc_name(line.error().code)).c_str(),
                     static_cast<unsigned long long>(line.error().detail));
        return 1;
    }
    line->add("mode", mode).add("rss_bytes", resident_bytes_max());
    std::printf("%s\n", line->text().c_str());
    return 0;
}

int run(const Options& options, const char* mode,
        const std::function<Result<JsonLine>(client::Client&)>& scenario) {
    auto client = client::Client::connect(client::make_tcp_transport(options.spin), options.client);
    if (!client) return print("connect", client.error());
    return print(mode, scenario(**client));
}

void add_producer_options(CLI::App& app, IngestOptions& ingest) {
    app.add_option("--batch-bytes", ingest.producer.batch_bytes, "A batch is sent at this size");
    app.add_option("--batch-records", ingest.producer.batch_record_count,
                   "... or this many records");
    app.add_option("--linger-ns", ingest.producer.linger_ns,
                   "... or this long after its first record");
    app.add_option("--window-bytes", ingest.producer.window_bytes, "Unacknowledged at most");
    app.add_option("--hot-keys", ingest.producer.hot_key_count, "Keys whose hash is remembered");
}

void add_pool_options(CLI::App& app, RecordPoolOptions& pool) {
    app.add_option("--keys", pool.key_count, "Distinct partition keys")
        ->check(CLI::Range(1U, 1U << 20U));
    app.add_option("--record-bytes", pool.data_bytes, "Data of a record");
    app.add_option("--seed", pool.seed, "Seed of keys and data");
}

}  // namespace
}  // namespace eagre::perf

int main(int argc, char** argv) {
    using namespace eagre::perf;
    Options options;
    CLI::App app{
        "Drives one server through the client library and prints one JSON line.\n"
        "Example: perf_driver --port 4568 --cpu 1 ingest --stream perf --seconds 2"};
    app.require_subcommand(1);
    app.add_option("--address", options.client.address, "Numeric address of the server");
    app.add_option("--port", options.client.port, "TCP port of core 0");
    app.add_option("--cpu", options.cpu, "CPU to run on; -1: any");
    app.add_flag("--udp", options.client.datagrams, "Batches as acknowledged datagrams");
    std::string tls_ca;
    app.add_option("--tls-ca", tls_ca, "Speak TLS, and trust whom this PEM file names");
    app.add_flag("--spin", options.spin, "Poll the network instead of blocking");

    CLI::App* ingest = app.add_subcommand("ingest", "Push as fast as the window lets");
    CLI::App* paced =
        app.add_subcommand("paced", "Open loop; single-record frames unless told otherwise");
    for (CLI::App* command : {ingest, paced}) {
        command->add_option("--stream", options.ingest.stream, "Stream, which must exist");
        add_producer_options(*command, options.ingest);
        add_pool_options(*command, options.ingest.pool);
        command->add_option("--warmup", options.ingest.warmup_s, "Seconds that don't count");
        command->add_option("--seconds", options.ingest.seconds, "Seconds that count");
        command->add_option("--records", options.ingest.record_count_max,
                            "Stop after this many records");
    }
    paced->add_option("--rate", options.ingest.rate_per_s, "Records per second")->required();

    CLI::App* catchup =
        app.add_subcommand("catchup", "Read one shard from its trim horizon to its tail");
    catchup->add_option("--stream", options.catchup.stream, "Stream, which must exist");
    catchup->add_option("--shard-index", options.catchup.shard_index,
                        "Which shard of the stream, from 0");
    catchup->add_option("--credit-bytes", options.catchup.credit_bytes, "What may be on its way");
    catchup->add_option("--seconds", options.catchup.seconds_max, "Give up after this long");
    catchup->add_option("--records", options.catchup.record_count_max,
                        "Stop after this many records");

    CLI::App* reshard = app.add_subcommand("reshard", "Open loop while shards are split and merged: how long a writer pauses");
    reshard->add_option("--socket", options.reshard.socket_path, "DATA/control.sock")->required();
    reshard->add_option("--stream", options.reshard.stream, "Stream, which must exist");
    reshard->add_option("--rate", options.reshard.rate_per_s, "Records per second");
    reshard->add_option("--count", options.reshard.reshard_count, "Splits and merges, in turn");

    CLI::App* create = app.add_subcommand("create", "Create a stream through eagre-control");
    create->add_option("--socket", options.create.socket_path, "DATA/control.sock")->required();
    create->add_option("--stream", options.create.stream, "Its name");
    create->add_option("--shards", options.create.shard_count, "How many shards");
    create->add_option("--retention-ms", options.create.retention_ms, "How long records are kept");

    CLI::App* serving = app.add_subcommand(
        "serving", "Wait until a record goes in and comes out; says when (CLOCK_MONOTONIC)");
    serving->add_option("--stream", options.serving.stream, "Stream, which must exist");

    CLI::App* handover = app.add_subcommand("handover", "A member of a consumer group leaves and comes back");
    handover->add_option("--stream", options.handover.stream, "Stream, which must exist");
    handover->add_option("--leaves", options.handover.leave_count, "How often");

    CLI::App* stats = app.add_subcommand("stats", "Counters of a running box, all cores added up");
    stats->add_option("file", options.stats_path, "DATA/stats.shm")->required();

    // Single-record frames, each sent at once, unless an option says otherwise; set before parsing,
    // so that options win.
    if (argc > 1) {
        for (int i = 1; i < argc; ++i) {
            if (std::string(argv[i]) != "paced") continue;
            options.ingest.producer.linger_ns = 0;
            options.ingest.producer.batch_record_count = 1;
        }
    }
    CLI11_PARSE(app, argc, argv);
    if (options.cpu >= 0 && !pin_to_cpu(static_cast<uint32_t>(options.cpu))) {
        std::fprintf(stderr, "perf_driver: cannot run on CPU %d\n", options.cpu);
        return 1;
    }
    if (!tls_ca.empty()) options.client.tls = eagre::client::TlsOptions{tls_ca, {}};
    options.serving.client = options.client;
    options.handover.client = options.client;
    if (*handover) return print("handover", run_handover(options.handover));
    if (*create) return print("create", create_stream(options.create));
    if (*serving) return print("serving", wait_until_serving(options.serving));
    if (*stats) return print("stats", read_stats(options.stats_path));
    if (*catchup)
        return run(options, "catchup",
                   [&](auto& client) { return run_catchup(client, options.catchup); });
    if (*reshard)
        return run(options, "reshard",
                   [&](auto& client) { return run_reshard(client, options.reshard); });
    return run(options, *paced ? "paced" : "ingest",
               [&](auto& client) { return run_ingest(client, options.ingest); });
}
