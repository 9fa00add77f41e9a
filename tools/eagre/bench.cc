// `eagre bench`: the load generator of perf/load against a running appliance.
#include <memory>
#include <stdexcept>

#include <fmt/format.h>

#include "perf/load/synthetic.h"
#include "tools/eagre/commands.h"
#include "tools/eagre/html_report.h"
#include "tools/eagre/load_report.h"
#include "tools/eagre/load_stage.h"
#include "tools/eagre/signals.h"
#include "tools/eagre/target.h"
#include "tools/eagre/text.h"

namespace eagre::cli {
namespace {

struct BenchOptions {
    Target target;
    std::string stream;
    uint32_t shards = 4;
    uint32_t producers = 1;
    uint32_t consumers = 1;
    std::string mode = "subscribe";
    uint64_t rate_per_s = 0;
    uint64_t records = 0;
    double seconds = 0;
    uint32_t record_bytes = 256;
    uint32_t keys = 1000;
    uint32_t batch_bytes = 64 * 1024;
    uint64_t linger_us = 1000;
    uint64_t window_bytes = 4 * 1024 * 1024;
    std::string ack = "durable";
    std::string pin;
    bool spin = false;
    uint64_t seed = 1;
    bool json = false;
    std::string report;  // File of the HTML report; empty: none.
};

constexpr double kSecondsDefault = 5;
constexpr uint32_t kThreadsMax = 16;

/// A stream of our own that goes away with us, unless one was named.
class BenchStream {
  public:
    explicit BenchStream(const BenchOptions& options)
        : target_(options.target), name_(options.stream) {
        if (!name_.empty()) return;
        name_ = fmt::format("bench-{}", getpid());
        client::CreateStream request;
        request.name = name_;
        request.shard_count = options.shards;
        request.record_bytes_max =
            std::max<uint64_t>(request.record_bytes_max, options.record_bytes);
        const auto created = target_.connect_control()->create_stream(request);
        if (!created) fail("stream " + name_, created.error());
        ours_ = true;
    }
    ~BenchStream() {
        if (!ours_) return;
        try {
            const Status deleted = target_.connect_control()->delete_stream(name_);
            if (!deleted)
                fmt::print(stderr, "eagre: stream {} is left over: {}\n", name_,
                           errc_advice(deleted.error().code));
        } catch (const std::exception& error) {
            fmt::print(stderr, "eagre: stream {} is left over: {}\n", name_, error.what());
        }
    }
    BenchStream(const BenchStream&) = delete;
    BenchStream& operator=(const BenchStream&) = delete;
    const std::string& name() const { return name_; }

  private:
    const Target& target_;
    std::string name_;
    bool ours_ = false;
};

class Pins {
  public:
    explicit Pins(const std::string& text) : cores_(parse_cores(text)) {}
    int next() { return cores_.empty() ? -1 : cores_[index_++ % cores_.size()]; }

