// What a producer put under one key is acknowledged and read in the order in which it was put, through any number of splits
// and merges.
#include <map>
#include <tuple>

#include "tests/sim/promise.h"

namespace eagre::test {
namespace {

class OrderPerKey final : public Promise {
  public:
    OrderPerKey() : Promise("order_per_key") {}
    void acknowledged(const Sighting& s) override { follow(s, "acknowledged"); }
    void delivered(const Sighting& s) override { follow(s, "delivered"); }

  private:
    void follow(const Sighting& s, const char* what) {
        Sighting& last = last_[{s.party, s.producer, s.key}];
        if (s.id < last.id)
            complain(at(s) + " of key " + std::to_string(s.key) + " was " + what + " after " + at(last));
        last = s;
    }
    std::map<std::tuple<uint32_t, uint32_t, uint64_t>, Sighting> last_;  // By party, producer, key.
};

}  // namespace

std::unique_ptr<Promise> order_per_key() {
    return std::make_unique<OrderPerKey>();
}

}  // namespace eagre::test
