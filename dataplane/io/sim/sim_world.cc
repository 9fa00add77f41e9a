#include "dataplane/io/sim/sim_world.h"

#include <algorithm>
#include <utility>

#include "dataplane/io/sim/sim_core.h"
#include "dataplane/io/sim/sim_network.h"
#include "wire/base/assert.h"

namespace eagre::io::sim {

SimNode::SimNode(SimWorld& world, SimDisk& disk, uint64_t id, uint32_t core_count)
    : world_(world), disk_(disk), id_(id) {
    for (uint32_t core = 0; core < core_count; ++core) {
        cores_.push_back(std::make_unique<SimCore>(*this, world.prng().next()));
    }
}

SimNode::~SimNode() = default;

Io SimNode::io(uint32_t core) {
    EAGRE_ASSERT_LT(core, cores_.size());
    return cores_[core]->io();
}

SimWorld::SimWorld(uint64_t seed, const SimFaults& faults)
    : faults_(faults), prng_(seed), network_(std::make_unique<SimNetwork>(*this)) {}

SimWorld::~SimWorld() = default;

SimNode& SimWorld::start_node(SimDisk& disk, uint32_t core_count) {
    EAGRE_ASSERT_GT(core_count, 0U);
    nodes_.push_back(std::make_unique<SimNode>(*this, disk, next_node_++, core_count));
    note(1, nodes_.back()->id());
    return *nodes_.back();
}

void SimWorld::crash(SimNode& node, const CrashPlan& plan) {
    EAGRE_ASSERT(node.alive_);
    note(2, node.id());
    node.alive_ = false;
    for (auto& core : node.cores_) core->die(plan.kind == CrashPlan::Kind::kPowerLost);
    node.disk_.crash(plan);
}

void SimWorld::stop(SimNode& node) {
    EAGRE_ASSERT(node.alive_);
    note(3, node.id());
    for (auto& core : node.cores_) {
        while (core->storage_in_flight() != 0) {
            core->drain();
            if (core->storage_in_flight() != 0) EAGRE_ASSERT(step());
        }
    }
    node.alive_ = false;
    for (auto& core : node.cores_) core->die(false);
    node.disk_.release_locks(node.id());
}

bool SimWorld::step() {
    if (events_.empty()) return false;
    auto first = events_.extract(events_.begin());
    EAGRE_ASSERT_GE(first.key().first, now_ns_);
    now_ns_ = first.key().first;
    first.mapped()();
    return true;
}

void SimWorld::advance(uint64_t ns) {
    const uint64_t until = now_ns_ + ns;
    while (next_event_ns() <= until) step();
    // An event may itself have moved time on (a nested wait).
    now_ns_ = std::max(now_ns_, until);
}

SimWorld::ActorId SimWorld::add_actor(std::function<void()> run_once) {
    actors_.emplace(next_actor_, std::move(run_once));
    return next_actor_++;
}

void SimWorld::remove_actor(ActorId actor) {
    actors_.erase(actor);
}

void SimWorld::turn() {
    if (in_turn_) return;
    in_turn_ = true;
    std::vector<ActorId> order;
    for (const auto& [id, actor] : actors_) order.push_back(id);
    for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[prng_.below(i)]);
    for (const ActorId id : order) {
        const auto actor = actors_.find(id);
        if (actor == actors_.end()) continue;  // An actor before it has removed it.
        const auto run = actor->second;        // A copy: it may remove itself.
        run();
    }
    in_turn_ = false;
    const uint64_t next = next_event_ns();
    advance(next <= now_ns_ ? 1 : std::min(next - now_ns_, faults_.idle_step_ns_max));
}

bool SimWorld::run_until(const std::function<bool()>& done, uint64_t limit_ns) {
    const uint64_t deadline = now_ns_ + limit_ns;
    while (!done()) {
        if (now_ns_ >= deadline) return false;
        turn();
    }
    return true;
}

void SimWorld::note(uint64_t what, uint64_t value) {
    Prng mix(history_hash_ ^ (what << 56U) ^ value);
    history_hash_ = mix.next() ^ now_ns_;
}

void SimWorld::schedule(uint64_t delay_ns, std::function<void()> event) {
    events_.emplace(Key{now_ns_ + delay_ns, next_event_++}, std::move(event));
}

uint64_t SimWorld::next_event_ns() const {
    return events_.empty() ? UINT64_MAX : events_.begin()->first.first;
}

bool SimWorld::fault(uint64_t& nth, uint32_t per_million) {
    if (nth != 0 && --nth == 0) return true;
    return per_million != 0 && prng_.chance(per_million);
}

}  // namespace eagre::io::sim
