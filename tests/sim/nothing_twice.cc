// A record of an idempotent producer is stored once, however often its batch was sent, and each
// reader gets it once.
#include <map>
#include <set>
#include <utility>

#include "tests/sim/promise.h"

namespace eagre::test {
namespace {

class NothingTwice final : public Promise {
  public:
    NothingTwice() : Promise("nothing_twice") {}
    void acknowledged(const Sighting& s) override { one_place(s); }
    void delivered(const Sighting& s) override {
        one_place(s);
        if (!seen_[s.party].insert(s.id).second) complain(at(s) + " was delivered twice");
    }

  private:
    using Place = std::pair<ShardId, uint64_t>;
    void one_place(const Sighting& s) {
        const auto [place, first] = places_.try_emplace(s.id, Place{s.shard, s.sequence});
        if (first || place->second == Place{s.shard, s.sequence}) return;
        complain(at(s) + " is also at sequence " + std::to_string(place->second.second) +
                 " of shard " + std::to_string(place->second.first.value));
    }
    std::map<uint64_t, Place> places_;
    std::map<uint32_t, std::set<uint64_t>> seen_;
};

}  // namespace

std::unique_ptr<Promise> nothing_twice() {
    return std::make_unique<NothingTwice>();
}

}  // namespace eagre::test
