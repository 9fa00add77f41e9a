// A reader gets every sequence number of a shard, one after the other: a hole is only what it was
// told is damaged.
#include <map>
#include <utility>

#include "tests/sim/promise.h"

namespace eagre::test {
namespace {

class NoGapInIterator final : public Promise {
  public:
    NoGapInIterator() : Promise("no_gap_in_iterator") {}
    void delivered(const Sighting& s) override {
        const auto [next, first] = next_.try_emplace({s.party, s.shard}, s.sequence);
        if (!first && next->second != s.sequence) {
            complain(at(s) + " was delivered where sequence " + std::to_string(next->second) +
                     " was due");
        }
        next->second = s.sequence + 1;
    }
    void excused(uint32_t party, ShardId shard, uint64_t from, uint64_t to) override {
        const auto next = next_.find({party, shard});
        if (next != next_.end() && next->second == from) next->second = to;
    }

  private:
    std::map<std::pair<uint32_t, ShardId>, uint64_t> next_;
};

}  // namespace

std::unique_ptr<Promise> no_gap_in_iterator() {
    return std::make_unique<NoGapInIterator>();
}

}  // namespace eagre::test
