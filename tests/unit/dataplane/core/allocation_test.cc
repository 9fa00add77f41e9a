// After a core has warmed up, nothing on the path of a record allocates: not the append, not the commit, not the
// acknowledgement, not the delivery, here or handed over to another core. The trap is armed for each turn of a real core on
// simulated I/O; clients and the simulator itself allocate as they like.
#include <execinfo.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "tests/unit/dataplane/core/allocation_trap.h"
#include "tests/unit/dataplane/core/core_rig.h"

namespace eagre::test {

AllocationTrap& allocation_trap() {
    static thread_local AllocationTrap trap;
    return trap;
}

namespace {

void note_allocation() {
    AllocationTrap& trap = allocation_trap();
    if (!trap.armed) return;
    trap.armed = false;  // backtrace() may allocate the first time.
    if (trap.count++ == 0) trap.frame_count = backtrace(trap.frames.data(), AllocationTrap::kFrameCountMax);
    trap.armed = true;
}

void* allocate(size_t bytes, size_t alignment) {
    note_allocation();
    const size_t whole = (bytes + alignment - 1) / alignment * alignment;
    void* memory = std::aligned_alloc(alignment, whole == 0 ? alignment : whole);
    if (memory == nullptr) std::abort();
    return memory;
}

}  // namespace
}  // namespace eagre::test

