// `eagre put STREAM [FILES...]`: lines become records.
#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <memory>
#include <stdexcept>

#include <fcntl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "perf/load/error_text.h"
#include "perf/load/file_source.h"
#include "perf/load/lines.h"
#include "perf/load/schedule.h"
#include "tools/eagre/commands.h"
#include "tools/eagre/progress.h"
#include "tools/eagre/target.h"
#include "tools/eagre/text.h"

namespace eagre::cli {
namespace {

constexpr uint64_t kPollNs = 1'000'000;
constexpr uint64_t kDrainNs = 60'000'000'000ULL;
constexpr size_t kReadBytes = 64 * 1024;
/// The network is looked at after this many records, so that acknowledgements come in while we
/// read.
constexpr uint32_t kBurst = 256;

struct PutOptions {
    Target target;
    std::string stream;
    std::vector<std::string> files;
    load::KeyRuleOptions key;
    uint64_t rate_per_s = 0;
    std::string ack = "durable";
    bool json = false;
};

class Putter {
  public:
    explicit Putter(const PutOptions& options)
        : options_(options),
          client_(options.target.connect()),
          progress_(isatty(STDERR_FILENO) != 1) {
        client::ProducerOptions producer;
        producer.ack = ack_mode(options.ack);
        auto made = client_->make_producer(options.stream, producer);
        if (!made) fail("stream " + options.stream, made.error());
        producer_ = std::move(*made);
        producer_->on_outcome([this](const client::BatchOutcome& outcome) {
            if (outcome.error.code != Errc::kOk)
                errors_[outcome.error.code] += outcome.record_count;
        });
        start_ns_ = client_->transport().monotonic_ns();
    }

    /// Takes one record; waits while the window is full or the schedule says so.
    void put(const frame::RecordView& record) {
        const load::Schedule schedule(start_ns_, options_.rate_per_s);
        if (schedule.open_loop()) {
            for (uint64_t now = now_ns(); schedule.due_count(now) <= count_; now = now_ns()) {
                producer_->flush();
                client_->poll(std::min(schedule.due_ns(count_) - now, kPollNs));
            }
        }
        for (;;) {
            const Status status = producer_->put(record);
            if (status) break;
            if (status.error().code != Errc::kBusy)
                fail(fmt::format("record {}", count_ + 1), status.error());
            client_->poll(kPollNs);
        }
        ++count_;
        if (count_ % kBurst == 0) turn(0);
    }

    /// One look at the network, and at the progress line.
    void turn(uint64_t wait_ns) {
        client_->poll(wait_ns);
        const double seconds = static_cast<double>(now_ns() - start_ns_) / 1e9;
        progress_.show("put", -1,
                       fmt::format("{} records, {} acknowledged, {}/s", grouped(count_),
                                   grouped(producer_->stats().acknowledged_count),
                                   grouped(static_cast<double>(count_) / std::max(seconds, 1e-3))));
    }

    /// Standard input: sends what there is as soon as no more comes at once, so that a slow pipe is
    /// not held up.
    void put_pipe(int fd) {
        load::LineSplitter lines;
        load::KeyRule rule(options_.key);
        std::array<char, kReadBytes> buffer{};
        uint64_t number = 0;
        for (bool open = true; open;) {
            pollfd waiting{fd, POLLIN, 0};
            // The client needs a turn now and then even when nobody types.
            if (poll(&waiting, 1, 0) == 0) {
                producer_->flush();
                turn(0);
                if (poll(&waiting, 1, 20) == 0) continue;
            }
            const ssize_t got = read(fd, buffer.data(), buffer.size());
            if (got < 0 && errno == EINTR) continue;
            if (got < 0)
                throw std::runtime_error(fmt::format("standard input: {}", std::strerror(errno)));
            if (got == 0) {
                lines.finish();
                open = false;
            } else {
                lines.feed(std::span(buffer.data(), static_cast<size_t>(got)));
            }
            for (std::string_view line; lines.next(line);) {
                frame::RecordView record;
                record.partition_key = rule.key_of(line, number++);
                record.data = std::as_bytes(std::span(line.data(), line.size()));
                put(record);
            }
        }
    }

    void put_file(const std::string& path) {
        load::FileSource source(path, options_.key);
        while (const auto record = source.next()) put(*record);
    }

