// An acknowledged record survives every crash and is read back byte for byte at the place it was
// acknowledged; so does everything that a consumer was ever shown.
#include <map>
#include <set>
#include <utility>

#include "tests/sim/promise.h"

namespace eagre::test {
namespace {

class AckedRecordsSurvive final : public Promise {
  public:
    AckedRecordsSurvive() : Promise("acked_records_survive") {}
    void acknowledged(const Sighting& s) override {
        promised_.emplace(std::pair(s.shard, s.sequence), s);
    }
    void delivered(const Sighting& s) override {
        if (!s.intact) complain(at(s) + " came back with other bytes");
        const auto known = shown_.find({s.shard, s.sequence});
        if (known != shown_.end() && known->second.id != s.id) {
            complain(at(s) + " was record " + std::to_string(known->second.id) +
                     " for somebody before");
        }
        shown_.emplace(std::pair(s.shard, s.sequence), s);
        last_[s.party].emplace(std::pair(s.shard, s.sequence), s.id);
    }
    void excused(uint32_t, ShardId shard, uint64_t from, uint64_t to) override {
        for (uint64_t sequence = from; sequence < to; ++sequence) rotten_.emplace(shard, sequence);
    }
    void finish(const std::vector<uint32_t>&, uint32_t last_reader) override {
        const auto& found = last_[last_reader];
        for (const auto* places : {&promised_, &shown_}) {
            for (const auto& [place, sighting] : *places) {
                if (rotten_.contains(place)) continue;
                const auto there = found.find(place);
                const char* what = places == &promised_ ? " was acknowledged" : " was shown";
                if (there == found.end()) {
                    complain(at(sighting) + what + " and is gone");
                } else if (there->second != sighting.id) {
                    complain(at(sighting) + what + " and is now record " +
                             std::to_string(there->second));
                }
            }
        }
    }

  private:
    using Place = std::pair<ShardId, uint64_t>;
    std::map<Place, Sighting> promised_;
    std::map<Place, Sighting> shown_;
    std::map<uint32_t, std::map<Place, uint64_t>> last_;
    std::set<Place> rotten_;
};

}  // namespace

std::unique_ptr<Promise> acked_records_survive() {
    return std::make_unique<AckedRecordsSurvive>();
}

}  // namespace eagre::test
