#include "dataplane/io/sim/sim_core.h"

#include <algorithm>
#include <array>

#include "dataplane/io/sim/sim_world.h"
#include "wire/base/assert.h"

namespace eagre::io::sim {

SimCore::SimCore(SimNode& node, uint64_t seed)
    : node_(node), storage_(node), connections_(node), datagrams_(node), seed_(seed) {}

Io SimCore::io() {
    return {*this, connections_, datagrams_, storage_, storage_, *this, seed_};
}

void SimCore::collect() {
    storage_.poll();
    connections_.poll();
    datagrams_.poll();
}

void SimCore::poll() {
    SimWorld& world = node_.world();
    if (!node_.alive()) return;
    const SimFaults& faults = world.faults();
    if (faults.wall_jump_per_million != 0 && world.prng().chance(faults.wall_jump_per_million)) {
        const auto jump_ns = static_cast<int64_t>(world.prng().below(2 * faults.wall_jump_ns_max));
        node_.jump_wall(jump_ns - static_cast<int64_t>(faults.wall_jump_ns_max));
    }
    collect();
    world.advance(faults.poll_ns);
    collect();
}

void SimCore::wait(uint64_t timeout_ns) {
    // Nothing will ever arrive for a dead process: a loop that waits here would never end.
    EAGRE_ASSERT(node_.alive());
    SimWorld& world = node_.world();
    const uint64_t deadline = world.now_ns() + std::min(timeout_ns, UINT64_MAX - world.now_ns());
    storage_.start_queued();
    // As with a real ring, only what poll and wait have not yet collected ends a wait: who leaves
    // completions unreaped and waits for more waits for more.
    while (!woken_ && !storage_.has_arrived() && !connections_.has_arrived() &&
           !datagrams_.has_arrived()) {
        if (world.next_event_ns() >= deadline) {
            // Waiting for ever for nothing is a deadlock of the code above.
            EAGRE_ASSERT_NE(deadline, UINT64_MAX);
            world.advance(deadline - std::min(deadline, world.now_ns()));
            break;
        }
        world.step();
    }
    woken_ = false;
    collect();
}

uint64_t SimCore::monotonic_ns() {
    return node_.world().now_ns();
}

uint64_t SimCore::wall_ns() {
    const auto wall_ns =
        static_cast<int64_t>(node_.world().wall_start_ns() + node_.world().now_ns());
    return static_cast<uint64_t>(wall_ns + node_.wall_offset_ns());
}

void SimCore::drain() {
    std::array<StorageOp*, 16> done{};
    collect();
    while (storage_.reap(done) != 0) {
    }
}

void SimCore::die(bool power_lost) {
    storage_.die();
    connections_.die(power_lost);
    datagrams_.die();
}

}  // namespace eagre::io::sim
