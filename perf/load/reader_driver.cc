#include "perf/load/reader_driver.h"

#include <exception>
#include <stdexcept>
#include <thread>
#include <vector>

#include <sys/prctl.h>

#include "perf/load/error_text.h"
#include "perf/load/producer_driver.h"
#include "perf/load/record_hash.h"

namespace eagre::load {
namespace {
constexpr uint64_t kPollNs = 1'000'000;
}

struct ReaderDriver::Thread {
    Thread(ReaderDriver& driver_in, ReaderPlan plan_in)
        : driver(driver_in), plan(std::move(plan_in)) {
        auto connected =
            client::Client::connect(client::make_tcp_transport(plan.spin), plan.client);
        if (!connected) throw std::runtime_error(error_text("cannot connect", connected.error()));
        client = std::move(*connected);
        auto made = client->make_consumer(plan.stream, plan.consumer);
        if (!made) throw std::runtime_error(error_text("stream " + plan.stream, made.error()));
        consumer = std::move(*made);
        consumer->on_delivery([this](const client::Delivery& delivery) { on_delivery(delivery); });
        consumer->on_event([this](ShardId, Error error) { ++result.events[error.code]; });
    }

    void start() {
        thread = std::thread([this] { loop(); });
    }

    void loop() {
        try {
            pin_thread(plan.pin_core);
            prctl(PR_SET_TIMERSLACK, 1UL);
            while (!stopping.load(std::memory_order_relaxed)) client->poll(kPollNs);
        } catch (...) {
            died = std::current_exception();
        }
    }

    void on_delivery(const client::Delivery& delivery) {
        const uint64_t now_ns = client->transport().monotonic_ns();
        Ledger* ledger = driver.ledger_.load(std::memory_order_acquire);
        const uint32_t count = delivery.batch.record_count();
        if (ledger != nullptr) {
            hashes.clear();
            for (uint32_t i = delivery.skip; i < count; ++i)
                hashes.push_back(hash_record(delivery.batch.record(i)));
            ledger->seen(plan.index, delivery.shard,
                         SequenceNumber{delivery.first_sequence.value + delivery.skip}, hashes,
                         now_ns);
        }
        driver.record_count_.fetch_add(count - delivery.skip, std::memory_order_relaxed);
        driver.blob_bytes_.fetch_add(delivery.batch.blob_bytes(), std::memory_order_relaxed);
    }

    ReaderDriver& driver;
    ReaderPlan plan;
    std::unique_ptr<client::Client> client;
    std::unique_ptr<client::Consumer> consumer;  // Dies before the client.
    std::vector<uint64_t> hashes;
    ReaderResult result;
    std::atomic<bool> stopping{false};
    std::exception_ptr died;
    std::thread thread;
};

ReaderDriver::ReaderDriver(ReaderPlan plan, Ledger* ledger)
    : ledger_(ledger), thread_(std::make_unique<Thread>(*this, std::move(plan))) {
    thread_->start();
}

ReaderDriver::~ReaderDriver() {
    thread_->stopping = true;
    if (thread_->thread.joinable()) thread_->thread.join();
}

ReaderResult ReaderDriver::stop() {
    thread_->stopping = true;
    if (thread_->thread.joinable()) thread_->thread.join();
    if (thread_->died) std::rethrow_exception(thread_->died);
    const client::ConsumerStats& stats = thread_->consumer->stats();
    thread_->result.reconnect_count = stats.reconnect_count;
    thread_->result.damaged_count = stats.damaged_count;
    thread_->result.trimmed_count = stats.trimmed_count;
    return thread_->result;
}

}  // namespace eagre::load
