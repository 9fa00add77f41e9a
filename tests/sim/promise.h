#pragma once
// What a run of the simulator watches. Each promise is a file named for it; each sees everything
// that producers and readers see and says, at once or at the end, when it was broken.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "wire/base/types.h"

namespace eagre::test {

/// A record made by the workload: `id` rises with each put of all producers, so it also tells the
/// order of one producer.
struct Sighting {
    uint32_t party = 0;  // Producer of an acknowledgement, reader of a delivery.
    ShardId shard;
    uint64_t sequence = 0;
    uint64_t id = 0;
    uint32_t producer = 0;  // That made the record.
    uint64_t key = 0;       // Index of its partition key.
    bool intact = true;     // Its bytes are what was put.
};

class Promise {
  public:
    explicit Promise(std::string name) : name_(std::move(name)) {}
    virtual ~Promise() = default;
    const std::string& name() const { return name_; }

    virtual void acknowledged(const Sighting&) {}
    virtual void delivered(const Sighting&) {}
    /// Reader `party` was told (kDamaged) that [from, to) of a shard cannot be read, and the rot
    /// was ours.
    virtual void excused(uint32_t /*party*/, ShardId, uint64_t /*from*/, uint64_t /*to*/) {}
    /// `parent` was split or merged into `child`.
    virtual void child(ShardId /*child*/, ShardId /*parent*/) {}
    /// The end: everything was given time to arrive; `readers` followed all along, `last_reader`
    /// read all anew after the last crash.
    virtual void finish(const std::vector<uint32_t>& /*readers*/, uint32_t /*last_reader*/) {}

    const std::optional<std::string>& broken() const { return broken_; }

  protected:
    /// The first complaint counts.
    void complain(const std::string& what) {
        if (!broken_) broken_ = what;
    }
    static std::string at(const Sighting& s) {
        return "record " + std::to_string(s.id) + " at shard " + std::to_string(s.shard.value) +
               " sequence " + std::to_string(s.sequence) + " (party " + std::to_string(s.party) +
               ")";
    }

  private:
    std::string name_;
    std::optional<std::string> broken_;
};

std::unique_ptr<Promise> acked_records_survive();
std::unique_ptr<Promise> sequence_numbers_increase();
std::unique_ptr<Promise> no_gap_in_iterator();
std::unique_ptr<Promise> fanout_sees_all();
std::unique_ptr<Promise> nothing_twice();
std::unique_ptr<Promise> order_per_key();
std::unique_ptr<Promise> parent_read_before_child();

}  // namespace eagre::test
