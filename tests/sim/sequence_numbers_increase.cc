// In a shard, later means a higher sequence number: for the acknowledgements of one producer, and
// for what a reader sees; and a producer's records keep the order in which they were put.
#include <map>
#include <utility>

#include "tests/sim/promise.h"

namespace eagre::test {
namespace {

class SequenceNumbersIncrease final : public Promise {
  public:
    SequenceNumbersIncrease() : Promise("sequence_numbers_increase") {}
    void acknowledged(const Sighting& s) override {
        follow(acked_[{s.party, s.shard}], s, "acknowledged");
    }
    void delivered(const Sighting& s) override {
        uint64_t& last = read_[{s.party, s.shard}];
        if (s.sequence <= last)
            complain(at(s) + " was delivered after sequence " + std::to_string(last));
        last = s.sequence;
        uint64_t& last_id = order_[{std::pair(s.party, s.shard), s.producer}];
        if (s.id < last_id)
            complain(at(s) + " was put before " + std::to_string(last_id) + " and comes behind it");
        last_id = s.id;
    }

  private:
    struct Last {
        uint64_t sequence = 0;
        uint64_t id = 0;
    };
    void follow(Last& last, const Sighting& s, const char* what) {
        if (s.sequence <= last.sequence)
            complain(at(s) + " was " + what + " after sequence " + std::to_string(last.sequence));
        if (s.id < last.id)
            complain(at(s) + " was " + what + " after record " + std::to_string(last.id));
        last = {s.sequence, s.id};
    }
    using PartyShard = std::pair<uint32_t, ShardId>;
    std::map<PartyShard, Last> acked_;
    std::map<PartyShard, uint64_t> read_;
    std::map<std::pair<PartyShard, uint32_t>, uint64_t> order_;
};

}  // namespace

std::unique_ptr<Promise> sequence_numbers_increase() {
    return std::make_unique<SequenceNumbersIncrease>();
}

}  // namespace eagre::test
