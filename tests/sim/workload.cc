#include "tests/sim/workload.h"

#include <algorithm>
#include <cstring>

#include "tests/support/sim_transport.h"

namespace eagre::test {
namespace {

constexpr size_t kRecordHeadBytes = 24;  // id, party, length.
constexpr uint64_t kRecordBytesSpread = 300;
constexpr uint64_t kKeyCount = 40;
// The newest records of a shard are left alone by rot: in the last commits of a journal it can't be told from a tear, and a journal whose
// shards are quiet keeps its last commits for long.
constexpr size_t kRotDistance = 400;

}  // namespace

std::vector<std::byte> record_bytes(uint64_t id, uint32_t party) {
    Prng prng(id * 1'000'003 + party);
    const uint64_t length =
        kRecordHeadBytes + prng.below(id % 97 == 0 ? 20 * kRecordBytesSpread : kRecordBytesSpread);
    std::vector<std::byte> bytes(length);
    const uint64_t head[] = {id, party, length};
    std::memcpy(bytes.data(), head, sizeof(head));
    for (size_t i = sizeof(head); i < length; ++i) bytes[i] = static_cast<std::byte>(prng.next());
    return bytes;
}

uint64_t key_of(uint64_t id) {
    return Prng(id * 7'368'787).below(kKeyCount);
}

RecordIdentity identify(std::span<const std::byte> bytes) {
    if (bytes.size() < kRecordHeadBytes) return {};
    uint64_t head[3] = {};
    std::memcpy(head, bytes.data(), sizeof(head));
    const auto party = static_cast<uint32_t>(head[1]);
    const std::vector<std::byte> want = record_bytes(head[0], party);
    return {head[0], party, std::equal(bytes.begin(), bytes.end(), want.begin(), want.end())};
}

Workload::Workload(io::sim::SimWorld& world, Promises& promises, std::string stream, uint16_t port)
    : world_(world),
      promises_(promises),
      stream_(std::move(stream)),
      port_(port),
      prng_(world.prng().next()) {}

Workload::~Workload() {
    for (auto* parties : {&producers_, &readers_}) {
        for (auto& party : *parties) world_.remove_actor(party->actor);
    }
}

std::unique_ptr<Workload::Party> Workload::connect(uint32_t number) {
    auto party = std::make_unique<Party>();
    party->number = number;
    client::ClientOptions options;
    options.port = port_;
    options.name = "sim-" + std::to_string(number);
    auto client = client::Client::connect(std::make_unique<SimTransport>(world_), options);
    if (!client) return nullptr;
    party->client = std::move(*client);
    return party;
}

void Workload::run(Party& party) {
    party.actor = world_.add_actor([client = party.client.get()] { client->poll(0); });
}

bool Workload::add_producer() {
    auto party = connect(kProducerParty + static_cast<uint32_t>(producers_.size()));
    if (!party) return false;
    client::ProducerOptions options;
    options.batch_bytes = 2048;
    options.batch_record_count = 16;
    options.linger_ns = 200'000;
    options.window_bytes = 32 * kKiB;
    options.delivery_timeout_ns = 60'000'000'000;
    auto producer = party->client->make_producer(stream_, options);
    if (!producer) return false;
    party->producer = std::move(*producer);
    party->producer->on_outcome([this, p = party.get()](const client::BatchOutcome& outcome) {
        take_outcome(*p, outcome);
    });
    run(*party);
    producers_.push_back(std::move(party));
    return true;
}

bool Workload::add_reader(client::ConsumerOptions::Mode mode) {
    auto party = connect(kReaderParty + static_cast<uint32_t>(readers_.size()));
    if (!party) return false;
    client::ConsumerOptions options;
    options.mode = mode;
    options.credit_bytes = 64 * kKiB;
    options.pull_bytes = 16 * kKiB;
    auto consumer = party->client->make_consumer(stream_, options);
    if (!consumer) return false;
    party->consumer = std::move(*consumer);
    party->consumer->on_delivery(
        [this, p = party.get()](const client::Delivery& delivery) { take_delivery(*p, delivery); });
    party->consumer->on_event(
        [this, p = party.get()](ShardId shard, Error error) { take_event(*p, shard, error); });
    run(*party);
    readers_.push_back(std::move(party));
    return true;
}

void Workload::put_some() {
    for (auto& party : producers_) {
        if (prng_.below(2) == 0) continue;
        for (uint64_t count = 1 + prng_.below(4); count > 0; --count) {
            const std::vector<std::byte> bytes = record_bytes(next_id_, party->number);
            const std::string key = "key-" + std::to_string(key_of(next_id_));
            const frame::RecordView record{key, bytes, {}, 0, 0};
            if (!party->producer->put(record, next_id_))
                break;  // The window is full: the next turn.
            ++next_id_;
        }
    }
}

void Workload::take_outcome(Party& party, const client::BatchOutcome& outcome) {
    if (outcome.error.code != Errc::kOk) {
        failed_count_ += outcome.tags.size();
        return;
    }
    for (size_t i = 0; i < outcome.tags.size(); ++i) {
        const Sighting sighting{.party = party.number,
                                .shard = outcome.shard,
                                .sequence = outcome.first_sequence.value + i,
                                .id = outcome.tags[i],
                                .producer = party.number,
                                .key = key_of(outcome.tags[i])};
        acked_.push_back(sighting);
        uint64_t& end = acked_end_[sighting.shard];
        end = std::max(end, sighting.sequence + 1);
        for (auto& promise : promises_) promise->acknowledged(sighting);
    }
}

void Workload::take_delivery(Party& party, const client::Delivery& delivery) {
    for (uint32_t i = delivery.skip; i < delivery.batch.record_count(); ++i) {
        const RecordIdentity identity = identify(delivery.batch.record(i).data);
        const Sighting sighting{.party = party.number,
                                .shard = delivery.shard,
                                .sequence = delivery.first_sequence.value + i,
                                .id = identity.id,
                                .producer = identity.party,
                                .key = key_of(identity.id),
                                .intact = identity.intact};
        ++delivered_count_;
        party.next[delivery.shard] = sighting.sequence + 1;
        for (auto& promise : promises_) promise->delivered(sighting);
    }
}

void Workload::take_event(Party& party, ShardId shard, Error error) {
    if (error.code != Errc::kDamaged) return;
    uint64_t& next = party.next[shard];
    const uint64_t from = std::max<uint64_t>(next, 1);
    const bool ours = std::any_of(rots_.begin(), rots_.end(), [&](const Rot& rot) {
        return rot.shard == shard && rot.sequence >= from && rot.sequence < error.detail;
    });
    if (!ours) return;  // Then the hole is a broken promise, and no_gap_in_iterator will say so.
    for (auto& promise : promises_) promise->excused(party.number, shard, from, error.detail);
    next = std::max(next, error.detail);
}

bool Workload::all_answered() const {
    return std::all_of(producers_.begin(), producers_.end(),
                       [](const auto& party) { return party->producer->in_flight_bytes() == 0; });
}

bool Workload::reader_has_read_all(uint32_t reader) const {
    for (const auto& party : readers_) {
        if (party->number != reader) continue;
        for (const auto& [shard, end] : acked_end_) {
            const auto next = party->next.find(shard);
            if (next == party->next.end() || next->second < end) return false;
        }
    }
    return true;
}

bool Workload::all_read() const {
    return std::all_of(readers_.begin(), readers_.end(),
                       [this](const auto& party) { return reader_has_read_all(party->number); });
}

const Sighting* Workload::old_acknowledged(uint64_t choice) const {
    if (acked_.size() <= kRotDistance) return nullptr;
    const Sighting& victim = acked_[choice % (acked_.size() - kRotDistance)];
    const auto end = acked_end_.find(victim.shard);
    const bool newer_follow = end != acked_end_.end() && victim.sequence + kRotDistance < end->second;
    return newer_follow ? &victim : nullptr;
}

std::vector<uint32_t> Workload::readers() const {
    std::vector<uint32_t> numbers;
    for (const auto& party : readers_) numbers.push_back(party->number);
    return numbers;
}

}  // namespace eagre::test