void* operator new(size_t bytes) { return eagre::test::allocate(bytes, alignof(std::max_align_t)); }
void* operator new[](size_t bytes) { return eagre::test::allocate(bytes, alignof(std::max_align_t)); }
void* operator new(size_t bytes, std::align_val_t alignment) {
    return eagre::test::allocate(bytes, static_cast<size_t>(alignment));
}
void* operator new[](size_t bytes, std::align_val_t alignment) {
    return eagre::test::allocate(bytes, static_cast<size_t>(alignment));
}
// std::stable_sort asks this way; without them it would take a sanitizer's memory and give it back to us.
void* operator new(size_t bytes, const std::nothrow_t&) noexcept { return eagre::test::allocate(bytes, alignof(std::max_align_t)); }
void* operator new[](size_t bytes, const std::nothrow_t&) noexcept { return eagre::test::allocate(bytes, alignof(std::max_align_t)); }
// Not inlined: g++ 12 would see free() called on what operator new gave, and warn.
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete[](void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete[](void* memory, size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete[](void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete[](void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }

namespace eagre {
namespace {

using frame::FrameHeader;
using frame::FrameKind;
using test::CoreRig;
using test::FrameClient;

/// A box of `core_count` cores whose turns are trapped.
class TrappedBox {
  public:
    explicit TrappedBox(uint32_t core_count)
        : rig_(core_count, 1, {}, [this](uint32_t, io::Io io) {
              untrapped_.push_back(std::make_unique<test::UntrappedIo>(io));
              return untrapped_.back()->io();
          }) {}
    CoreRig& rig() { return rig_; }
    /// Turns with the trap armed when `trapped`.
    void turn(int rounds, bool trapped) {
        for (int i = 0; i < rounds; ++i) {
            for (const auto& core : rig_.cores) {
                const test::TrapState state(trapped);
                core->turn();
            }
            for (const auto& client : rig_.clients) client->poll();
            rig_.world.advance(20'000);
        }
    }
    static void expect_nothing_allocated() {
        test::AllocationTrap& trap = test::allocation_trap();
        EXPECT_EQ(trap.count, 0U);
        if (trap.count > 0) backtrace_symbols_fd(trap.frames.data(), trap.frame_count, 2);
        trap = {};
    }

  private:
    std::vector<std::unique_ptr<test::UntrappedIo>> untrapped_;
    CoreRig rig_;
};

TEST(AllocationTrap, CountsWhatIsAllocatedWhileArmed) {
    {
        const test::TrapState state(true);
        auto counted = std::make_unique<std::vector<int>>(100);
        const test::TrapState off(false);
        counted->resize(10'000);
    }
    EXPECT_EQ(test::allocation_trap().count, 2U);
    test::allocation_trap() = {};
}

// The control of the test below: cold work within a turn does allocate, and is seen.
TEST(Allocation, OpeningASubscriptionIsSeenByTheTrap) {
    TrappedBox box(1);
    CoreRig& rig = box.rig();
    ASSERT_EQ(rig.open_stream(rig.connect_control(), 1), Errc::kOk);
    FrameHeader subscribe;
    subscribe.kind = FrameKind::kSubscribe;
    subscribe.shard = 1;
    subscribe.sequence = 1;
    rig.connect(0).push(subscribe);
    box.turn(50, true);
    EXPECT_GT(test::allocation_trap().count, 0U);
    test::allocation_trap() = {};
}

TEST(Allocation, NoneOnThePathOfARecord) {
    TrappedBox box(2);
    CoreRig& rig = box.rig();
    constexpr uint32_t kShardCount = 4;
    ASSERT_EQ(rig.open_stream(rig.connect_control(), kShardCount), Errc::kOk);
    FrameClient& client = rig.connect(0);
    FrameClient* readers[] = {&rig.connect(0), &rig.connect(1)};
    for (uint32_t index = 0; index < kShardCount; ++index) {  // Shard i + 1 lives on core i % 2.
        FrameHeader subscribe;
        subscribe.kind = FrameKind::kSubscribe;
        subscribe.shard = index + 1;
        subscribe.sequence = 1;
        subscribe.number = 1ULL << 40U;  // Bytes of credit.
        readers[index % 2]->push(subscribe);
    }
    const auto& core = rig.cores;
    const auto acknowledged = [&] { return core[0]->stats().batches_acknowledged + core[1]->stats().batches_acknowledged; };
    const auto delivered = [&] { return core[0]->stats().records_delivered + core[1]->stats().records_delivered; };

    std::vector<std::string> keys;
    for (uint32_t index = 0; index < kShardCount; ++index) keys.push_back(CoreRig::key_of(index, kShardCount));
    uint64_t batch = 0;
    const auto load = [&](uint32_t rounds, bool trapped) {
        for (uint32_t i = 0; i < rounds; ++i, ++batch) {
            for (uint32_t index = 0; index < kShardCount; ++index) {
                const ShardId shard{index + 1};
                client.append(shard, keys[index], 77, batch);  // With the memory of an idempotent producer.
                client.append(shard, keys[index]);
                client.append(shard, keys[index], 0, 0, static_cast<uint16_t>(frame::AckMode::kAppended));
                client.append(shard, keys[index], 0, 0, static_cast<uint16_t>(frame::AckMode::kNone));
            }
            client.append(ShardId{1}, keys[i % kShardCount], 0, 0, frame::kAppendRouteForMe);
            box.turn(6, trapped);
        }
        box.turn(100, trapped);
    };
    load(300, false);
    const uint64_t acknowledged_before = acknowledged();
    const uint64_t delivered_before = delivered();
    const uint64_t commits_before = core[0]->stats().commit_count;
    ASSERT_EQ(test::allocation_trap().count, 0U);
    constexpr uint32_t kRounds = 500;
    load(kRounds, true);
    TrappedBox::expect_nothing_allocated();

    // It did all that, while the trap was armed.
    constexpr uint64_t kBatchCount = kRounds * (4 * kShardCount + 1);
    EXPECT_EQ(acknowledged() - acknowledged_before, kBatchCount);
    EXPECT_EQ(delivered() - delivered_before, kBatchCount);
    EXPECT_GT(core[0]->stats().commit_count - commits_before, uint64_t{kRounds} / 2);
    EXPECT_GT(core[0]->stats().handed_over, uint64_t{kRounds});
    EXPECT_EQ(core[0]->stats().segments_recycled, 0U);
}

}  // namespace
}  // namespace eagre
