#include "perf/scenarios/handover.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>

#include "perf/ceilings/machine.h"
#include "wire/base/histogram.h"
#include "wire/client/group_consumer.h"

namespace eagre::perf {
namespace {

constexpr uint64_t kLeaveNs = 10'000'000'000ULL;
constexpr uint64_t kRetryNs = 10'000'000ULL;

class Handover {
  public:
    explicit Handover(const HandoverOptions& options) : options_(options) {}
    Result<JsonLine> run();

  private:
    struct Member {
        std::unique_ptr<client::Client> client;
        std::unique_ptr<client::GroupConsumer> consumer;
    };
    Status connect();
    Status join(Member& member, const char* name);
    void take(const client::Delivery& delivery, bool stays);
    Status leave_once();
    void turn();
    void put();
    template <class Done>
    Status until(Done done) {
        while (!done()) {
            if (monotonic_ns() >= end_ns_) return Errc::kTimeout;
            turn();
        }
        return {};
    }

    const HandoverOptions& options_;
    std::unique_ptr<client::Client> producer_client_;
    std::unique_ptr<client::Producer> producer_;
    std::vector<HashKey> hashes_;
    uint32_t shard_count_ = 0;
    Member stays_;
    Member leaves_;
    std::map<ShardId, uint64_t> next_;   // Of each shard: what nobody has been given yet.
    std::set<ShardId> awaited_;          // Given up by the leaver, not yet read by the other.
    uint64_t left_ns_ = 0;
    uint64_t put_ns_ = 0;
    uint64_t end_ns_ = 0;
    uint64_t twice_ = 0;
    uint64_t skipped_ = 0;
    Histogram handover_ns_;
};

Status Handover::connect() {
    for (auto* client : {&producer_client_, &stays_.client, &leaves_.client}) {
        auto connected = client::Client::connect(client::make_tcp_transport(true), options_.client);
        if (!connected) return connected.error();
        *client = std::move(*connected);
    }
    const auto stream = producer_client_->describe(options_.stream);
    if (!stream) return stream.error();
    shard_count_ = static_cast<uint32_t>(stream->shards.size());
    for (const client::ShardDescription& shard : stream->shards) hashes_.push_back(shard.range.starting);
    client::ProducerOptions producer;
    producer.linger_ns = 0;
    auto made = producer_client_->make_producer(options_.stream, producer);
    if (!made) return made.error();
    producer_ = std::move(*made);
    return {};
}

Status Handover::join(Member& member, const char* name) {
    client::GroupOptions group;
    group.member = name;
    auto joined = member.client->join_group(options_.stream, "handover", group);
    // Control was started a moment ago; until it has found the box there are no groups.
    while (!joined && joined.error().code == Errc::kUnavailable && monotonic_ns() < end_ns_) {
        member.client->poll(kRetryNs);
        joined = member.client->join_group(options_.stream, "handover", group);
    }
    if (!joined) return joined.error();
    member.consumer = std::move(*joined);
    const bool stays = &member == &stays_;
    member.consumer->on_delivery([this, stays](const client::Delivery& delivery) { take(delivery, stays); });
    return {};
}

void Handover::take(const client::Delivery& delivery, bool stays) {
    uint64_t& next = next_[delivery.shard];
    const uint64_t first = delivery.first_sequence.value + delivery.skip;
    const uint64_t end = delivery.first_sequence.value + delivery.batch.record_count();
    if (next != 0 && first < next) twice_ += std::min(end, next) - first;
    if (next != 0 && first > next) skipped_ += first - next;
    next = std::max(next, end);
    if (stays && awaited_.erase(delivery.shard) > 0) handover_ns_.record(monotonic_ns() - left_ns_);
}

void Handover::put() {
    for (const HashKey& hash : hashes_) {
        frame::RecordView record;
        record.partition_key = "k";
        record.data = std::as_bytes(std::span("a record that shows who reads", 29));
        record.explicit_hash = hash;
        (void)producer_->put(record);
    }
}

void Handover::turn() {
    const uint64_t now = monotonic_ns();
    if (now >= put_ns_) {
        put_ns_ = now + options_.put_interval_ns;
        put();
    }
    producer_client_->poll(0);
    stays_.client->poll(0);
    leaves_.client->poll(0);
}

Status Handover::leave_once() {
    if (const Status joined = join(leaves_, "leaves"); !joined) return joined;
    const auto shared = [&] {
        const size_t here = stays_.consumer->leases().size();
        return here + leaves_.consumer->leases().size() == shard_count_ && here <= (shard_count_ + 1) / 2;
    };
    if (const Status done = until(shared); !done) return done;
    // Both are reading, by now.
    const uint64_t settle_ns = monotonic_ns() + 20 * options_.put_interval_ns;
    if (const Status done = until([&] { return monotonic_ns() >= settle_ns; }); !done) return done;
    for (const client::GroupLease& lease : leaves_.consumer->leases()) awaited_.insert(lease.shard);
    left_ns_ = monotonic_ns();
    if (const Status left = leaves_.consumer->leave(kLeaveNs); !left) return left;
    leaves_.consumer.reset();
    return until([&] { return awaited_.empty(); });
}

Result<JsonLine> Handover::run() {
    end_ns_ = monotonic_ns() + static_cast<uint64_t>(options_.seconds_max * 1e9);
    if (const Status connected = connect(); !connected) return connected.error();
    if (const Status joined = join(stays_, "stays"); !joined) return joined.error();
    for (uint32_t i = 0; i < options_.leave_count; ++i) {
        if (const Status left = leave_once(); !left) return left.error();
    }
    JsonLine line;
    line.add("leaves", uint64_t{options_.leave_count})
        .add_us("handover_us", handover_ns_)
        .add("twice", twice_)
        .add("skipped", skipped_)
        .add("lost_leases", stays_.consumer->stats().lost_count);
    if (const Status left = stays_.consumer->leave(kLeaveNs); !left) return left.error();
    return line;
}

}  // namespace

Result<JsonLine> run_handover(const HandoverOptions& options) {
    return Handover(options).run();
}

}  // namespace eagre::perf
