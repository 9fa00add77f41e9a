// `eagre tail STREAM`: records to standard output.
#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "perf/load/error_text.h"
#include "tools/eagre/commands.h"
#include "tools/eagre/group_tail.h"
#include "tools/eagre/position.h"
#include "tools/eagre/record_output.h"
#include "tools/eagre/signals.h"
#include "tools/eagre/target.h"

namespace eagre::cli {
namespace {

constexpr uint64_t kPollNs = 20'000'000;

struct TailOptions {
    Target target;
    std::string stream;
    std::string from;  // Empty: latest, or trim_horizon for a group.
    std::vector<uint64_t> shards;
    uint64_t count = 0;
    bool no_follow = false;
    std::string format = "raw";
    std::string group;
    std::string member;
};

class Tail {
  public:
    explicit Tail(const TailOptions& options)
        : options_(options), out_(record_format_of(options.format)), client_(options.target.connect()) {
        client::ConsumerOptions consumer;
        consumer.start = parse_start(options.from.empty() ? "latest" : options.from);
        for (const uint64_t shard : options.shards) consumer.shards.emplace_back(shard);
        check_shards();
        auto made = client_->make_consumer(options.stream, consumer);
        if (!made) fail("stream " + options.stream, made.error());
        consumer_ = std::move(*made);
        consumer_->on_delivery([this](const client::Delivery& delivery) { on_delivery(delivery); });
        consumer_->on_event([this](ShardId shard, Error error) { on_event(shard, error); });
    }

    int run() {
        while (!done_ && !out_.closed() && !Signals::wait(0)) {
            client_->poll(kPollNs);
            out_.write();
            if (!ended_.empty()) tell_ended();
            if (options_.no_follow && consumer_->at_tail()) break;
            if (options_.no_follow && consumer_->at_tail_but_for_unavailable()) {
                status_ = 1;  // Told by on_event: which, and what to do.
                break;
            }
        }
        out_.write();
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
            out_.add(place, delivery.batch.record(i));
            done_ = options_.count != 0 && out_.count() == options_.count;
        }
    }

    void on_event(ShardId shard, Error error) {
        // Split or merged: reading goes on with the children. Not so when the shard was asked for by name.
        if (error.code == Errc::kShardClosed) {
            if (!options_.shards.empty()) ended_.push_back(shard);
            return;
        }
        fmt::print(stderr, "eagre: {}\n",
                   load::error_text(fmt::format("shard {}", shard.value), error));
        // A shard that retention took before it was read ends nobody who reads the stream; its children go on.
        const bool shard_gone = error.code == Errc::kUnknownShard && !options_.shards.empty();
        if (shard_gone || error.code == Errc::kUnknownStream || error.code == Errc::kAccessDenied) {
            status_ = 1;
            done_ = true;
        }
    }

    /// Shards asked for by name that have been read to their end: where it goes on. When all have, there is nothing more to come.
    void tell_ended() {
        const auto stream = client_->describe(options_.stream);
        for (const ShardId shard : std::exchange(ended_, {})) {
            std::string children;
            for (const auto& each : stream ? stream->shards : std::vector<client::ShardDescription>{}) {
                if (each.parent == shard || each.adjacent_parent == shard) children += fmt::format(" --shard {}", each.id.value);
            }
            fmt::print(stderr, "eagre: shard {} was split, merged or closed, and has been read to its end;{}{}\n", shard.value,
                       children.empty() ? " what came of it is in 'eagre stream describe'" : " it goes on with", children);
            ++ended_count_;
        }
        // A shard named twice is one.
        std::vector<uint64_t> named = options_.shards;
        std::sort(named.begin(), named.end());
        done_ = done_ || ended_count_ == static_cast<size_t>(std::unique(named.begin(), named.end()) - named.begin());
    }

    const TailOptions& options_;
    RecordOutput out_;
    std::unique_ptr<client::Client> client_;
    std::unique_ptr<client::Consumer> consumer_;
    std::vector<ShardId> ended_;
    size_t ended_count_ = 0;
    bool done_ = false;
    int status_ = 0;
};

int run_tail(const TailOptions& options) {
    Signals::block();
    if (options.group.empty()) return Tail(options).run();
    GroupTail tail;
    tail.stream = options.stream;
    tail.group = options.group;
    tail.member = options.member;
    tail.start = parse_start(options.from.empty() ? "trim_horizon" : options.from);
    tail.count = options.count;
    tail.no_follow = options.no_follow;
    tail.format = record_format_of(options.format);
    return tail_as_member(options.target, tail);
}

}  // namespace

void add_tail(CLI::App& app, int& status) {
    CLI::App* command = app.add_subcommand("tail", "Read a stream to standard output");
    auto options = std::make_shared<TailOptions>();
    command->add_option("stream", options->stream, "The stream")->required();
    options->target.add_options(*command);
    command->add_option(
        "--from", options->from,
        "trim_horizon, latest, a sequence number, or a time like 2026-11-23T09:30:00Z [latest; "
        "trim_horizon for a new group]");
    auto* group = command->add_option(
        "--group", options->group,
        "Share the stream with the other members of this group, which is made if it is not there; go on "
        "where the group is");
    command
        ->add_option("--member", options->member,
                     "This process in the group; one of each name [made up]")
        ->needs(group);
    auto* shard = command->add_option("--shard", options->shards, "Only this shard (repeatable) [all]");
    shard->excludes(group);
    command->add_option("--count", options->count, "Stop after so many records");
    command->add_flag("--no-follow", options->no_follow,
                      "Stop at the tail instead of waiting for more");
    command
        ->add_option("--format", options->format, "raw (data and a line feed), json or csv [raw]")
        ->check(CLI::IsMember({"raw", "json", "csv"}));
    command->footer(
        "Records of one shard come in order; shards are interleaved as they arrive. Records of one key come in order\n"
        "through splits and merges too: the children of a shard are read after it.\n"
        "With --group, what has been written to standard output is checkpointed every second and at the "
        "end; after a kill -9 the rest is written again by another member.\n\n"
        "Examples:\n"
        "  eagre tail quotes                                      what arrives from now on\n"
        "  eagre tail quotes --from trim_horizon --no-follow | wc -l\n"
        "  eagre tail quotes --from 2026-11-23T09:30:00Z --format json --count 10\n"
        "  eagre tail quotes --shard 3 --from 100000 --format csv\n"
        "  eagre tail quotes --group billing --member node-1     the shards are shared among the members");
    command->callback([options, &status] { status = run_tail(*options); });
}

}  // namespace eagre::cli
