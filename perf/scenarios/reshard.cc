#include "perf/scenarios/reshard.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "perf/ceilings/machine.h"
#include "wire/base/histogram.h"
#include "wire/client/control_client.h"

namespace eagre::perf {
namespace {

constexpr uint64_t kControlNsMax = 20'000'000'000ULL;
constexpr uint64_t kDrainNsMax = 20'000'000'000ULL;
constexpr uint64_t kSettleNs = 20'000'000;  // What follows from a reshard shows within this long.
constexpr uint32_t kKeyCount = 1000;

struct Span {
    uint64_t begin_ns = 0;
    uint64_t end_ns = 0;
};
struct Wait {
    uint64_t intended_ns = 0;
    uint64_t acknowledged_ns = 0;
};

/// The administrator: one split or merge after the other, each after a pause.
class Resharder {
  public:
    Resharder(client::ControlClient& control, const ReshardOptions& options) : control_(control), options_(options) {}

    void run() {
        for (uint32_t i = 0; i < options_.reshard_count && !error_; ++i) {
            std::this_thread::sleep_for(std::chrono::nanoseconds(options_.interval_ns));
            reshard(i % 2 == 0);
        }
        done = true;
    }

    std::atomic<bool> done{false};
    const std::vector<Span>& spans() const { return spans_; }
    const std::optional<Error>& error() const { return error_; }

  private:
    void reshard(bool split) {
        const auto stream = control_.describe_stream(options_.stream);
        if (!stream) return fail(stream.error());
        std::vector<client::ShardDescription> open;
        for (const auto& shard : stream->shards) {
            if (shard.open) open.push_back(shard);
        }
        std::sort(open.begin(), open.end(), [](const auto& a, const auto& b) { return a.range.starting < b.range.starting; });
        if (open.size() < 2 && !split) return fail(error_of(Errc::kUnknownShard));
        const uint64_t begin = monotonic_ns();
        const auto done_as = split ? control_.split_shard(options_.stream, open[0].id, std::nullopt)
                                   : control_.merge_shards(options_.stream, open[0].id, open[1].id);
        if (!done_as) return fail(done_as.error());
        spans_.push_back({begin, monotonic_ns()});
    }
    void fail(Error error) { error_ = error; }

    client::ControlClient& control_;
    const ReshardOptions& options_;
    std::vector<Span> spans_;
    std::optional<Error> error_;
};

uint64_t longest_wait(const std::vector<Wait>& waits, Span span) {
    uint64_t longest = 0;
    for (const Wait& wait : waits) {
        if (wait.intended_ns < span.end_ns && wait.acknowledged_ns > span.begin_ns)
            longest = std::max(longest, wait.acknowledged_ns - wait.intended_ns);
    }
    return longest;
}

}  // namespace

Result<JsonLine> run_reshard(client::Client& client, const ReshardOptions& options) {
    auto control = client::ControlClient::connect(options.socket_path, kControlNsMax);
    if (!control) return control.error();
    client::ProducerOptions producer_options;
    producer_options.linger_ns = 0;
    auto producer = client.make_producer(options.stream, producer_options);
    if (!producer) return producer.error();
    std::vector<Wait> waits;
    waits.reserve(1U << 20U);
    (*producer)->on_outcome([&](const client::BatchOutcome& outcome) {
        const uint64_t now = monotonic_ns();
        for (const uint64_t tag : outcome.tags) waits.push_back({tag, now});
    });

    Resharder resharder(**control, options);
    std::thread administrator([&resharder] { resharder.run(); });
    const uint64_t start = monotonic_ns();
    const double interval_ns = 1e9 / options.rate_per_s;
    const std::vector<std::byte> data(256);
    Error error;  // GCC 12 takes a Status that is assigned in the loop for uninitialized.
    for (uint64_t sent = 0; !resharder.done && error.code == Errc::kOk;) {
        const uint64_t now = monotonic_ns();
        uint64_t next = start + static_cast<uint64_t>(static_cast<double>(sent) * interval_ns);
        while (next <= now) {
            const std::string key = "key-" + std::to_string(sent % kKeyCount);
            const Status put = (*producer)->put({key, data, {}, 0, 0}, next);
            if (!put && put.error().code != Errc::kBusy) error = put.error();
            if (!put) break;
            next = start + static_cast<uint64_t>(static_cast<double>(++sent) * interval_ns);
        }
        client.poll(next > now ? std::min<uint64_t>(next - now, 1'000'000) : 0);
    }
    administrator.join();
    if (error.code != Errc::kOk) return error;
    if (const Status drained = (*producer)->drain(kDrainNsMax); !drained) return drained.error();
    if (resharder.error()) return *resharder.error();

    auto pause = std::make_unique<Histogram>();
    auto calm = std::make_unique<Histogram>();
    auto command = std::make_unique<Histogram>();
    for (const Span& span : resharder.spans()) {
        const uint64_t length = span.end_ns - span.begin_ns + kSettleNs;
        pause->record(longest_wait(waits, {span.begin_ns, span.begin_ns + length}));
        calm->record(longest_wait(waits, {span.begin_ns - length, span.begin_ns}));
        command->record(span.end_ns - span.begin_ns);
    }
    JsonLine line;
    line.add("reshards", static_cast<uint64_t>(resharder.spans().size()))
        .add("records", static_cast<uint64_t>(waits.size()))
        .add("failed", (*producer)->stats().failed_count)
        .add("resends", (*producer)->stats().resend_count)
        .add_us("pause_us", *pause)
        .add_us("calm_us", *calm)
        .add_us("command_us", *command);
    return line;
}

}  // namespace eagre::perf
