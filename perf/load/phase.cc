#include "perf/load/phase.h"

#include <algorithm>
#include <ctime>
#include <exception>
#include <thread>

#include "wire/base/assert.h"

namespace eagre::load {
namespace {

uint64_t monotonic_ns() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000ULL +
           static_cast<uint64_t>(now.tv_nsec);
}

struct ProducerThread {
    explicit ProducerThread(ProducerPlan plan) : driver(std::move(plan)) {}
    void start() {
        thread = std::thread([this] {
            try {
                result = driver.run();
            } catch (...) {
                died = std::current_exception();
            }
            done.store(true, std::memory_order_release);
        });
    }
    ProducerDriver driver;
    ProducerResult result;
    std::exception_ptr died;
    std::atomic<bool> done{false};
    std::thread thread;
};

uint64_t slowest_count(const Ledger& ledger, size_t reader_count) {
    uint64_t least = UINT64_MAX;
    for (uint32_t i = 0; i < reader_count; ++i) least = std::min(least, ledger.seen_count(i));
    return least;
}

}  // namespace

void merge(ProducerResult& all, const ProducerResult& one) {
    all.sent_count += one.sent_count;
    all.acknowledged_count += one.acknowledged_count;
    all.failed_count += one.failed_count;
    all.unknown_count += one.unknown_count;
    all.out_of_order_count += one.out_of_order_count;
    all.late_count += one.late_count;
    all.never_sent_count += one.never_sent_count;
    all.blob_bytes += one.blob_bytes;
    all.payload_bytes += one.payload_bytes;
    all.batch_count += one.batch_count;
    all.resend_count += one.resend_count;
    all.start_ns = all.start_ns == 0 ? one.start_ns : std::min(all.start_ns, one.start_ns);
    all.last_ack_ns = std::max(all.last_ack_ns, one.last_ack_ns);
    all.source_ended = all.source_ended || one.source_ended;
    for (const auto& [code, count] : one.errors) all.errors[code] += count;
    all.ack_ns.merge(one.ack_ns);
}

PhaseResult run_phase(std::vector<ProducerPlan> plans,
                      std::span<const std::unique_ptr<ReaderDriver>> readers, Ledger* ledger,
                      const std::function<bool(const PhaseProgress&)>& tick) {
    EAGRE_ASSERT(readers.empty() || ledger != nullptr);
    std::atomic<bool> stop{false};
    std::vector<std::unique_ptr<ProducerThread>> threads;
    const uint64_t begin_ns = monotonic_ns();
    for (ProducerPlan& plan : plans) {
        plan.ledger = ledger;
        plan.stop = &stop;
        threads.push_back(std::make_unique<ProducerThread>(std::move(plan)));
    }
    for (auto& thread : threads) thread->start();

    PhaseProgress progress;
    const auto look = [&] {
        progress.sent_count = 0;
        progress.acknowledged_count = 0;
        for (const auto& thread : threads) {
            progress.sent_count += thread->driver.sent_count();
            progress.acknowledged_count += thread->driver.acknowledged_count();
        }
        progress.read_count = readers.empty() ? 0 : slowest_count(*ledger, readers.size());
        progress.seconds = static_cast<double>(monotonic_ns() - begin_ns) / 1e9;
    };
    const auto all_done = [&] {
        return std::all_of(threads.begin(), threads.end(), [](const auto& thread) {
            return thread->done.load(std::memory_order_acquire);
        });
    };
    while (!all_done()) {
        look();
        if (tick(progress)) stop = true;
    }
    PhaseResult result;
    std::exception_ptr died;
    for (auto& thread : threads) {
        thread->thread.join();
        if (thread->died) died = thread->died;
        merge(result.producers, thread->result);
    }
    if (died) std::rethrow_exception(died);
    const uint64_t start_ns = result.producers.start_ns;
    result.producing_seconds =
        static_cast<double>(std::max(result.producers.last_ack_ns, start_ns) - start_ns) / 1e9;

    progress.producing = false;
    uint64_t last_progress_ns = monotonic_ns();
    uint64_t last_count = 0;
    while (!readers.empty() &&
           slowest_count(*ledger, readers.size()) < result.producers.acknowledged_count) {
        look();
        if (progress.read_count != last_count) {
            last_count = progress.read_count;
            last_progress_ns = monotonic_ns();
        }
        if (monotonic_ns() - last_progress_ns > kReaderStallNs) break;
        (void)tick(progress);
    }
    result.seconds = static_cast<double>(monotonic_ns() - std::min(start_ns, monotonic_ns())) / 1e9;
    if (ledger != nullptr) result.readers = ledger->finish(result.producers.unknown_count);
    return result;
}

}  // namespace eagre::load
