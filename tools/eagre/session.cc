// `eagre session`, what tools/run drives: an appliance of its own, a stream, a feed, two consumers,
// a report.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>

#include <fmt/format.h>
#include <sched.h>

#include "perf/load/file_source.h"
#include "perf/load/market_session.h"
#include "perf/load/preload.h"
#include "tools/eagre/appliance.h"
#include "tools/eagre/commands.h"
#include "tools/eagre/html_report.h"
#include "tools/eagre/load_report.h"
#include "tools/eagre/load_stage.h"
#include "tools/eagre/signals.h"
#include "tools/eagre/target.h"
#include "tools/eagre/text.h"

namespace eagre::cli {
namespace {

namespace fs = std::filesystem;

struct SessionOptions {
    ApplianceOptions appliance;
    std::string input;
    load::KeyRuleOptions key;
    bool loop = false;
    uint64_t rate_per_s = 0;
    double seconds = 0;
    uint32_t shards = 4;
    uint64_t seed = load::MarketOptions{}.seed;
    bool stay = false;
    bool json = false;
    std::string report;  // File of the HTML report; empty: none.
    Target target;  // How to send: --udp.
    std::string ack = "durable";
};

constexpr const char* kStream = "session";
constexpr const char* kMarker = "session.log";  // Says that a data directory may be thrown away.
// A default run: latencies at a load far below the limit, then as fast as it goes. Together a few
// seconds.
constexpr uint64_t kPacedRate = 50'000;
constexpr double kPacedSeconds = 4;
constexpr double kFilePacedSeconds = 2;
constexpr uint64_t kFastRecords = 3'000'000;
constexpr uint64_t kWatchNs = 200'000'000;

/// Takes away what an earlier session left, and nothing else.
void make_fresh(const std::string& data) {
    if (fs::exists(data) && !fs::is_empty(data)) {
        if (!fs::exists(fs::path(data) / kMarker)) {
            throw std::runtime_error(
                data + " is not empty and not left by an earlier run: choose another --data");
        }
        fs::remove_all(data);
    }
    fs::create_directories(data);
    std::ofstream(fs::path(data) / kMarker)
        << "Left by tools/run; the next run removes this directory.\n";
}

/// Keeps our threads off the dataplane's CPUs, where there are others.
void leave_cores(const std::string& dataplane_cores) {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof(set), &set) != 0) return;
    for (const int core : parse_cores(dataplane_cores)) CPU_CLR(static_cast<size_t>(core), &set);
    // Better to share than not to run: with one CPU nothing is left, and that is fine.
    if (CPU_COUNT(&set) > 0) (void)sched_setaffinity(0, sizeof(set), &set);
}

/// What to send in one part.
struct PartPlan {
    std::string name;
    uint64_t rate_per_s = 0;
    uint64_t record_count = 0;  // 0: no limit.
    double seconds = 0;         // 0: no limit.
    bool loop = false;
};

class Session {
  public:
    explicit Session(const SessionOptions& options)
        : options_(options), report_file_(options.report) {}

    int run() {
        Signals::block();
        make_fresh(options_.appliance.data);
        load_source();
        Appliance appliance(options_.appliance);
        const bool started = appliance.start([this](const std::string& what, double seconds) {
            progress_.show("starting", -1, fmt::format("{}, {:.0f} s", what, seconds));
            return Signals::wait(0);
        });
        if (!started) return finish(appliance, 130);
        target_ = options_.target;
        target_.data = appliance.data();
        target_.address = appliance.address();
        target_.port = appliance.port();
        leave_cores(options_.appliance.cores);
        create_stream();
        feed();
        const uint64_t memory_bytes = memory_peak_of(appliance.dataplane_pid());
        progress_.clear();
        print(memory_bytes);
        if (options_.stay) stay(appliance);
        return finish(appliance, report_.clean() ? 0 : 1);
    }

  private:
    void load_source() {
        std::unique_ptr<load::RecordSource> inner;
        if (options_.input.empty()) {
            inner =
                std::make_unique<load::MarketSession>(load::MarketOptions{.seed = options_.seed});
        } else {
            inner = std::make_unique<load::FileSource>(options_.input, options_.key);
        }
        const bool generated = options_.input.empty();
        progress_.show(generated ? "generating" : "reading", -1, inner->description());
        plan_parts(generated);
        uint64_t wanted = 0;
        for (const PartPlan& part : parts_) {
            const double by_time = part.seconds * static_cast<double>(part.rate_per_s);
            wanted += part.record_count != 0 ? part.record_count : static_cast<uint64_t>(by_time);
        }
        const auto preload_count = generated ? std::max(wanted, kFastRecords) : UINT64_MAX;
        source_ = std::make_unique<load::PreloadedSource>(std::move(inner), preload_count);
        if (!source_->complete() || options_.loop) return;
        if (source_->preloaded_count() == 0)
            throw std::runtime_error(options_.input + ": holds no records");
        // A small file is not all spent on the paced part.
        PartPlan& first = parts_.front();
        if (parts_.size() > 1)
            first.record_count = std::min(first.record_count, source_->preloaded_count() / 4);
    }

