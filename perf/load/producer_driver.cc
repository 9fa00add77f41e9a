#include "perf/load/producer_driver.h"

#include <algorithm>
#include <stdexcept>
#include <unordered_map>
#include <vector>

#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>

#include "perf/load/error_text.h"
#include "perf/load/record_hash.h"
#include "perf/load/schedule.h"
#include "wire/base/assert.h"

namespace eagre::load {
namespace {

/// Records in flight at once at most: more than a 16 MiB window of the smallest ones needs.
constexpr uint64_t kInFlightMax = 1ULL << 20U;
/// Records handed over between two looks at the network.
constexpr uint32_t kBurst = 256;
constexpr uint64_t kPollNsMax = 1'000'000;
/// A paced producer sleeps at least this long (unless it spins): at 50,000/s it would else wake for every record, and
/// generator and readers on one core would measure themselves. What that costs is in the latency, from the intended time.
constexpr uint64_t kPaceNs = 100'000;
constexpr uint64_t kStallPollNs = 100'000;

bool outcome_is_unknown(Errc code) {
    return code == Errc::kOutcomeUnknown || code == Errc::kTimeout || code == Errc::kDisconnected ||
           code == Errc::kBatchForgotten;
}

}  // namespace

void pin_thread(int os_cpu) {
    if (os_cpu < 0) return;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<size_t>(os_cpu), &set);
    if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set) != 0) {
        throw std::runtime_error("cannot pin to CPU " + std::to_string(os_cpu) +
                                 ": is it there and allowed?");
    }
}

struct ProducerDriver::Run {
    Run(ProducerDriver& driver_in)
        : driver(driver_in), plan(driver_in.plan_), stamps(kInFlightMax) {}

    void connect() {
        auto connected =
            client::Client::connect(client::make_tcp_transport(plan.spin), plan.client);
        if (!connected) throw std::runtime_error(error_text("cannot connect", connected.error()));
        client = std::move(*connected);
        auto made = client->make_producer(plan.stream, plan.producer);
        if (!made) throw std::runtime_error(error_text("stream " + plan.stream, made.error()));
        producer = std::move(*made);
        producer->on_outcome([this](const client::BatchOutcome& outcome) { on_outcome(outcome); });
    }

    uint64_t now() { return client->transport().monotonic_ns(); }
    uint64_t in_flight() const {
        return result.sent_count - result.acknowledged_count - result.failed_count;
    }

    void on_outcome(const client::BatchOutcome& outcome) {
        if (outcome.error.code != Errc::kOk) {
            result.failed_count += outcome.record_count;
            result.errors[outcome.error.code] += outcome.record_count;
            if (outcome_is_unknown(outcome.error.code))
                result.unknown_count += outcome.record_count;
            return;
        }
        const uint64_t at = now();
        batch.clear();
        uint64_t& highest = highest_tag[outcome.shard];
        for (const uint64_t tag : outcome.tags) {
            const Stamp& stamp = stamps[tag % kInFlightMax];
            batch.push_back(stamp);
            result.ack_ns.record(at > stamp.intended_ns ? at - stamp.intended_ns : 0);
            if (tag + 1 <= highest) ++result.out_of_order_count;
            highest = std::max(highest, tag + 1);
        }
        if (plan.ledger != nullptr)
            plan.ledger->acknowledged(outcome.shard, outcome.first_sequence, batch);
        result.acknowledged_count += outcome.record_count;
        result.blob_bytes += outcome.blob_bytes;
        result.payload_bytes += outcome.payload_bytes;
        ++result.batch_count;
        result.last_ack_ns = at;
        driver.acknowledged_.store(result.acknowledged_count, std::memory_order_relaxed);
    }

    /// The record to send next, kept until the client takes it.
    bool have_record() {
        if (record) return true;
        record = plan.source->next();
        if (!record && plan.loop && result.sent_count != 0) {
            plan.source->rewind();
            record = plan.source->next();
        }
        if (record)
            hash = hash_record(*record);
        else
            result.source_ended = true;
        return record.has_value();
    }

