// `eagre tail STREAM`: records to standard output.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <stdexcept>

#include <fmt/format.h>
#include <unistd.h>

#include "perf/load/error_text.h"
#include "tools/eagre/commands.h"
#include "tools/eagre/position.h"
#include "tools/eagre/record_format.h"
#include "tools/eagre/signals.h"
#include "tools/eagre/target.h"

namespace eagre::cli {
namespace {

constexpr uint64_t kPollNs = 20'000'000;
constexpr size_t kWriteBytes = 256 * 1024;

struct TailOptions {
    Target target;
    std::string stream;
    std::string from = "latest";
    std::vector<uint64_t> shards;
    uint64_t count = 0;
    bool no_follow = false;
    std::string format = "raw";
};

RecordFormat format_of(const std::string& name) {
    return name == "json"  ? RecordFormat::kJson
           : name == "csv" ? RecordFormat::kCsv
                           : RecordFormat::kRaw;
}

class Tail {
  public:
    explicit Tail(const TailOptions& options)
        : options_(options), format_(format_of(options.format)), client_(options.target.connect()) {
        client::ConsumerOptions consumer;
        consumer.start = parse_start(options.from);
        for (const uint64_t shard : options.shards) consumer.shards.emplace_back(shard);
        check_shards();
        auto made = client_->make_consumer(options.stream, consumer);
        if (!made) fail("stream " + options.stream, made.error());
        consumer_ = std::move(*made);
        consumer_->on_delivery([this](const client::Delivery& delivery) { on_delivery(delivery); });
        consumer_->on_event([this](ShardId shard, Error error) { on_event(shard, error); });
        if (format_ == RecordFormat::kCsv) out_ = kCsvHeading;
    }

    int run() {
        while (!done_ && !Signals::wait(0)) {
            client_->poll(kPollNs);
            write_out();
            if (options_.no_follow && consumer_->at_tail()) break;
        }
        write_out();
        return status_;
    }

  private:
    /// A shard that is not there would never send anything: say so instead of waiting.
    void check_shards() {
        if (options_.shards.empty()) return;
        const auto stream = client_->describe(options_.stream);
        if (!stream) fail("stream " + options_.stream, stream.error());
        for (const uint64_t wanted : options_.shards) {
            const bool known =
                std::any_of(stream->shards.begin(), stream->shards.end(),
                            [&](const auto& shard) { return shard.id.value == wanted; });
            if (!known)
                fail(fmt::format("shard {} of {}", wanted, options_.stream),
                     error_of(Errc::kUnknownShard));
        }
    }

    void on_delivery(const client::Delivery& delivery) {
        for (uint32_t i = delivery.skip; i < delivery.batch.record_count() && !done_; ++i) {
            const RecordPlace place{delivery.shard,
                                    SequenceNumber{delivery.first_sequence.value + i},
                                    delivery.arrival_ns};
            append_record(out_, format_, place, delivery.batch.record(i));
            ++written_;
            done_ = options_.count != 0 && written_ == options_.count;
            if (out_.size() >= kWriteBytes) write_out();
        }
    }

    void on_event(ShardId shard, Error error) {
        fmt::print(stderr, "eagre: {}\n",
                   load::error_text(fmt::format("shard {}", shard.value), error));
        if (error.code == Errc::kUnknownShard || error.code == Errc::kUnknownStream ||
            error.code == Errc::kAccessDenied) {
            status_ = 1;
            done_ = true;
        }
    }

    void write_out() {
        size_t written = 0;
        while (written < out_.size()) {
            const ssize_t put = write(STDOUT_FILENO, out_.data() + written, out_.size() - written);
            if (put < 0 && errno == EINTR) continue;
            if (put < 0 && errno == EPIPE) {
                // Whoever read us (head, grep -m) has seen enough.
                done_ = true;
                break;
            }
            if (put < 0)
                throw std::runtime_error(fmt::format("standard output: {}", std::strerror(errno)));
            written += static_cast<size_t>(put);
        }
        out_.clear();
    }

    const TailOptions& options_;
    RecordFormat format_;
    std::unique_ptr<client::Client> client_;
    std::unique_ptr<client::Consumer> consumer_;
    std::string out_;
    uint64_t written_ = 0;
    bool done_ = false;
    int status_ = 0;
};

int run_tail(const TailOptions& options) {
    Signals::block();
    return Tail(options).run();
}

}  // namespace

void add_tail(CLI::App& app, int& status) {
    CLI::App* command = app.add_subcommand("tail", "Read a stream to standard output");
    auto options = std::make_shared<TailOptions>();
    command->add_option("stream", options->stream, "The stream")->required();
    options->target.add_options(*command);
    command->add_option(
        "--from", options->from,
        "trim_horizon, latest, a sequence number, or a time like 2026-11-23T09:30:00Z [latest]");
    command->add_option("--shard", options->shards, "Only this shard (repeatable) [all]");
    command->add_option("--count", options->count, "Stop after so many records");
    command->add_flag("--no-follow", options->no_follow,
                      "Stop at the tail instead of waiting for more");
    command
        ->add_option("--format", options->format, "raw (data and a line feed), json or csv [raw]")
        ->check(CLI::IsMember({"raw", "json", "csv"}));
    command->footer(
        "Records of one shard come in order; shards are interleaved as they arrive.\n\n"
        "Examples:\n"
        "  eagre tail quotes                                      what arrives from now on\n"
        "  eagre tail quotes --from trim_horizon --no-follow | wc -l\n"
        "  eagre tail quotes --from 2026-11-23T09:30:00Z --format json --count 10\n"
        "  eagre tail quotes --shard 3 --from 100000 --format csv");
    command->callback([options, &status] { status = run_tail(*options); });
}

}  // namespace eagre::cli