    void plan_parts(bool generated) {
        const bool bounded = options_.seconds > 0;
        if (options_.rate_per_s != 0) {
            PartPlan part{"paced", options_.rate_per_s, 0, options_.seconds, options_.loop};
            if (!bounded && generated) part.seconds = 2 * kPacedSeconds;
            parts_.push_back(part);
            return;
        }
        const double paced_seconds = bounded     ? options_.seconds / 2
                                     : generated ? kPacedSeconds
                                                 : kFilePacedSeconds;
        const auto paced_count =
            static_cast<uint64_t>(paced_seconds * static_cast<double>(kPacedRate));
        parts_.push_back(
            {"paced", kPacedRate, std::max<uint64_t>(paced_count, 1), 0, options_.loop});
        PartPlan fast{"full speed", 0, 0, 0, options_.loop};
        if (bounded)
            fast.seconds = options_.seconds / 2;
        else if (generated)
            fast.record_count = kFastRecords;
        parts_.push_back(fast);
    }

    void create_stream() {
        client::CreateStream request;
        request.name = kStream;
        request.shard_count = options_.shards;
        request.record_bytes_max = kRecordDataBytesMax;
        const auto created = target_.connect_control()->create_stream(request);
        if (!created) fail("stream session", created.error());
    }

    void feed() {
        report_.reader_names = {"subscribe", "pull"};
        std::vector<std::unique_ptr<load::ReaderDriver>> readers;
        auto ledger = std::make_unique<load::Ledger>(2);
        for (uint32_t i = 0; i < 2; ++i) {
            load::ReaderPlan plan;
            plan.stream = kStream;
            plan.client = target_.reader_options();
            plan.client.name = "session-" + report_.reader_names[i];
            plan.consumer.mode = i == 0 ? client::ConsumerOptions::Mode::kSubscribe
                                        : client::ConsumerOptions::Mode::kPull;
            plan.index = i;
            readers.push_back(std::make_unique<load::ReaderDriver>(std::move(plan), ledger.get()));
        }
        std::vector<std::unique_ptr<load::Ledger>> finished;
        for (const PartPlan& plan : parts_) {
            if (Signals::wait(0)) break;
            run_part(plan, readers, *ledger);
            // Late repetitions of an earlier part would be seen by the next ledger, and counted
            // there.
            finished.push_back(std::move(ledger));
            ledger = std::make_unique<load::Ledger>(2);
            for (auto& reader : readers) reader->switch_ledger(ledger.get());
        }
        for (auto& reader : readers) {
            const load::ReaderResult result = reader->stop();
            for (const auto& [code, count] : result.events) {
                fmt::print(stderr, "eagre: a consumer was told {} times: {} ({})\n", count,
                           errc_advice(code), errc_name(code));
            }
        }
        if (report_.parts.empty()) return;
        // What came after the last part ended belongs to it.
        const auto rest = ledger->finish(0);
        for (size_t i = 0; i < rest.size(); ++i) {
            report_.parts.back().result.readers[i].duplicated_count += rest[i].duplicated_count;
        }
    }

    void run_part(const PartPlan& plan,
                  std::span<const std::unique_ptr<load::ReaderDriver>> readers,
                  load::Ledger& ledger) {
        load::ProducerPlan producer;
        producer.stream = kStream;
        producer.client = target_.client_options();
        producer.client.name = "session-producer";
        producer.producer.ack = ack_mode(options_.ack);
        producer.source = source_.get();
        producer.loop = plan.loop;
        producer.record_count = plan.record_count;
        producer.duration_ns = static_cast<uint64_t>(plan.seconds * 1e9);
        producer.rate_per_s = plan.rate_per_s;
        LoadPart part;
        part.name = plan.name;
        part.rate_per_s = plan.rate_per_s;
        uint64_t total = plan.record_count;
        if (total == 0 && source_->complete() && !plan.loop)
            total = source_->preloaded_count() - report_.sent_count();
        const UseMeter meter(target_.stats_file());
        std::vector<load::ProducerPlan> producers;
        producers.push_back(std::move(producer));
        part.result = load::run_phase(
            std::move(producers), readers, &ledger, [&](const load::PhaseProgress& now) {
                return show_load(progress_, plan.name, now, total, plan.seconds);
            });
        part.use = meter.since();
        if (part.result.producers.sent_count != 0) report_.parts.push_back(std::move(part));
    }

