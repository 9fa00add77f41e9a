// In a shard, later means a higher sequence number: for the acknowledgements of one producer, and for what a reader sees.
#include <map>
#include <utility>

#include "tests/sim/promise.h"

namespace eagre::test {
namespace {

class SequenceNumbersIncrease final : public Promise {
  public:
    SequenceNumbersIncrease() : Promise("sequence_numbers_increase") {}
    void acknowledged(const Sighting& s) override { follow(acked_[{s.party, s.shard}], s, "acknowledged"); }
    void delivered(const Sighting& s) override { follow(read_[{s.party, s.shard}], s, "delivered"); }

  private:
    void follow(uint64_t& last, const Sighting& s, const char* what) {
        if (s.sequence <= last)
            complain(at(s) + " was " + what + " after sequence " + std::to_string(last));
        last = s.sequence;
    }
    using PartyShard = std::pair<uint32_t, ShardId>;
    std::map<PartyShard, uint64_t> acked_;
    std::map<PartyShard, uint64_t> read_;
};

}  // namespace

std::unique_ptr<Promise> sequence_numbers_increase() {
    return std::make_unique<SequenceNumbersIncrease>();
}

}  // namespace eagre::test
