#pragma once
// Who produces and who reads in a simulated run, and what the records look like: their bytes follow
// from their id, so that each reader can check each byte.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/io/sim/sim_world.h"
#include "tests/sim/promise.h"
#include "wire/client/client.h"

namespace eagre::test {

inline constexpr uint32_t kProducerParty = 1;  // Producers are parties 1, 2, ...
inline constexpr uint32_t kReaderParty = 101;  // ... and readers 101, 102, ...

/// Bytes of record `id` made by producer `party`: at least 24.
std::vector<std::byte> record_bytes(uint64_t id, uint32_t party);
/// Reads id and producer out of the bytes; `intact` when every byte is as record_bytes made it.
struct RecordIdentity {
    uint64_t id = 0;
    uint32_t party = 0;
    bool intact = false;
};
RecordIdentity identify(std::span<const std::byte> bytes);

/// Index of the partition key of record `id`; drawn once, so that whoever sees the record knows its key.
uint64_t key_of(uint64_t id);

/// A place that the simulation made rot.
struct Rot {
    ShardId shard;
    uint64_t sequence = 0;
};

class Workload {
  public:
    using Promises = std::vector<std::unique_ptr<Promise>>;
    Workload(io::sim::SimWorld& world, Promises& promises, std::string stream, uint16_t port);
    ~Workload();
    Workload(const Workload&) = delete;
    Workload& operator=(const Workload&) = delete;

    /// Wait for the dataplane: call outside of turns, when it serves. False: they could not
    /// connect.
    bool add_producer();
    bool add_reader(client::ConsumerOptions::Mode mode);

    /// A few records, perhaps.
    void put_some();
    /// True when every producer has its answers.
    bool all_answered() const;
    /// True when every reader has had the record of every acknowledgement, or been told that it
    /// rotted.
    bool all_read() const;
    bool reader_has_read_all(uint32_t reader) const;
    void note_rot(Rot rot) { rots_.push_back(rot); }
    /// An acknowledged record that is not among the newest; nothing when there are too few.
    const Sighting* old_acknowledged(uint64_t choice) const;

    std::vector<uint32_t> readers() const;
    uint64_t put_count() const { return next_id_ - 1; }
    uint64_t acked_count() const { return acked_.size(); }
    uint64_t failed_count() const { return failed_count_; }
    uint64_t delivered_count() const { return delivered_count_; }

  private:
    struct Party {
        uint32_t number = 0;
        std::unique_ptr<client::Client> client;
        std::unique_ptr<client::Producer> producer;
        std::unique_ptr<client::Consumer> consumer;
        io::sim::SimWorld::ActorId actor = 0;
        std::map<ShardId, uint64_t> next;  // Reader: next sequence number due.
    };
    std::unique_ptr<Party> connect(uint32_t number);
    void take_outcome(Party& party, const client::BatchOutcome& outcome);
    void take_delivery(Party& party, const client::Delivery& delivery);
    void take_event(Party& party, ShardId shard, Error error);
    void run(Party& party);

    io::sim::SimWorld& world_;
    Promises& promises_;
    std::string stream_;
    uint16_t port_;
    Prng prng_;
    uint64_t next_id_ = 1;
    uint64_t failed_count_ = 0;
    uint64_t delivered_count_ = 0;
    std::vector<Sighting> acked_;
    std::map<ShardId, uint64_t> acked_end_;  // One above the highest acknowledged sequence number.
    std::vector<Rot> rots_;
    std::vector<std::unique_ptr<Party>> producers_;
    std::vector<std::unique_ptr<Party>> readers_;
};

}  // namespace eagre::test
