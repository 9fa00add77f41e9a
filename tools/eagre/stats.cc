// `eagre stats`: what the cores and shards do, from shared memory; the dataplane is not asked.
#include <algorithm>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "tools/eagre/commands.h"
#include "tools/eagre/feed_view.h"
#include "tools/eagre/latency_json.h"
#include "tools/eagre/nic_view.h"
#include "tools/eagre/progress.h"
#include "tools/eagre/signals.h"
#include "tools/eagre/stats_view.h"
#include "tools/eagre/target.h"
#include "tools/eagre/text.h"

namespace eagre::cli {
namespace {

using Json = nlohmann::ordered_json;
constexpr size_t kShardRowsShown = 24;

struct StatsOptions {
    Target target;
    bool watch = false;
    bool json = false;
    double interval_s = 1.0;
};

std::string producer_name(const shm::DatagramProducer& slot) {
    return std::string(shm::text_of(slot.name, sizeof(slot.name)));
}

Json datagrams_json(const shm::CoreStats& core) {
    Json json = {{"sessions", core.datagram_sessions},     {"in", core.datagrams_in},
                 {"out", core.datagrams_out},              {"refused", core.datagrams_refused},
                 {"repeated", core.datagrams_repeated},    {"early", core.datagrams_early},
                 {"dropped", core.datagrams_dropped},      {"overflowed", core.datagrams_overflowed},
                 {"missing", core.datagrams_missing},      {"answers_dropped", core.datagram_answers_dropped},
                 {"producers", Json::array()}};
    for (const shm::DatagramProducer& slot : core.datagram_producers) {
        if (slot.session == 0) continue;
        json["producers"].push_back({{"name", producer_name(slot)},
                                     {"open", slot.open != 0},
                                     {"port", slot.port},
                                     {"received", slot.received},
                                     {"missing", slot.missing},
                                     {"dropped", slot.dropped}});
    }
    return json;
}

Json core_figures(const StatsInterval& interval, uint32_t index) {
    const shm::CoreStats& core = interval.after.core(index);
    const auto rate = [&](uint64_t shm::CoreStats::*counter) {
        return interval.core_rate(index, counter);
    };
    return {{"core", core.core},
            {"cpu", core.os_cpu},
            {"records_in_per_s", rate(&shm::CoreStats::records_appended)},
            {"payload_bytes_in_per_s", rate(&shm::CoreStats::payload_bytes_appended)},
            {"records_out_per_s", rate(&shm::CoreStats::records_delivered)},
            {"payload_bytes_out_per_s", rate(&shm::CoreStats::payload_bytes_delivered)},
            {"commits_per_s", rate(&shm::CoreStats::commit_count)},
            {"cpu_share", rate(&shm::CoreStats::cpu_ns) / 1e9},
            {"connections", core.connection_count},
            {"subscriptions", core.subscriptions},
            {"records_appended", core.records_appended},
            {"records_delivered", core.records_delivered},
            {"payload_bytes_appended", core.payload_bytes_appended},
            {"journal_bytes", core.journal_bytes},
            {"device_written_bytes", core.device_written_bytes},
            {"device_read_bytes", core.device_read_bytes},
            {"segments_live", core.segments_live},
            {"segments_ready", core.segments_ready},
            {"segments_recycled", core.segments_recycled},
            {"segments_damaged", core.segments_damaged},
            {"alive_bytes", core.alive_bytes},
            {"used_bytes", core.used_bytes},
            {"relocated_bytes", core.relocated_bytes},
            {"handed_over", core.handed_over},
            {"handover_refused", core.handover_refused},
            {"batches_repeated", core.batches_repeated},
            {"datagrams", datagrams_json(core)},
            {"connections_closed_bad", core.connections_closed_bad},
            {"damaged_runs", core.damaged_runs},
            {"journal_failed", core.journal_failed != 0},
            {"disk_full", core.disk_full != 0},
            {"clock_waits", core.clock_waits != 0},
            {"stall_us_max", static_cast<double>(core.stall_ns_max) / 1e3},
            {"ack_us", latency_json(core.ack_ns)},
            {"write_us", latency_json(core.write_ns)},
            {"sync_us", latency_json(core.sync_ns)},
            {"turn_us", latency_json(core.turn_ns)}};
}

Json core_json(const StatsInterval& interval, uint32_t index) {
    Json json = core_figures(interval, index);
    const shm::NicStats& nic = interval.after.core(index).nic;
    if (nic.present != 0) json["nic"] = nic_json(nic);
    return json;
}

std::string as_json(const StatsInterval& interval) {
    const StatsSnapshot& now = interval.after;
    Json json = {{"pid", now.header().pid},
                 {"incarnation", now.header().incarnation},
                 {"interval_s", interval.seconds()}};
    json["cores"] = Json::array();
    for (uint32_t i = 0; i < now.core_count(); ++i)
        json["cores"].push_back(core_json(interval, i));
    json["shards"] = Json::array();
    for (const ShardRate& rate : interval.shard_rates()) {
        json["shards"].push_back({{"shard", rate.shard->shard},
                                  {"stream", std::string(shm::stream_name(*rate.shard))},
                                  {"open", rate.shard->open != 0},
                                  {"records_in_per_s", rate.records_in_per_s},
                                  {"bytes_in_per_s", rate.bytes_in_per_s},
                                  {"records_out_per_s", rate.records_out_per_s},
                                  {"records_in", rate.shard->records_in},
                                  {"records_out", rate.shard->records_out},
                                  {"next_sequence", rate.shard->durable_sequence},
                                  {"trim_horizon", rate.shard->trim_horizon}});
    }
    json["feeds"] = feeds_json(now);
    json["errors"] = errors_by_name(now);
    return json.dump();
}

std::string cores_text(const StatsInterval& interval) {
    Table rates({"core", "cpu", "in rec/s", "in", "out rec/s", "out", "commits/s", "busy", "conns",
                 "subs", "segments", "alive"});
    Table latencies({"core", "what", "p50", "p99", "p99.9", "max", "count"});
    for (uint32_t i = 0; i < interval.after.core_count(); ++i) {
        const shm::CoreStats& core = interval.after.core(i);
        const auto rate = [&](uint64_t shm::CoreStats::*counter) {
            return interval.core_rate(i, counter);
        };
        rates.add({fmt::format("{}", core.core), fmt::format("{}", core.os_cpu),
                   grouped(rate(&shm::CoreStats::records_appended)),
                   bytes_text(rate(&shm::CoreStats::payload_bytes_appended)) + "/s",
                   grouped(rate(&shm::CoreStats::records_delivered)),
                   bytes_text(rate(&shm::CoreStats::payload_bytes_delivered)) + "/s",
                   grouped(rate(&shm::CoreStats::commit_count)),
                   fmt::format("{:.0f} %", rate(&shm::CoreStats::cpu_ns) / 1e7),
                   grouped(core.connection_count), grouped(core.subscriptions),
                   fmt::format("{}+{}", core.segments_live, core.segments_ready),
                   bytes_text(static_cast<double>(core.alive_bytes))});
        const auto add = [&](const char* what, Histogram shm::CoreStats::*member) {
            const Histogram histogram = interval.core_histogram(i, member);
            if (histogram.count() == 0) return;
            latencies.add(
                {fmt::format("{}", core.core), what, duration_text(histogram.percentile(50)),
                 duration_text(histogram.percentile(99)), duration_text(histogram.percentile(99.9)),
                 duration_text(histogram.max()), grouped(histogram.count())});
        };
        add("acknowledge", &shm::CoreStats::ack_ns);
        add("write", &shm::CoreStats::write_ns);
        add("sync", &shm::CoreStats::sync_ns);
        add("turn", &shm::CoreStats::turn_ns);
    }
    return rates.text() + (latencies.empty() ? "" : "\n" + latencies.text());
}

/// Who sends datagrams, and what became of them since eagred was started; empty when nobody ever did.
std::string datagrams_text(const StatsSnapshot& now) {
    Table totals({"core", "datagrams in", "out", "refused", "repeated", "early", "dropped",
                  "overflowed", "missing"});
    Table producers({"core", "sends datagrams", "port", "received", "missing", "dropped"});
    for (uint32_t i = 0; i < now.core_count(); ++i) {
        const shm::CoreStats& core = now.core(i);
        if (core.datagrams_in == 0) continue;
        totals.add({fmt::format("{}", core.core), grouped(core.datagrams_in),
                    grouped(core.datagrams_out), grouped(core.datagrams_refused),
                    grouped(core.datagrams_repeated), grouped(core.datagrams_early),
                    grouped(core.datagrams_dropped), grouped(core.datagrams_overflowed),
                    grouped(core.datagrams_missing)});
        for (const shm::DatagramProducer& slot : core.datagram_producers) {
            if (slot.session == 0) continue;
            const std::string name = producer_name(slot);
            producers.add({fmt::format("{}", core.core), slot.open != 0 ? name : name + " (gone)",
                           fmt::format("{}", slot.port), grouped(slot.received),
                           grouped(slot.missing), grouped(slot.dropped)});
        }
    }
    if (totals.empty()) return {};
    return "\n" + totals.text() + (producers.empty() ? "" : "\n" + producers.text());
}

std::string as_text(const StatsInterval& interval) {
    std::string text = cores_text(interval) + datagrams_text(interval.after) + nic_text(interval.after);
    Table shards({"shard", "stream", "in rec/s", "in", "out rec/s", "records", "next sequence",
                  "trim horizon"});
    const auto rates = interval.shard_rates();
    for (const ShardRate& rate : rates) {
        shards.add({fmt::format("{}", rate.shard->shard), std::string(shm::stream_name(*rate.shard)),
                    grouped(rate.records_in_per_s), bytes_text(rate.bytes_in_per_s) + "/s",
                    grouped(rate.records_out_per_s),
                    grouped(rate.shard->durable_sequence -
                            std::min(rate.shard->durable_sequence, rate.shard->trim_horizon)),
                    grouped(rate.shard->durable_sequence), grouped(rate.shard->trim_horizon)});
        if (&rate - rates.data() + 1 == static_cast<std::ptrdiff_t>(kShardRowsShown)) break;
    }
    if (!shards.empty()) text += "\n" + shards.text();
    if (rates.size() > kShardRowsShown)
        text += fmt::format("... and {} more\n", grouped(rates.size() - kShardRowsShown));
    if (const std::string feeds = feeds_text(interval.after); !feeds.empty()) text += "\n" + feeds;
    const auto errors = errors_by_name(interval.after);
    if (!errors.empty()) {
        Table table({"error since start", "count"});
        for (const auto& [name, count] : errors) table.add({name, grouped(count)});
        text += "\n" + table.text();
    }
    const StatsSnapshot& now = interval.after;
    if (now.total(&shm::CoreStats::journal_failed) != 0)
        text += "\nA JOURNAL HAS FAILED: see the log of eagred.\n";
    if (now.total(&shm::CoreStats::disk_full) != 0)
        text += "\nTHE DISK IS FULL: producers are refused.\n";
    if (now.total(&shm::CoreStats::clock_waits) != 0)
        text += "\nThe clock jumped: retention waits for 'eagre clock accept'.\n";
    return text;
}

int run_stats(const StatsOptions& options) {
    Signals::block();
    const std::string path = options.target.stats_file();
    const auto interval_ns = static_cast<uint64_t>(options.interval_s * 1e9);
    const bool redraw = options.watch && !options.json && isatty(STDOUT_FILENO) == 1;
    StatsSnapshot before = read_stats(path);
    for (;;) {
        if (Signals::wait(interval_ns)) return 0;
        StatsSnapshot after = read_stats(path);
        const StatsInterval interval{before, after};
        // Home and clear to the end, not clear all: that would flicker.
        if (redraw) fmt::print("\x1b[H\x1b[J");
        if (options.json)
            fmt::print("{}\n", as_json(interval));
        else
            fmt::print("{}\n", as_text(interval));
        if (std::fflush(stdout) != 0) return 0;
        if (!options.watch) return 0;
        before = std::move(after);
    }
}

}  // namespace

void add_stats(CLI::App& app, int& status) {
    CLI::App* command =
        app.add_subcommand("stats", "Show rates, latencies and errors per core and shard");
    auto options = std::make_shared<StatsOptions>();
    options->target.add_data_option(*command);
    command->add_flag("--watch", options->watch, "Again and again until Ctrl-C");
    command->add_option("--interval", options->interval_s, "Seconds between two readings [1]")
        ->check(CLI::Range(0.05, 3600.0));
    command->add_flag("--json", options->json, "One JSON object per reading");
    command->footer(
        "Reads DATA/stats.shm; costs the dataplane nothing. Rates and latencies are those of the "
        "interval;\n"
        "with --json latencies are since eagred was started. 'acknowledge' runs from the whole "
        "frame in memory to the\n"
        "answer at the socket.\n\n"
        "Examples:\n"
        "  eagre stats\n"
        "  eagre stats --watch\n"
        "  eagre stats --json | jq '.cores[0].ack_us.p99'");
    command->callback([options, &status] { status = run_stats(*options); });
}

}  // namespace eagre::cli
