// Every reader that follows, by subscription or by pulling, gets every acknowledged record,
// whatever crashed meanwhile.
#include <map>
#include <set>
#include <utility>

#include "tests/sim/promise.h"

namespace eagre::test {
namespace {

class FanoutSeesAll final : public Promise {
  public:
    FanoutSeesAll() : Promise("fanout_sees_all") {}
    void acknowledged(const Sighting& s) override {
        acked_.emplace(std::pair(s.shard, s.sequence), s);
    }
    void delivered(const Sighting& s) override { seen_[s.party].emplace(s.shard, s.sequence); }
    void excused(uint32_t party, ShardId shard, uint64_t from, uint64_t to) override {
        for (uint64_t sequence = from; sequence < to; ++sequence)
            seen_[party].emplace(shard, sequence);
    }
    void finish(const std::vector<uint32_t>& readers, uint32_t) override {
        for (const uint32_t reader : readers) {
            for (const auto& [place, sighting] : acked_) {
                if (seen_[reader].contains(place)) continue;
                complain(at(sighting) + " was acknowledged and never reached reader " +
                         std::to_string(reader));
                return;
            }
        }
    }

  private:
    using Place = std::pair<ShardId, uint64_t>;
    std::map<Place, Sighting> acked_;
    std::map<uint32_t, std::set<Place>> seen_;
};

}  // namespace

std::unique_ptr<Promise> fanout_sees_all() {
    return std::make_unique<FanoutSeesAll>();
}

}  // namespace eagre::test