    int finish() {
        const Status drained = producer_->drain(kDrainNs);
        progress_.clear();
        const double seconds = static_cast<double>(now_ns() - start_ns_) / 1e9;
        const client::ProducerStats& stats = producer_->stats();
        nlohmann::ordered_json errors = nlohmann::ordered_json::object();
        for (const auto& [code, records] : errors_) errors[std::string(errc_name(code))] = records;
        if (options_.json) {
            const nlohmann::ordered_json json = {{"stream", options_.stream},
                                                 {"sent", count_},
                                                 {"acknowledged", stats.acknowledged_count},
                                                 {"failed", stats.failed_count},
                                                 {"errors", errors},
                                                 {"batches", stats.batch_count},
                                                 {"seconds", seconds}};
            fmt::print("{}\n", json.dump());
        } else {
            fmt::print(stderr,
                       "{} records sent, {} {}, {} failed, in {} ({}/s)\n", grouped(count_),
                       grouped(stats.acknowledged_count), outcome_word(),
                       grouped(stats.failed_count), clock_text(seconds),
                       grouped(static_cast<double>(count_) / std::max(seconds, 1e-3)));
        }
        for (const auto& [code, records] : errors_) {
            fmt::print(stderr, "eagre: {} records: {} ({})\n", grouped(records), errc_advice(code),
                       errc_name(code));
        }
        if (!drained && errors_.empty())
            fmt::print(stderr, "eagre: {}\n", load::error_text("put", drained.error()));
        return stats.acknowledged_count == count_ ? 0 : 1;
    }

  private:
    const char* outcome_word() const {
        if (options_.ack == "none") return "handed to the network";
        return options_.ack == "appended" ? "acknowledged as appended" : "acknowledged durable";
    }
    uint64_t now_ns() { return client_->transport().monotonic_ns(); }

    const PutOptions& options_;
    std::unique_ptr<client::Client> client_;
    std::unique_ptr<client::Producer> producer_;
    Progress progress_;
    uint64_t start_ns_ = 0;
    uint64_t count_ = 0;
    std::map<Errc, uint64_t> errors_;
};

int run_put(const PutOptions& options) {
    Putter putter(options);
    if (options.files.empty()) putter.put_pipe(STDIN_FILENO);
    for (const std::string& path : options.files) {
        if (path == "-")
            putter.put_pipe(STDIN_FILENO);
        else
            putter.put_file(path);
    }
    return putter.finish();
}

}  // namespace

void add_put(CLI::App& app, int& status) {
    CLI::App* command =
        app.add_subcommand("put", "Write lines of files or of standard input to a stream");
    auto options = std::make_shared<PutOptions>();
    command->add_option("stream", options->stream, "The stream")->required();
    command->add_option("files", options->files,
                        "Files (plain, .gz or single-file .zip); '-' or none: standard input");
    options->target.add_options(*command);
    options->target.add_datagram_options(*command);
    command->add_option("--ack", options->ack,
                        "Acknowledge when durable or appended; none: send once and forget [durable]")
        ->check(CLI::IsMember({"durable", "appended", "none"}));
    command->add_option("--key", options->key.fixed,
                        "One partition key for all: keeps all in one order");
    command->add_option("--key-column", options->key.csv_column,
                        "Partition key is this CSV column, from 1");
    command->add_option("--key-field", options->key.json_field,
                        "Partition key is this member of an NDJSON object");
    command->add_option("--rate", options->rate_per_s, "Records per second [as fast as they come]");
    command->add_flag("--json", options->json, "Print one JSON object at the end");
    command->footer(
        "Each line is a record; empty lines are skipped. Without a key option lines are spread "
        "over all shards.\n"
        "Ends when all is durable; status 1 when anything was not acknowledged. With --udp --ack none "
        "records may be lost\n"
        "on the way; 'eagre stats' shows the gaps.\n\n"
        "Examples:\n"
        "  eagre put quotes --key-column 6 quotes.csv.gz\n"
        "  eagre put events --key-field user events.ndjson --rate 10000\n"
        "  eagre put ticks --udp --key-column 2 ticks.csv\n"
        "  journalctl -f -o json | eagre put logs --key-field _SYSTEMD_UNIT");
    command->callback([options, &status] { status = run_put(*options); });
}

}  // namespace eagre::cli
