// Who follows a stream is given the records of a shard only when the shards it was made of have been read to their ends; and
// a child's sequence numbers are above its parents'.
#include <map>
#include <set>
#include <utility>

#include "tests/sim/promise.h"

namespace eagre::test {
namespace {

class ParentReadBeforeChild final : public Promise {
  public:
    ParentReadBeforeChild() : Promise("parent_read_before_child") {}
    void child(ShardId child, ShardId parent) override { parents_[child].insert(parent); }
    void delivered(const Sighting& s) override {
        uint64_t& last = last_[{s.party, s.shard}];
        last = s.sequence;
        // A shard whose child has begun must be over: for this reader nothing of it may come any more.
        const auto known = children_begun_.find({s.party, s.shard});
        if (known != children_begun_.end())
            complain(at(s) + " came after records of child shard " + std::to_string(known->second.value));
        const auto found = parents_.find(s.shard);
        if (found == parents_.end()) return;
        for (const ShardId parent : found->second) {
            children_begun_[{s.party, parent}] = s.shard;
            const auto end = last_.find({s.party, parent});
            if (end != last_.end() && end->second >= s.sequence)
                complain(at(s) + " is not above its parent's sequence " + std::to_string(end->second));
        }
    }

  private:
    using PartyShard = std::pair<uint32_t, ShardId>;
    std::map<ShardId, std::set<ShardId>> parents_;
    std::map<PartyShard, uint64_t> last_;
    std::map<PartyShard, ShardId> children_begun_;
};

}  // namespace

std::unique_ptr<Promise> parent_read_before_child() {
    return std::make_unique<ParentReadBeforeChild>();
}

}  // namespace eagre::test
