#include "perf/scenarios/ingest.h"

#include <algorithm>
#include <array>
#include <memory>

#include "perf/ceilings/machine.h"
#include "perf/scenarios/slices.h"

namespace eagre::perf {
namespace {

constexpr uint64_t kSecondNs = 1'000'000'000ULL;
constexpr uint64_t kDrainNsMax = 30 * kSecondNs;
// Closed loop: how many records share one clock reading and one look at the network. 64 x 256 B is
// a quarter of a batch.
constexpr uint64_t kBurstCount = 256;
// Open loop: at 3 M records/s 64 are due within 20 us.
constexpr uint64_t kDueCount = 64;

// What is known at one moment; the result is the difference of two.
struct Mark {
    uint64_t now_ns = 0;
    uint64_t cpu_ns = 0;
    client::ProducerStats stats;
};

class Ingest {
  public:
    Ingest(client::Client& client, client::Producer& producer, const IngestOptions& options)
        : client_(client), producer_(producer), options_(options), pool_(options.pool) {
        producer_.on_outcome([this](const client::BatchOutcome& outcome) { take(outcome); });
    }

    Status run() {
        start_ns_ = monotonic_ns();
        begin_ns_ = start_ns_ + static_cast<uint64_t>(options_.warmup_s * 1e9);
        slices_ = Slices(begin_ns_);
        end_ns_ = begin_ns_ + static_cast<uint64_t>(options_.seconds * 1e9);
        first_ = mark();
        const Status status = options_.rate_per_s > 0 ? open_loop() : closed_loop();
        last_ = mark();
        if (!status) return status;
        if (Status drained = producer_.drain(kDrainNsMax); !drained) return drained;
        return {};
    }

    JsonLine report() const {
        const double wall_s = static_cast<double>(last_.now_ns - first_.now_ns) / 1e9;
        const uint64_t records = last_.stats.acknowledged_count - first_.stats.acknowledged_count;
        const uint64_t batches = last_.stats.batch_count - first_.stats.batch_count;
        JsonLine line;
        line.add("records_per_s", static_cast<double>(records) / wall_s)
            .add("records", records)
            .add("mb_per_s",
                 static_cast<double>(last_.stats.payload_bytes - first_.stats.payload_bytes) / 1e6 /
                     wall_s)
            .add("records_per_batch",
                 batches == 0 ? 0.0 : static_cast<double>(records) / static_cast<double>(batches))
            .add("seconds", wall_s)
            .add("records_total", producer_.stats().acknowledged_count)
            .add("payload_bytes_total", producer_.stats().payload_bytes)
            .add("failed", producer_.stats().failed_count)
            .add("resends", producer_.stats().resend_count)
            .add("busy_turns", busy_turns_)
            .add("late_us_max", static_cast<double>(late_ns_max_) / 1e3)
            .add("generator_cpu_share",
                 static_cast<double>(last_.cpu_ns - first_.cpu_ns) / 1e9 / wall_s)
            .add_us("ack_us", *ack_ns_)
            .add("typical_p50_us", static_cast<double>(slices_.typical(50)) / 1e3)
            .add("typical_p99_us", static_cast<double>(slices_.typical(99)) / 1e3);
        return line;
    }

  private:
    Mark mark() const { return {monotonic_ns(), process_cpu_ns(), producer_.stats()}; }

    void take(const client::BatchOutcome& outcome) {
        if (outcome.error.code != Errc::kOk || !counting_) return;
        const uint64_t now = monotonic_ns();
        for (const uint64_t tag : outcome.tags) {
            // What was meant to go out during warm-up belongs to warm-up.
            if (tag < begin_ns_) continue;
            const uint64_t latency_ns = now > tag ? now - tag : 0;
            ack_ns_->record(latency_ns);
            if (options_.rate_per_s > 0) slices_.record(tag, latency_ns);
        }
    }

    void begin_counting() {
        counting_ = true;
        first_ = mark();
    }

    Status closed_loop() {
        uint64_t sent = 0;
        while (sent < options_.record_count_max) {
            const uint64_t now = monotonic_ns();
            if (!counting_ && now >= begin_ns_) begin_counting();
            if (now >= end_ns_) break;
            const size_t count = std::min(kBurstCount, options_.record_count_max - sent);
            for (size_t i = 0; i < count; ++i) pool_.fill(sent + i, burst_[i]);
            const auto taken = producer_.put_many(std::span(burst_).first(count), now);
            const bool busy = !taken && taken.error().code == Errc::kBusy;
            if (!taken && !busy) return taken.error();
            sent += taken ? *taken : 0;
            busy_turns_ += busy ? 1 : 0;
            client_.poll(busy ? kWaitNs : 0);
        }
        return {};
    }

    Status open_loop() {
        const double interval_ns = 1e9 / options_.rate_per_s;
        const auto intended = [&](uint64_t i) {
            return start_ns_ + static_cast<uint64_t>(static_cast<double>(i) * interval_ns);
        };
        uint64_t sent = 0;
        while (sent < options_.record_count_max) {
            const uint64_t now = monotonic_ns();
            if (!counting_ && now >= begin_ns_) begin_counting();
            uint64_t next_ns = intended(sent);
            if (next_ns >= end_ns_) break;
            bool busy = false;
            while (next_ns <= now && next_ns < end_ns_ && !busy) {
                // What is due together goes together, as an application would hand it over, all with the time of the first: some
                // microseconds too early for the last, never too late.
                size_t count = 0;
                for (uint64_t due_ns = next_ns; due_ns <= now && due_ns < end_ns_ && count < kDueCount; due_ns = intended(sent + count)) {
                    pool_.fill(sent + count, burst_[count]);
                    ++count;
                }
                const auto taken = producer_.put_many(std::span(burst_).first(count), next_ns);
                if (taken) {
                    if (counting_) late_ns_max_ = std::max(late_ns_max_, now - next_ns);
                    next_ns = intended(sent += *taken);
                } else if (taken.error().code == Errc::kBusy) {
                    busy = true;
                } else {
                    return taken.error();
                }
            }
            if (busy && now - next_ns > kLateNsMax) return error_of(Errc::kBusy, now - next_ns);
            busy_turns_ += busy ? 1 : 0;
            client_.poll(busy ? kWaitNs : next_ns > now ? next_ns - now : 0);
        }
        return {};
    }

    // A full window opens when an answer comes; wait() returns then, so this only bounds a turn.
    static constexpr uint64_t kWaitNs = 1'000'000;

    client::Client& client_;
    client::Producer& producer_;
    const IngestOptions& options_;
    RecordPool pool_;
    uint64_t start_ns_ = 0;
    uint64_t begin_ns_ = 0;
    uint64_t end_ns_ = 0;
    bool counting_ = false;
    Mark first_;
    Mark last_;
    std::array<frame::RecordView, kBurstCount> burst_;
    uint64_t busy_turns_ = 0;
    uint64_t late_ns_max_ = 0;
    Slices slices_;
    std::unique_ptr<Histogram> ack_ns_ = std::make_unique<Histogram>();
};

}  // namespace

Result<JsonLine> run_ingest(client::Client& client, const IngestOptions& options) {
    auto producer = client.make_producer(options.stream, options.producer);
    if (!producer) return producer.error();
    Ingest ingest(client, **producer, options);
    if (Status status = ingest.run(); !status) return status.error();
    return ingest.report();
}

}  // namespace eagre::perf