    /// Sends up to a burst of what is due. False when the window is full.
    bool send_due(const Schedule& schedule, uint64_t due, uint64_t at) {
        for (uint32_t i = 0; i < kBurst && result.sent_count < due; ++i) {
            if (in_flight() >= kInFlightMax || !have_record()) return false;
            const uint64_t intended =
                schedule.open_loop() ? schedule.due_ns(result.sent_count) : at;
            const uint64_t tag = result.sent_count;
            stamps[tag % kInFlightMax] = {hash, intended};
            const Status put = producer->put(*record, tag);
            if (!put) {
                if (put.error().code == Errc::kBusy) return false;
                throw std::runtime_error(
                    error_text("record " + std::to_string(tag + 1), put.error()));
            }
            if (at > intended + kLateNs) ++result.late_count;
            ++result.sent_count;
            record.reset();
        }
        driver.sent_.store(result.sent_count, std::memory_order_relaxed);
        return true;
    }

    void send_all() {
        result.start_ns = now();
        const Schedule schedule(result.start_ns, plan.rate_per_s);
        const uint64_t end_ns =
            plan.duration_ns == 0 ? UINT64_MAX : result.start_ns + plan.duration_ns;
        const uint64_t count = plan.record_count == 0 ? UINT64_MAX : plan.record_count;
        uint64_t at = result.start_ns;
        while (result.sent_count < count && !result.source_ended && at < end_ns) {
            if (plan.stop != nullptr && plan.stop->load(std::memory_order_relaxed)) break;
            if (plan.ledger != nullptr &&
                plan.ledger->outstanding_count() > kOutstandingRecordsMax) {
                producer->flush();
                client->poll(kStallPollNs);
                at = now();
                continue;
            }
            const uint64_t due = std::min(count, schedule.due_count(at));
            const bool accepted = send_due(schedule, due, at);
            uint64_t wait_ns = 0;
            if (!accepted) {
                wait_ns = kPollNsMax;
            } else if (result.sent_count >= due && result.sent_count < count) {
                // All that is due is sent: what lingers goes now, and we sleep until the next one
                // is due.
                producer->flush();
                const uint64_t next_ns = schedule.due_ns(result.sent_count);
                wait_ns = std::clamp(next_ns > at ? next_ns - at : 0, plan.spin ? 0 : kPaceNs, kPollNsMax);
            }
            client->poll(wait_ns);
            at = now();
        }
        if (schedule.open_loop() && !result.source_ended) {
            // What would be due at the end itself belongs to the time after it.
            const uint64_t due = std::min(count, schedule.due_count(std::min(at, end_ns - 1)));
            if (due > result.sent_count) result.never_sent_count = due - result.sent_count;
        }
    }

    ProducerDriver& driver;
    ProducerPlan& plan;
    std::vector<Stamp> stamps;  // By tag modulo kInFlightMax.
    std::vector<Stamp> batch;
    std::unordered_map<ShardId, uint64_t> highest_tag;
    std::optional<frame::RecordView> record;
    uint64_t hash = 0;
    ProducerResult result;
    std::unique_ptr<client::Client> client;
    std::unique_ptr<client::Producer> producer;  // Dies before the client.
};

ProducerDriver::ProducerDriver(ProducerPlan plan) : plan_(std::move(plan)) {
    EAGRE_ASSERT(plan_.source != nullptr);
}
ProducerDriver::~ProducerDriver() = default;

ProducerResult ProducerDriver::run() {
    pin_thread(plan_.pin_core);
    // Sleeps of the schedule are tens of microseconds; the default slack of a timer is 50.
    prctl(PR_SET_TIMERSLACK, 1UL);
    const auto run = std::make_unique<Run>(*this);
    run->connect();
    run->send_all();
    // Failures were counted by outcome; a timeout leaves records without any answer.
    (void)run->producer->drain(kDrainNs);
    ProducerResult& result = run->result;
    const uint64_t silent = run->in_flight();
    if (silent != 0) {
        result.failed_count += silent;
        result.unknown_count += silent;
        result.errors[Errc::kTimeout] += silent;
    }
    result.resend_count = run->producer->stats().resend_count;
    EAGRE_ASSERT_EQ(result.sent_count, result.acknowledged_count + result.failed_count);
    return std::move(result);
}

}  // namespace eagre::load
