#pragma once
// Bytes stored of each stream by each core: what one core needs of the others to keep a stream's limit, and what is told of
// a stream. Each core writes its own table, all read all: no locks, numbers that are a moment old.

#include <atomic>
#include <cstdint>
#include <memory>

#include "wire/base/assert.h"
#include "wire/base/limits.h"
#include "wire/base/types.h"

namespace eagre {

class UsageBoard {
  public:
    UsageBoard() = default;
    explicit UsageBoard(uint32_t core_count)
        : core_count_(core_count), slots_(std::make_unique<Slot[]>(size_t{core_count} * kSlotCount)) {}

    /// By `core` only. 0 gives the place back.
    void publish(CoreIndex core, StreamId stream, uint64_t bytes) {
        Slot* const table = &slots_[size_t{core.value} * kSlotCount];
        Slot* free = nullptr;
        for (uint32_t i = 0; i < kSlotCount; ++i) {
            Slot& slot = table[(home_of(stream) + i) % kSlotCount];
            const uint64_t there = slot.stream.load(std::memory_order_relaxed);
            if (there == stream.value) {
                slot.bytes.store(bytes, std::memory_order_relaxed);
                if (bytes == 0) slot.stream.store(kGone, std::memory_order_relaxed);
                return;
            }
            if (free == nullptr && (there == 0 || there == kGone)) free = &slot;
            if (there == 0) break;
        }
        if (bytes == 0) return;
        EAGRE_ASSERT(free != nullptr);  // Twice as many places as a box has streams.
        free->bytes.store(bytes, std::memory_order_relaxed);
        free->stream.store(stream.value, std::memory_order_relaxed);
    }
    /// Of all cores.
    uint64_t total(StreamId stream) const {
        uint64_t bytes = 0;
        for (uint32_t core = 0; core < core_count_; ++core) bytes += of_core(CoreIndex{core}, stream);
        return bytes;
    }
    uint64_t of_core(CoreIndex core, StreamId stream) const {
        const Slot* const table = &slots_[size_t{core.value} * kSlotCount];
        for (uint32_t i = 0; i < kSlotCount; ++i) {
            const Slot& slot = table[(home_of(stream) + i) % kSlotCount];
            const uint64_t there = slot.stream.load(std::memory_order_relaxed);
            if (there == stream.value) return slot.bytes.load(std::memory_order_relaxed);
            if (there == 0) return 0;
        }
        return 0;
    }

  private:
    static constexpr uint32_t kSlotCount = 2 * kBoxStreamCountMax;
    static constexpr uint64_t kGone = UINT64_MAX;  // A place that was used: a search goes on behind it.
    struct Slot {
        std::atomic<uint64_t> stream{0};
        std::atomic<uint64_t> bytes{0};
    };
    // Ids count up: neighbours, so that a search is short.
    static uint32_t home_of(StreamId stream) { return static_cast<uint32_t>(stream.value % kSlotCount); }

    uint32_t core_count_ = 0;
    std::unique_ptr<Slot[]> slots_;
};

}  // namespace eagre