    void print(uint64_t memory_bytes) {
        if (report_.parts.empty()) throw std::runtime_error("stopped before anything was sent");
        fmt::print("\nEagre: {}\n", source_->description());
        fmt::print(
            "  one producer over {} to {}:{}, {} shards, two consumers at once, data in {}\n\n",
            target_.udp ? "UDP" : "TCP", target_.address, target_.port, options_.shards, options_.appliance.data);
        fmt::print("{}", report_text(report_, terminal_is_utf8()));
        if (memory_bytes != 0)
            fmt::print("\n  dataplane memory, highest: {}\n",
                       bytes_text(static_cast<double>(memory_bytes)));
        fmt::print("\n{}\n", verdict_text(report_));
        std::fflush(stdout);
        if (report_file_.wanted()) {
            Conditions conditions = {
                {"records", source_->description()},
                {"stream", fmt::format("{} shards", options_.shards)},
                {"appliance", fmt::format("one of our own, on {}:{}", target_.address, target_.port)},
                {"consumers", "2 (subscribe, pull)"}};
            for (auto& condition : machine_conditions()) conditions.push_back(std::move(condition));
            report_file_.write(html_report(report_, source_->description(), conditions));
        }
        if (!options_.json) return;
        nlohmann::ordered_json json = report_json(report_);
        json["input"] = source_->description();
        json["shards"] = options_.shards;
        json["dataplane_memory_bytes_max"] = memory_bytes;
        json_line_ = json.dump();
    }

    void stay(Appliance& appliance) {
        fmt::print(
            stderr,
            "\nServing on {}:{} until Ctrl-C. Look around in another terminal:\n"
            "  eagre stats --watch --data {}\n  eagre tail {} --from trim_horizon --data {}\n",
            target_.address, target_.port, target_.data, kStream, target_.data);
        const auto say = [](const std::string& text) { fmt::print(stderr, "eagre: {}\n", text); };
        while (!Signals::wait(kWatchNs)) {
            if (const auto why = appliance.watch(say)) throw std::runtime_error(*why);
        }
    }

    int finish(Appliance& appliance, int status) {
        progress_.clear();
        if (!appliance.stop()) {
            fmt::print(stderr,
                       "eagre: a process did not end in time and was killed; see the logs in {}\n",
                       appliance.data());
            status = status == 0 ? 1 : status;
        }
        if (!json_line_.empty()) fmt::print("{}\n", json_line_);
        return status;
    }

    const SessionOptions& options_;
    Progress progress_;
    Target target_;
    std::vector<PartPlan> parts_;
    std::unique_ptr<load::PreloadedSource> source_;
    LoadReport report_;
    ReportFile report_file_;
    std::string json_line_;
};

}  // namespace

void add_session(CLI::App& app, int& status) {
    CLI::App* command = app.add_subcommand(
        "session", "What tools/run drives: an appliance, a feed, two consumers, a report");
    command->group("");
    auto options = std::make_shared<SessionOptions>();
    options->appliance.data = ".eagre/run";
    options->appliance.cores = "0";
    options->appliance.port = 0;
    options->appliance.log_to_files = true;
    command
        ->add_option("--data", options->appliance.data,
                     "Data directory; left by an earlier run: removed first [.eagre/run]")
        ->take_last();
    command->add_option("--cores", options->appliance.cores,
                        "CPUs of the dataplane, one reactor each [0]");
    command->add_option("--port", options->appliance.port, "Port of core 0 [any free one]");
    command
        ->add_option("--wait", options->appliance.wait,
                     "How an idle core waits: spin, adaptive or block [adaptive]")
        ->check(CLI::IsMember({"spin", "adaptive", "block"}));
    command->add_option(
        "--input", options->input,
        "CSV, NDJSON or lines; plain, .gz or .zip of one file [a generated market session]");
    command->add_option("--key-column", options->key.csv_column,
                        "Partition key is this CSV column, from 1");
    command->add_option("--key-field", options->key.json_field,
                        "Partition key is this member of an NDJSON object");
    command->add_option("--key", options->key.fixed, "One partition key for all");
    command->add_flag("--loop", options->loop,
                      "At the end of the input begin again, until --seconds or Ctrl-C");
    command->add_option(
        "--rate", options->rate_per_s,
        "Records per second, open loop [a part at 50,000/s, then as fast as it goes]");
    command->add_option("--seconds", options->seconds, "How long to feed")
        ->check(CLI::Range(0.1, 86400.0));
    command->add_option("--shards", options->shards, "Shards of the stream [4]")
        ->check(CLI::Range(1U, kStreamShardCountMax));
    command->add_option("--seed", options->seed, "Of the generated session");
    options->target.add_datagram_options(*command);
    command->add_option("--ack", options->ack,
                        "Acknowledge when durable or appended; none: send once and forget [durable]")
        ->check(CLI::IsMember({"durable", "appended", "none"}));
    command->add_flag("--stay", options->stay, "Keep serving until Ctrl-C");
    command->add_flag("--json", options->json, "The last line of output is one JSON object");
    command->add_option("--report", options->report,
                        "Write an HTML page with plots of all latencies to this file");
    command->footer(
        "Exit status 0 when every record that was sent came back to both consumers, once and in "
        "order.\n\n"
        "Examples:\n"
        "  ./tools/run\n"
        "  ./tools/run --input quotes.zip --key-column 6\n"
        "  ./tools/run --input events.ndjson.gz --key-field user --rate 20000 --loop --seconds 30\n"
        "  ./tools/run --udp\n"
        "  ./tools/run --stay --json");
    command->callback([options, &status] { status = Session(*options).run(); });
}

}  // namespace eagre::cli
