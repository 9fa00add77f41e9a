#pragma once
// From a shard's id to its lane: open addressing in one flat array of 16 bytes a shard, so that of a thousand shards it lies in the
// L2 cache. An answer looks here once; a node-based map was two misses of it.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace eagre::client {

template <class Lane>
class LaneTable {
  public:
    /// Null when unknown.
    Lane* find(uint64_t shard) const {
        if (slots_.empty()) return nullptr;
        for (size_t i = home_of(shard);; i = (i + 1) & mask_) {
            if (slots_[i].lane == nullptr || slots_[i].shard == shard) return slots_[i].lane;
        }
    }
    /// Replaces all by `lanes`, each by the id of its shard. At most half of the slots are taken.
    template <class Lanes>
    void build(const Lanes& lanes) {
        slots_.assign(2 * std::bit_ceil(lanes.size() + 1), Slot{});
        mask_ = slots_.size() - 1;
        for (const auto& lane : lanes) {
            size_t i = home_of(lane->shard.id.value);
            while (slots_[i].lane != nullptr) i = (i + 1) & mask_;
            slots_[i] = {lane->shard.id.value, &*lane};
        }
    }

  private:
    struct Slot {
        uint64_t shard = 0;
        Lane* lane = nullptr;
    };
    // Ids are given out one after the other, and those of a stream lie close together as a rule.
    size_t home_of(uint64_t shard) const { return shard & mask_; }

    std::vector<Slot> slots_;
    size_t mask_ = 0;
};

}  // namespace eagre::client