  private:
    std::vector<int> cores_;
    size_t index_ = 0;
};

/// Share `index` of `total` split over `count`, so that the shares add up.
uint64_t share_of(uint64_t total, uint32_t count, uint32_t index) {
    return total / count + (index < total % count ? 1 : 0);
}

Conditions conditions_of(const BenchOptions& options, const std::string& source) {
    Conditions conditions = {
        {"records", source},
        {"offered", options.rate_per_s == 0
                        ? std::string("as fast as the window allows")
                        : fmt::format("{}/s, open loop", grouped(options.rate_per_s))},
        {"producers", fmt::format("{}", options.producers)},
        {"consumers", fmt::format("{} ({})", options.consumers, options.mode)},
        {"stream", options.stream.empty() ? fmt::format("our own, {} shards", options.shards)
                                          : options.stream},
        {"acknowledged when", options.ack},
        {"batches", fmt::format("{} or {} us", bytes_text(options.batch_bytes), options.linger_us)},
        {"window", bytes_text(static_cast<double>(options.window_bytes))},
        {"appliance", fmt::format("{}:{}", options.target.client_options().address,
                                  options.target.client_options().port)},
        {"our threads", fmt::format("{}{}", options.pin.empty() ? "not pinned" : "on " + options.pin,
                                    options.spin ? ", spinning" : "")},
        {"seed", fmt::format("{}", options.seed)}};
    for (auto& condition : machine_conditions()) conditions.push_back(std::move(condition));
    return conditions;
}

int run_bench(BenchOptions options) {
    Signals::block();
    ReportFile report_file(options.report);
    if (options.records == 0 && options.seconds <= 0) options.seconds = kSecondsDefault;
    if (options.rate_per_s != 0 && options.rate_per_s < options.producers) {
        throw std::runtime_error("--rate: at least one record per second for each producer");
    }
    const BenchStream stream(options);
    Pins pins(options.pin);
    load::Ledger ledger(options.consumers);
    LoadReport report;

    std::vector<std::unique_ptr<load::SyntheticSource>> sources;
    std::vector<load::ProducerPlan> plans;
    for (uint32_t i = 0; i < options.producers; ++i) {
        sources.push_back(std::make_unique<load::SyntheticSource>(
            load::SyntheticOptions{.seed = options.seed + i,
                                   .record_bytes = options.record_bytes,
                                   .key_count = options.keys}));
        load::ProducerPlan plan;
        plan.stream = stream.name();
        plan.client = options.target.client_options();
        plan.client.name = fmt::format("bench-producer-{}", i);
        plan.producer.batch_bytes = options.batch_bytes;
        plan.producer.linger_ns = options.linger_us * 1000;
        plan.producer.window_bytes = options.window_bytes;
        plan.producer.ack = ack_mode(options.ack);
        plan.source = sources.back().get();
        plan.record_count = share_of(options.records, options.producers, i);
        plan.duration_ns = static_cast<uint64_t>(options.seconds * 1e9);
        plan.rate_per_s = share_of(options.rate_per_s, options.producers, i);
        plan.pin_core = pins.next();
        plan.spin = options.spin;
        plans.push_back(std::move(plan));
    }
    std::vector<std::unique_ptr<load::ReaderDriver>> readers;
    for (uint32_t i = 0; i < options.consumers; ++i) {
        load::ReaderPlan plan;
        plan.stream = stream.name();
        plan.client = options.target.reader_options();
        plan.client.name = fmt::format("bench-consumer-{}", i);
        plan.consumer.mode = options.mode == "pull" ? client::ConsumerOptions::Mode::kPull
                                                    : client::ConsumerOptions::Mode::kSubscribe;
        plan.consumer.start.position = frame::Position::kLatest;
        plan.index = i;
        plan.pin_core = pins.next();
        plan.spin = options.spin;
        report.reader_names.push_back(fmt::format("{} {}", options.mode, i + 1));
        readers.push_back(std::make_unique<load::ReaderDriver>(std::move(plan), &ledger));
    }

    LoadPart part;
    part.name = options.rate_per_s == 0 ? "full speed" : "paced";
    part.rate_per_s = options.rate_per_s;
    Progress progress;
    const UseMeter meter(options.target.stats_file());
    part.result = load::run_phase(
        std::move(plans), readers, options.consumers == 0 ? nullptr : &ledger,
        [&](const load::PhaseProgress& now) {
            return show_load(progress, part.name, now, options.records, options.seconds);
        });
    part.use = meter.since();
    progress.clear();
    for (auto& reader : readers) reader->stop();
    report.parts.push_back(std::move(part));
    if (report_file.wanted()) {
        report_file.write(html_report(report, report.parts.front().name + " run",
                                      conditions_of(options, sources.front()->description())));
    }

    if (options.json) {
        fmt::print("{}\n", report_json(report).dump());
    } else {
        fmt::print("{}, {} producer{}, {} consumer{} ({}), stream {}\n\n{}\n{}\n",
                   sources.front()->description(), options.producers,
                   options.producers == 1 ? "" : "s", options.consumers,
                   options.consumers == 1 ? "" : "s", options.mode, stream.name(),
                   report_text(report, terminal_is_utf8()), verdict_text(report));
    }
    return report.clean() ? 0 : 1;
}

}  // namespace

void add_bench(CLI::App& app, int& status) {
    CLI::App* command =
        app.add_subcommand("bench", "Measure a running appliance: rates, latencies, losses");
    auto options = std::make_shared<BenchOptions>();
    options->target.add_options(*command);
    options->target.add_datagram_options(*command);
    command->add_option("--stream", options->stream,
                        "Use this stream [one of our own, deleted at the end]");
    command->add_option("--shards", options->shards, "Shards of our own stream [4]")
        ->check(CLI::Range(1U, kStreamShardCountMax));
    command->add_option("--producers", options->producers, "Producers, a thread each [1]")
        ->check(CLI::Range(1U, kThreadsMax));
    command->add_option("--consumers", options->consumers, "Consumers, a thread each [1]")
        ->check(CLI::Range(0U, kThreadsMax));
    command->add_option("--mode", options->mode, "Consumers subscribe or pull [subscribe]")
        ->check(CLI::IsMember({"subscribe", "pull"}));
    command->add_option("--rate", options->rate_per_s,
                        "Records per second, open loop; 0: as fast as the window allows [0]");
    command->add_option("--records", options->records, "Stop after so many records");
    command->add_option("--seconds", options->seconds, "Stop after so long [5, unless --records]");
    command->add_option("--record-bytes", options->record_bytes, "Data of each record [256]")
        ->check(CLI::Range(8U, static_cast<uint32_t>(kRecordDataBytesMax)));
    command->add_option("--keys", options->keys, "Partition keys, drawn uniformly [1000]")
        ->check(CLI::Range(1U, 10'000'000U));
    command
        ->add_option("--batch-bytes", options->batch_bytes, "A batch is sent at this size [65536]")
        ->check(CLI::Range(64U, static_cast<uint32_t>(kBatchBytesMax)));
    command->add_option("--linger-us", options->linger_us,
                        "... or this long after its first record [1000]");
    command->add_option("--window-bytes", options->window_bytes,
                        "Unacknowledged bytes of one producer [4194304]");
    command->add_option("--ack", options->ack, "Acknowledge when durable or appended; none: send once and forget [durable]")
        ->check(CLI::IsMember({"durable", "appended", "none"}));
    command->add_option("--pin", options->pin,
                        "CPUs for our threads, in turn, like 1 or 1,3 [not pinned]");
    command->add_flag("--spin", options->spin,
                      "Our threads poll instead of sleeping: a whole core each, lower latency");
    command->add_option("--seed", options->seed, "Of keys and data [1]");
    command->add_flag("--json", options->json, "Print one JSON object");
    command->add_option("--report", options->report,
                        "Write an HTML page with plots of all latencies to this file");
    command->footer(
        "Latency runs from the moment a record was due, so a stall counts for all that it made "
        "wait. A paced\n"
        "producer wakes every 100 us and sends what is due at once (--spin: the moment it is due). "
        "Every record is compared with what\n"
        "the consumers saw; status 1 when anything is missing, doubled or out of order.\n\n"
        "Examples:\n"
        "  eagre bench                                       as fast as it goes, 5 s\n"
        "  eagre bench --rate 50000 --seconds 10             latencies at a steady load\n"
        "  eagre bench --udp --rate 50000 --seconds 10       the same by datagram\n"
        "  eagre bench --rate 50000 --report latency.html    the same, with plots in one file\n"
        "  eagre bench --rate 200000 --producers 2 --consumers 4 --pin 1-3\n"
        "  eagre bench --records 1000000 --record-bytes 1024 --shards 1000 --keys 100000 --json");
    command->callback([options, &status] { status = run_bench(*options); });
}

}  // namespace eagre::cli
